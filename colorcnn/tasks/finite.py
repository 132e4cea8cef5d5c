"""The search for a loss that is no finite number, which does not make the host wait for a GPU."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

NEVER = torch.iinfo(torch.int64).max


class BadLoss(NamedTuple):
    """The first loss that was no finite number, and its step."""

    value: float
    step: int


class FiniteCheck:
    """Remembers on the device the first loss that is no finite number; looks at it every so many steps.

    Looking waits for a GPU until all that was asked of it is done. On a CPU nothing runs ahead, and every
    loss is looked at.

    Args:
        every: steps between two looks on a device that runs ahead.
    """

    def __init__(self, every: int = 50) -> None:
        self.every = every
        self._since = 0
        self._first: tuple[Tensor, Tensor] | None = None

    def note(self, loss: Tensor, step: int) -> BadLoss | None:
        """Take note of a loss, without waiting but for every so many steps.

        Args:
            loss: scalar.
            step: counted from 0.

        Returns:
            The first bad loss, where this was a step to look and one was bad.
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
            return self.look()
        return None

    def look(self) -> BadLoss | None:
        """Return the first bad loss so far, or None; waits for the device."""
        self._since = 0
        if self._first is None or int(self._first[1]) == NEVER:
            return None
        return BadLoss(float(self._first[0]), int(self._first[1]))
