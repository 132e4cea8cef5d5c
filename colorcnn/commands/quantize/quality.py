"""The scale of quality of pngquant, from 0 (worst) to 100 (exact), and the errors that it stands for."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

import numpy as np

from colorcnn.errors import UsageError

BELOW_QUALITY = 99
"""Exit status when a picture was left out because its quality is below the least, as pngquant has it."""

LARGER = 98
"""Exit status when a picture was left out because its result is larger than its file, as pngquant has it."""


class QualityRange(NamedTuple):
    """The least quality that is written, and the quality that is enough."""

    least: int
    enough: int


def parse_quality(text: str | None) -> QualityRange | None:
    """Read ``MIN-MAX``, ``MIN-``, ``-MAX`` or ``N``; anything else is the name of an effort, and gives None.

    ``N`` stands for a range up to N that begins at nine tenths of it.

    Raises:
        UsageError: a number is above 100, or the first is above the second.
    """
    match = re.fullmatch(r"([0-9]{0,9})(-?)([0-9]{0,9})", text or "-")
    if match is None or not (match[1] or match[3]):
        return None
    if not match[2]:
        enough = int(match[1])
        found = QualityRange(enough * 9 // 10, enough)
    else:
        found = QualityRange(int(match[1] or 0), int(match[3] or 100))
    if not 0 <= found.least <= found.enough <= 100:
        raise UsageError(f"--quality is {text}: give MIN-MAX, two numbers from 0 to 100, the smaller first.")
    return found


def largest_error(quality: int) -> float:
    """Return the largest mean squared error that has a quality on pngquant's scale.

    Args:
        quality: 0 to 100.

    Returns:
        The error of a pixel, summed over its channels in [0, 1]: infinite for 0, and 0 for 100.
    """
    if quality <= 0:
        return math.inf
    if quality >= 100:
        return 0.0
    share = (100.1 - quality) / 100
    return 2.5 * share / (210 + quality) ** 1.2 + max(0.0, 0.016 / (0.001 + quality) - 0.001)


def quality_of(error: float) -> int:
    """Return the best quality whose :func:`largest_error` is not below an error."""
    return max(quality for quality in range(101) if error <= largest_error(quality) + 1e-12)


def squared_error(pixels: np.ndarray, shown: np.ndarray, visible: np.ndarray) -> float:
    """Return the mean over the visible pixels of the squared error, summed over the channels.

    Args:
        pixels: (H, W, 3) uint8, the picture.
        shown: (H, W, 3) uint8, the result.
        visible: (H, W) bool.
    """
    if not visible.any():
        return 0.0
    difference = pixels[visible].astype(np.float32) - shown[visible].astype(np.float32)
    return float(np.square(difference / 255).sum(axis=1, dtype=np.float64).mean())
