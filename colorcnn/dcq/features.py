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
"""Larger images are brought to this side before their pixels are compared place by place."""

_LEVELS = 4  # of a channel in a histogram
_GREYS = 8
_COHERENT = 0.01  # of the pixels: a connected area of one colour of this size is coherent


def statistics(pixels: np.ndarray) -> np.ndarray:
    """Mean and standard deviation of L*, a* and b*: (6,)."""
    lab = enter(pixels.reshape(-1, 3).T, "cielab").astype(np.float64)
    return np.concatenate([lab.mean(axis=1), lab.std(axis=1)])


def histogram(pixels: np.ndarray) -> np.ndarray:
    """Share of the pixels in each of 4 x 4 x 4 cells of RGB: (64,)."""
    return _shares(_cells(pixels), _LEVELS**3)


def image(pixels: np.ndarray) -> np.ndarray:
    """The pixels themselves, in [0, 1], brought to 32 x 32: (3072,)."""
    if pixels.shape[:2] != (SIDE, SIDE):
        pixels = np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BOX))
    return pixels.reshape(-1) / 255.0


def coherence(pixels: np.ndarray) -> np.ndarray:
    """Colour coherence vector (G. Pass, R. Zabih and J. Miller, ACM Multimedia 1996): (128,).

    For each of 64 cells of RGB, the shares of the pixels in connected areas of the cell's colour that are
    large, and in those that are small.
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
    """Grey-level co-occurrence (R. Haralick et al., 1973): shares of pairs in four directions, (256,)."""
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
    "pca": image,  # reduced where the clusters are made
    "statistics": statistics,
}
"""By name: pixels (H, W, 3) uint8 to a feature vector (D,)."""

LAYERS = ("shallow", "middle1", "middle2", "final")
"""The stages of a network that features can be taken from, from its first to its last."""

GIVEN = ("label", "random")
"""Clusters that need no features."""


def _cells(pixels: np.ndarray) -> np.ndarray:
    return (pixels // (256 // _LEVELS)).astype(np.int64) @ np.array([_LEVELS**2, _LEVELS, 1])


def _shares(values: np.ndarray, cells: int) -> np.ndarray:
    return np.bincount(values.reshape(-1), minlength=cells) / max(1, values.size)


@dataclass(frozen=True)
class PixelFeatures:
    """A stage's work: the features of some images.

    Attributes:
        source: the images.
        name: a key of :data:`PIXEL_FEATURES`.
    """

    source: ImageSource
    name: str

    def __call__(self, images: Sequence[int]) -> Arrays:
        """``features``, (n, D) float32."""
        extract = PIXEL_FEATURES[self.name]
        # One at a time: images may be large, features are small.
        rows = [extract(self.source.read([row])[0]) for row in images]
        return {"features": np.stack(rows).astype(np.float32)}
