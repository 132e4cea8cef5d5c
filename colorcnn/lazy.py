"""Objects that are imported when they are used: those of registries, and a user's own."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Generic, TypeVar, cast

from colorcnn import trust
from colorcnn.errors import UsageError, shortened

T = TypeVar("T")


class LazyDict(MutableMapping[str, T], Generic[T]):
    """A dictionary whose values are imported on first use, so that reading its names is fast.

    Args:
        paths: name -> ``module:attribute``.

    Example:
        >>> LazyDict({"wu": "colorcnn.quantizers.wu:Wu"})["wu"]
    """

    def __init__(self, paths: Mapping[str, str]) -> None:
        self._paths: dict[str, str] = dict(paths)
        self._values: dict[str, Any] = dict.fromkeys(paths)

    def __getitem__(self, name: str) -> T:
        value = self._values[name]
        if value is None:
            module, _, attribute = self._paths[name].partition(":")
            value = self._values[name] = getattr(importlib.import_module(module), attribute)
        return cast(T, value)

    def __setitem__(self, name: str, value: T) -> None:
        self._values[name] = value

    def __delitem__(self, name: str) -> None:
        del self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"LazyDict({', '.join(self._values)})"


def import_own(spec: str) -> Any:
    """Import an object that a user names; the current folder is searched first.

    Args:
        spec: ``module:name``.

    Raises:
        UsageError: the module cannot be imported or may not be, or has no such name.
    """
    module_name, _, name = spec.partition(":")
    trust.check_module(module_name)
    try:
        with _current_folder_first():
            module = importlib.import_module(module_name)
    except Exception as error:  # a user's module may fail in any way
        raise UsageError(
            f"Module {module_name!r} of {spec!r} could not be imported "
            f"({type(error).__name__}: {shortened(str(error))})",
            "correct it",
            code="module-failed",
            module=module_name,
        ) from error
    try:
        return getattr(module, name)
    except AttributeError as error:
        raise UsageError(
            f"Module {module_name} has no {name!r}", f"check {spec!r}", code="no-such-object", name=spec
        ) from error


@contextlib.contextmanager
def _current_folder_first() -> Iterator[None]:
    folder = os.getcwd()
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(folder)
