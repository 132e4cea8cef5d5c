"""Detection of NaN and infinite losses without synchronising the GPU at every step."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

NEVER = torch.iinfo(torch.int64).max


class BadLoss(NamedTuple):
    """The first loss that is NaN or infinite, and its step."""

    value: float
    step: int


class FiniteCheck:
    """Detector that keeps the first NaN or infinite loss on the device and checks it from time to time.

    A check synchronises the GPU. On a CPU every loss is checked.

    Args:
        every: number of steps between two checks on a GPU.
    """

    def __init__(self, every: int = 50) -> None:
        self.every = every
        self._since = 0
        self._first: tuple[Tensor, Tensor] | None = None

    def note(self, loss: Tensor, step: int) -> BadLoss | None:
        """Record a loss; check at every ``every``-th step.

        Args:
            loss: scalar.
            step: number of the step, counted from 0.

        Returns:
            The first bad loss if this step checked; else None.
        """
        value = loss.detach().float()
        here = torch.where(value.isfinite(), NEVER, step)
        if self._first is None:
            self._first = value, here
        else:
            earlier = self._first[1] <= here
            self._first = (
                torch.where(earlier, self._first[0], value),
                torch.where(earlier, self._first[1], here),
            )
        self._since += 1
        if loss.device.type == "cpu" or self._since >= self.every:
            return self.check()
        return None

    def check(self) -> BadLoss | None:
        """Return the first bad loss so far, or None. Synchronises the device."""
        self._since = 0
        if self._first is None or int(self._first[1]) == NEVER:
            return None
        return BadLoss(float(self._first[0]), int(self._first[1]))
