"""The scale of quality, 0 to 100: PSNR in steps of 0.4 dB.

Quality Q from 1 to 99 is a PSNR of at least 10 + 0.4 Q dB over the visible pixels. Quality 0 accepts any
result, and 100 only an exact one. PSNR is -10 log10 of the mean squared error of a value in [0, 1].

| quality | 1 | 25 | 50 | 75 | 90 | 99 | 100 |
|---|---|---|---|---|---|---|---|
| PSNR of at least, dB | 10.4 | 20 | 30 | 40 | 46 | 49.6 | exact |
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

import numpy as np

from colorcnn.errors import UsageError

BELOW_QUALITY = 99
"""Exit status if an image was skipped because its quality is too low."""

LARGER = 98
"""Exit status if an image was skipped because its result is larger than its file."""


LOWEST_PSNR = 10.0
PSNR_STEP = 0.4
CHANNELS = 3


class QualityRange(NamedTuple):
    """The minimum quality of a written result, and the quality that is sufficient."""

    least: int
    enough: int


def parse_quality(text: str | None) -> QualityRange | None:
    """Read ``MIN-MAX``, ``MIN-``, ``-MAX`` or ``N``. Return None for any other text, the name of an effort.

    ``N`` is the range from 0.9 N to N.

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


def least_psnr(quality: int) -> float:
    """Return the minimum PSNR of a quality in dB: minus infinity for 0, and infinity for 100.

    Args:
        quality: 0 to 100.
    """
    if quality <= 0:
        return -math.inf
    return math.inf if quality >= 100 else LOWEST_PSNR + PSNR_STEP * quality


def largest_error(quality: int) -> float:
    """Return the maximum mean squared error of a quality.

    Args:
        quality: 0 to 100.

    Returns:
        The error of a pixel, summed over its channels in [0, 1]: infinite for 0, and 0 for 100.
    """
    return CHANNELS * 10 ** (-least_psnr(quality) / 10)


def quality_of(error: float) -> int:
    """Return the highest quality whose :func:`largest_error` allows an error."""
    return max(quality for quality in range(101) if error <= largest_error(quality) + 1e-12)


def squared_error(pixels: np.ndarray, shown: np.ndarray, visible: np.ndarray) -> float:
    """Return the mean over the visible pixels of the squared error, summed over the channels.

    Args:
        pixels: (H, W, 3) uint8, the image.
        shown: (H, W, 3) uint8, the result.
        visible: (H, W) bool.
    """
    if not visible.any():
        return 0.0
    difference = pixels[visible].astype(np.float32) - shown[visible].astype(np.float32)
    return float(np.square(difference / 255).sum(axis=1, dtype=np.float64).mean())
