"""Features of an image's pixels that describe its colours and need no network (Tables 2a and 10)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from colorcnn.dcq.sources import ImageSource
from colorcnn.dcq.stages import Arrays
from colorcnn.quantizers.spaces import enter

SIDE = 32
"""Side length to which images are scaled for the feature ``image``."""

_LEVELS = 4  # levels per channel in a histogram
_GREYS = 8
_COHERENT = 0.01  # share of an image's pixels from which a connected region counts as large


def statistics(pixels: np.ndarray) -> np.ndarray:
    """Return mean and standard deviation of L*, a* and b*: (6,)."""
    lab = enter(pixels.reshape(-1, 3).T, "cielab").astype(np.float64)
    return np.concatenate([lab.mean(axis=1), lab.std(axis=1)])


def histogram(pixels: np.ndarray) -> np.ndarray:
    """Return the share of the pixels in each of 4 x 4 x 4 cells of RGB: (64,)."""
    return _shares(_cells(pixels), _LEVELS**3)


def image(pixels: np.ndarray) -> np.ndarray:
    """Return the pixels in [0, 1], scaled to 32 x 32: (3072,)."""
    if pixels.shape[:2] != (SIDE, SIDE):
        pixels = np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BOX))
    return pixels.reshape(-1) / 255.0


def coherence(pixels: np.ndarray) -> np.ndarray:
    """Return the colour coherence vector (G. Pass, R. Zabih and J. Miller, ACM Multimedia 1996): (128,).

    For each of 64 cells of RGB: the share of the pixels in large, and in small, connected regions of the
    cell's colour.
    """
    cells = _cells(pixels)
    result = np.zeros((2, _LEVELS**3))
    for cell in np.unique(cells):
        areas, _ = ndimage.label(cells == cell, np.ones((3, 3)))
        sizes = np.bincount(areas.reshape(-1))[1:]
        large = sizes >= _COHERENT * cells.size
        result[:, cell] = sizes[large].sum(), sizes[~large].sum()
    return result.reshape(-1) / cells.size


def cooccurrence(pixels: np.ndarray) -> np.ndarray:
    """Return the grey-level co-occurrence in four directions (R. Haralick et al., 1973): (256,)."""
    grey = (pixels @ np.array([0.299, 0.587, 0.114]) / 256 * _GREYS).astype(np.int64)
    pairs = [
        (grey[:, :-1], grey[:, 1:]),
        (grey[:-1], grey[1:]),
        (grey[:-1, :-1], grey[1:, 1:]),
        (grey[:-1, 1:], grey[1:, :-1]),
    ]
    return np.concatenate([_shares(one * _GREYS + other, _GREYS**2) for one, other in pairs])


PIXEL_FEATURES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "coherence": coherence,
    "cooccurrence": cooccurrence,
    "histogram": histogram,
    "image": image,
    "pca": image,  # colorcnn.dcq.clusters reduces it
    "statistics": statistics,
}
"""Name -> function from pixels (H, W, 3) uint8 to a feature vector (D,)."""

LAYERS = ("shallow", "middle1", "middle2", "final")
"""The blocks of a network that give features, from the first to the last."""

GIVEN = ("label", "random")
"""Clusters that need no features."""


def _cells(pixels: np.ndarray) -> np.ndarray:
    return (pixels // (256 // _LEVELS)).astype(np.int64) @ np.array([_LEVELS**2, _LEVELS, 1])


def _shares(values: np.ndarray, cells: int) -> np.ndarray:
    return np.bincount(values.reshape(-1), minlength=cells) / max(1, values.size)


@dataclass(frozen=True)
class PixelFeatures:
    """Callable that returns the features of some images.

    Attributes:
        source: the images.
        name: a key of :data:`PIXEL_FEATURES`.
    """

    source: ImageSource
    name: str

    def __call__(self, images: Sequence[int]) -> Arrays:
        """Return ``features``, (n, D) float32."""
        extract = PIXEL_FEATURES[self.name]
        # One at a time: images may be large, features are small.
        rows = [extract(self.source.read([row])[0]) for row in images]
        return {"features": np.stack(rows).astype(np.float32)}
