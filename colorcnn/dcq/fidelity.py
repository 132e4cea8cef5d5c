"""Losses of copies of images: their error, and how differently they render one colour of the originals."""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from colorcnn.dcq.sources import ImageSource

SAMPLE = 2000
"""Images that are compared, at most."""

_STEP = 256
_SHIFT = 4  # colours whose bytes agree but for these bits count as one
_CELLS = 1 << 3 * (8 - _SHIFT)


def fidelity(originals: ImageSource, copies: ImageSource, *, seed: int = 0) -> dict[str, float]:
    """Compare copies with their originals.

    Sharing palettes is meant to make images agree: a colour is to come out as the same colour wherever it
    occurs. ``inconsistency`` measures that: the pixels of all images are sorted by their original colour (in
    cells of 16 levels of each channel), and the deviation of the copies' colours is taken within each cell.

    Args:
        originals: the images.
        copies: of the same images, in the same order and of the same sizes.
        seed: of the sample.

    Returns:
        ``mse``, the mean squared error of a channel in [0, 1], and ``inconsistency``, a standard deviation of
        a channel in [0, 1].
    """
    chosen = np.sort(np.random.RandomState(seed).permutation(len(originals))[:SAMPLE])
    counts, sums, squares = np.zeros(_CELLS), np.zeros((_CELLS, 3)), np.zeros((_CELLS, 3))
    error = 0.0
    for start in tqdm(range(0, len(chosen), _STEP), desc="Comparing copies", unit="batch", disable=None):
        rows = chosen[start : start + _STEP]
        first, second = (
            np.concatenate([picture.reshape(-1, 3) for picture in source.read(rows)])
            for source in (originals, copies)
        )
        values = second.astype(np.float64)  # whole numbers, whose sums are exact
        error += float(((first - values) ** 2).sum())
        levels = (first >> _SHIFT).astype(np.int64)
        cells = (levels[:, 0] << 2 * (8 - _SHIFT)) | (levels[:, 1] << (8 - _SHIFT)) | levels[:, 2]
        counts += np.bincount(cells, minlength=_CELLS)
        for channel in range(3):
            sums[:, channel] += np.bincount(cells, values[:, channel], _CELLS)
            squares[:, channel] += np.bincount(cells, values[:, channel] ** 2, _CELLS)
    within = squares - sums**2 / np.maximum(counts, 1)[:, None]
    pixels = 3 * 255**2 * counts.sum()
    return {"mse": error / pixels, "inconsistency": float(np.sqrt(max(0.0, within.sum() / pixels)))}
