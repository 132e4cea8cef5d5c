"""Registry whose values are imported on first use."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Generic, TypeVar, cast

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
