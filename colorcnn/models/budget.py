"""A budget of weights: a network is counted before memory is taken for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from colorcnn.errors import UsageError
from colorcnn.images import LEARNED_PIXELS  # noqa: F401 (its place of old)

MOST_WEIGHTS = 1 << 30
"""The most weights of a network that a configuration may ask for: 4 GiB of float32."""

MOST_TENSORS = 4_000
"""The most tensors that its weights may lie in; a network of so many takes seconds to build."""

_ORDINARY = 1024
T = TypeVar("T")


@contextmanager
def limited_weights(weights: int = MOST_WEIGHTS, tensors: int = MOST_TENSORS) -> Iterator[None]:
    """Stop the building of a network that takes more weights than it may.

    Args:
        weights: numbers at most, in all tensors.
        tensors: tensors at most.

    Raises:
        UsageError: the network takes more.
    """
    found = [0, 0]

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        del module, name
        if parameter is not None:
            found[0] += parameter.numel()
            found[1] += 1
        if found[0] > weights or found[1] > tensors:
            raise UsageError(
                f"The network has more than {weights:,} weights, or more than {tensors:,} tensors of them: "
                "lower its width and depth."
            )

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()


def build_within(
    build: Callable[[], T], options: Any, weights: int = MOST_WEIGHTS, tensors: int = MOST_TENSORS
) -> T:
    """Build a network that takes no more weights than it may.

    A first attempt has no memory for weights, where an option is a large number.

    Args:
        build: builds the network.
        options: its options, of JSON's types.
        weights: numbers at most, in all tensors.
        tensors: tensors at most.

    Raises:
        UsageError: the network takes more.
    """
    if _largest(options) > _ORDINARY:
        # A network that starts from the values of its weights cannot be built without memory for them.
        with (
            contextlib.suppress(NotImplementedError),
            limited_weights(weights, tensors),
            torch.device("meta"),
        ):
            build()
    with limited_weights(weights, tensors):
        return build()


def _largest(options: Any) -> float:
    """Return the largest number in nested options, or 0."""
    if isinstance(options, Mapping):
        options = list(options.values())
    if isinstance(options, list | tuple):
        return max(map(_largest, options), default=0)
    return abs(options) if isinstance(options, int | float) else 0
