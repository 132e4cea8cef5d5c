"""Error and inconsistency of copies of images."""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from colorcnn.dcq.sources import ImageSource

SAMPLE = 2000
"""Maximum number of images that are compared."""

_STEP = 256
_SHIFT = 4  # colours that differ only in the low 4 bits of a channel count as equal
_CELLS = 1 << 3 * (8 - _SHIFT)


def fidelity(originals: ImageSource, copies: ImageSource, *, seed: int = 0) -> dict[str, float]:
    """Compare copies with their originals.

    Shared palettes should map a colour to the same colour in every image. ``inconsistency`` measures the
    deviation: the pixels of all images are grouped by their original colour (cells of 16 levels per channel).
    It is the standard deviation of the copies' colours within the cells.

    Args:
        originals: the images.
        copies: copies of these images, in the same order and of the same sizes.
        seed: seed of the sample.

    Returns:
        ``mse``, the mean squared error per channel in [0, 1], and ``inconsistency``, a standard deviation per
        channel in [0, 1].
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
        values = second.astype(np.float64)  # integers, so that sums are exact
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
