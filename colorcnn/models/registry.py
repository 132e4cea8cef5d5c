"""Construction of networks by name, with errors that list the alternatives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from colorcnn.errors import UsageError, shortened, unknown_name
from colorcnn.models.budget import build_within

T = TypeVar("T")
_REFUSED = (TypeError, ValueError, RuntimeError, LookupError, ArithmeticError, AttributeError, AssertionError)
"""Errors that constructors, including those of PyTorch's layers, raise for invalid values."""


def build(kind: str, registry: Mapping[str, Callable[..., T]], name: str, /, *args: Any, **kwargs: Any) -> T:
    """Call the constructor of a name.

    Args:
        kind: word for the error message, such as ``"backbone"``.
        registry: name -> constructor.
        name: a key of ``registry``.
        *args: arguments of the constructor.
        **kwargs: arguments of the constructor.

    Raises:
        UsageError: the name is unknown, or its constructor does not take these options.
    """
    if name not in registry:
        raise unknown_name(kind, name, registry)
    try:
        return build_within(lambda: registry[name](*args, **kwargs), [list(args), kwargs])
    except UsageError:
        raise
    except _REFUSED as error:
        problem = shortened(str(error), 200) or type(error).__name__
        raise UsageError(
            f"{kind.capitalize()} {name!r} does not take {shortened(kwargs)}: {problem}."
        ) from error
