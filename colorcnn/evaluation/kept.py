"""Where a measurement stands, in a file: one that was interrupted goes on from there."""

from __future__ import annotations

import io
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import torch

from colorcnn.files import write_atomically


class Kept:
    """A file that says where a measurement stands.

    Args:
        path: the file.

    Attributes:
        SECONDS: the least between two writings, and so about the most work that is lost.
    """

    SECONDS: ClassVar[float] = 30.0

    def __init__(self, path: Path) -> None:
        self.path = path
        self._next = time.monotonic() + self.SECONDS

    def read(self) -> dict[str, Any] | None:
        """What was kept; None where nothing was, or it cannot be read."""
        try:
            return torch.load(self.path, weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError):
            return None

    def write(self, state: Callable[[], dict[str, Any]], *, ended: bool = False) -> None:
        """Keep a state of tensors and plain values, when it is time or the measurement ended.

        Raises:
            ColorCNNError: the disk or the rights do not allow it.
        """
        if ended or time.monotonic() >= self._next:
            buffer = io.BytesIO()
            torch.save(state(), buffer)
            write_atomically(self.path, buffer.getvalue())
            self._next = time.monotonic() + self.SECONDS
