"""Progress of a measurement in a file. An interrupted measurement resumes from it."""

from __future__ import annotations

import io
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import torch

from colorcnn.files import write_atomically


class ProgressFile:
    """A file with the progress of a measurement.

    Args:
        path: the file.

    Attributes:
        SECONDS: minimum time between two writes. An interruption loses about this much work.
    """

    SECONDS: ClassVar[float] = 30.0

    def __init__(self, path: Path) -> None:
        self.path = path
        self._next = time.monotonic() + self.SECONDS

    def read(self) -> dict[str, Any] | None:
        """Return the saved state; None if the file is missing or damaged."""
        try:
            return torch.load(self.path, weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError):
            return None

    def write(self, state: Callable[[], dict[str, Any]], *, ended: bool = False) -> None:
        """Save the state if the last write is long enough ago, or the measurement ended.

        Args:
            state: function that returns the state: tensors and plain values.
            ended: True to save in any case.

        Raises:
            ColorCNNError: the file cannot be written.
        """
        if ended or time.monotonic() >= self._next:
            buffer = io.BytesIO()
            torch.save(state(), buffer)
            write_atomically(self.path, buffer.getvalue())
            self._next = time.monotonic() + self.SECONDS
