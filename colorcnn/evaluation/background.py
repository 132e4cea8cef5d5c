"""CPU work that runs while a GPU computes the next batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch

_MOST_PENDING = 8  # maximum number of queued calls; each keeps a batch in memory


def overlaps(device: torch.device) -> bool:
    """Return True if networks run on another device, so that the CPU is free."""
    return device.type != "cpu"


class Background:
    """Queue of calls, which run one after the other in their own thread or at once.

    Compression and array operations release Python's global lock, so that the main thread can feed the GPU.

    Args:
        on: True to use a thread. Otherwise :meth:`submit` itself runs the call.
    """

    def __init__(self, on: bool) -> None:
        self._pool = ThreadPoolExecutor(1) if on else None
        self._pending: deque[Future[Any]] = deque()

    def submit(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Queue a call. Calls run in order.

        Args:
            function: the function to call.
            *arguments: its arguments.

        Raises:
            Exception: an earlier call failed.
        """
        if self._pool is None:
            function(*arguments)
            return
        self._pending.append(self._pool.submit(function, *arguments))
        while len(self._pending) > _MOST_PENDING:
            self._pending.popleft().result()

    def wait(self) -> None:
        """Wait until all calls are done. The first exception of a call is raised again."""
        while self._pending:
            self._pending.popleft().result()
