"""Work of the host that goes on while a GPU computes the next batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch

_MOST_PENDING = 8  # calls whose images wait in memory


def overlaps(device: torch.device) -> bool:
    """Tell if the host has nothing else to do while networks compute."""
    return device.type != "cpu"


class Background:
    """Runs calls one after the other, in a thread of its own or at once.

    Compression and array operations release Python's global lock, so that the main thread can feed the GPU.

    Args:
        on: use a thread; otherwise each call is done when :meth:`submit` returns.
    """

    def __init__(self, on: bool) -> None:
        self._pool = ThreadPoolExecutor(1) if on else None
        self._pending: deque[Future[Any]] = deque()

    def submit(self, function: Callable[..., Any], *given: Any) -> None:
        """Run a call behind those before it.

        Args:
            function: what is called.
            *given: its arguments.

        Raises:
            Exception: an earlier call failed.
        """
        if self._pool is None:
            function(*given)
            return
        self._pending.append(self._pool.submit(function, *given))
        while len(self._pending) > _MOST_PENDING:
            self._pending.popleft().result()

    def wait(self) -> None:
        """Wait until all calls are done; raises what one of them has raised."""
        while self._pending:
            self._pending.popleft().result()
