"""A cache that is bounded by the size of its values."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Bounded(Generic[T]):
    """A mapping that forgets the values that were not used for longest. Threads may share it.

    Args:
        most_cost: the sum of the costs is at most this.
        most: the number of values is at most this.
    """

    def __init__(self, most_cost: int, most: int) -> None:
        self.most_cost = most_cost
        self.most = most
        self._values: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()
        self._cost = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    def values(self) -> list[T]:
        """Return all values. This does not count as their use."""
        with self._lock:
            return [value for value, _ in self._values.values()]

    def get(self, key: Hashable) -> T | None:
        """Return a value, or None if it was never kept or is forgotten."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key][0]

    def keep(self, key: Hashable, value: T, cost: int) -> T:
        """Keep a value, and return it. A value that costs more than all may cost is not kept.

        Args:
            key: names the value.
            value: the value.
            cost: its size, at least 0.
        """
        with self._lock:
            if key in self._values:
                self._cost -= self._values.pop(key)[1]
            if cost <= self.most_cost and self.most:
                self._values[key] = (value, cost)
                self._cost += cost
            while self._cost > self.most_cost or len(self._values) > self.most:
                self._cost -= self._values.popitem(last=False)[1][1]
        return value
