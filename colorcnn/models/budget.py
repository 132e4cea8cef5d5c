"""Limit on the size of a network, checked before memory is allocated."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from colorcnn.errors import UsageError
from colorcnn.images import LEARNED_PIXELS  # noqa: F401 (re-exported for old imports)

MOST_WEIGHTS = 1 << 30
"""Maximum number of weights of a network: 4 GiB of float32."""

MOST_TENSORS = 4_000
"""Maximum number of weight tensors of a network; so many take seconds to build."""

_ORDINARY = 1024
T = TypeVar("T")


@contextmanager
def limited_weights(weights: int = MOST_WEIGHTS, tensors: int = MOST_TENSORS) -> Iterator[None]:
    """Raise an error within the context if a network has too many weights.

    Args:
        weights: maximum number of weights.
        tensors: maximum number of weight tensors.

    Raises:
        UsageError: the network has more.
    """
    found = [0, 0]

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        del module, name
        if parameter is not None:
            found[0] += parameter.numel()
            found[1] += 1
        if found[0] > weights or found[1] > tensors:
            raise UsageError(
                f"The network has more than {weights:,} weights or {tensors:,} weight tensors: "
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
    """Build a network with a limited number of weights.

    If an option is a large number, the network is first built without memory for its weights.

    Args:
        build: function that builds the network.
        options: options of the network as JSON values.
        weights: maximum number of weights.
        tensors: maximum number of weight tensors.

    Raises:
        UsageError: the network has more.
    """
    if _largest(options) > _ORDINARY:
        # A network that reads its weights while it is built raises NotImplementedError on "meta".
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
