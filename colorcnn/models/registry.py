"""Building networks by name, with errors that name the alternatives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from colorcnn.errors import UsageError, unknown_name

T = TypeVar("T")


def build(kind: str, registry: Mapping[str, Callable[..., T]], name: str, /, *args: Any, **kwargs: Any) -> T:
    """Call the constructor that a name stands for.

    Args:
        kind: what the name names, such as ``"backbone"``, for the error.
        registry: name -> constructor.
        name: a key of it.
        *args: passed on.
        **kwargs: passed on.

    Raises:
        UsageError: the name is unknown, or its constructor has no such option.
    """
    if name not in registry:
        raise unknown_name(kind, name, registry)
    try:
        return registry[name](*args, **kwargs)
    except TypeError as error:
        raise UsageError(f"{kind.capitalize()} {name!r} does not take {kwargs}: {error}.") from error
