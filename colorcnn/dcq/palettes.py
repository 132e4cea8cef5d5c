"""Stage 2, attention-guided palette allocation: which pixels make the palette of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from colorcnn.dcq.refine import refinement_images
from colorcnn.dcq.settings import Settings
from colorcnn.dcq.sources import ImageSource
from colorcnn.dcq.stages import Arrays
from colorcnn.quantizers.designed import Designed, Points
from colorcnn.quantizers.histogram import Histogram
from colorcnn.quantizers.k_means import KMeans
from colorcnn.quantizers.palettes import SharedPalette
from colorcnn.quantizers.spaces import enter, leave

MOST_PIXELS = 1 << 26
"""Of all clusters together; 200 MB."""


def attended(attention: np.ndarray, height: int, width: int, share: float) -> np.ndarray:
    """The pixels of largest attention.

    Args:
        attention: (h, w) float, of any size; it is brought to the image's bilinearly.
        height: H of the image.
        width: W of the image.
        share: how many are kept, in (0, 1]; of equal ones the first in reading order.

    Returns:
        Positions (n,) in reading order; all of them where the attention is 0 everywhere or not finite.
    """
    if not np.isfinite(attention).all() or not attention.any():
        return np.arange(height * width)
    maps = torch.from_numpy(attention.astype(np.float32))[None, None]
    large = (
        F.interpolate(maps, size=(height, width), mode="bilinear", align_corners=False).reshape(-1).numpy()
    )
    keep = max(1, round(share * height * width))
    least = np.partition(large, -keep)[-keep]
    above, equal = np.flatnonzero(large > least), np.flatnonzero(large == least)
    return np.sort(np.concatenate([above, equal[: keep - len(above)]]))


@dataclass(frozen=True)
class Sampling:
    """A stage's work: pixels drawn from some images, without replacement, from those attended to.

    Attributes:
        source: the images.
        shares: (N,) float, how many pixels each image gives on average.
        share: of its pixels an image's palette may be made of.
        attention: reads the maps of some images; None takes all pixels.
        seed: of the draws, each image's own.
    """

    source: ImageSource
    shares: np.ndarray
    share: float
    attention: Callable[[Sequence[int]], np.ndarray] | None
    seed: int

    def __call__(self, images: Sequence[int]) -> Arrays:
        """``pixels`` (M, 3) uint8, ``counts`` (n,) of each image, ``blind`` how many images had no map."""
        drawn, counts, blind = [], [], 0
        maps = None if self.attention is None else self.attention(images)
        for place, image in enumerate(images):
            pixels = self.source.read([image])[0]
            flat = pixels.reshape(-1, 3)
            if maps is not None:
                height, width = pixels.shape[:2]
                kept = attended(maps[place], height, width, self.share)
                blind += len(kept) == len(flat) and self.share < 1
                flat = flat[kept]
            random = np.random.default_rng([self.seed, 2, int(image)])
            size = int(self.shares[image]) + int(random.random() < self.shares[image] % 1)
            if size < len(flat):
                flat = flat[np.sort(random.choice(len(flat), size, replace=False))]
            drawn.append(flat)
            counts.append(len(flat))
        return {
            "pixels": np.concatenate(drawn),
            "counts": np.array(counts, np.int64),
            "blind": np.array(blind),
        }


def grouped(drawn: Arrays, clusters: np.ndarray, count: int) -> list[np.ndarray]:
    """Sort the pixels that a :class:`Sampling` drew from some images by cluster.

    Args:
        drawn: the pixels.
        clusters: (n,) cluster of each image.
        count: number of clusters.
    """
    owners = np.repeat(clusters, drawn["counts"])
    order = np.argsort(owners, kind="stable")
    ends = np.searchsorted(owners[order], np.arange(1, count))
    return np.split(drawn["pixels"][order], ends)


def pixel_shares(clusters: np.ndarray, count: int, budget: int) -> np.ndarray:
    """Return the number of pixels that each image gives, (N,) float, at most ``budget`` for each cluster.

    Args:
        clusters: (N,) cluster of each image.
        count: number of clusters.
        budget: the most pixels of a cluster.
    """
    sizes = np.maximum(np.bincount(clusters, minlength=count), 1)
    return min(budget, MOST_PIXELS / count) / sizes[clusters]


def design_palette(
    pixels: np.ndarray, num_colors: int, *, space: str, unique: bool = False, seed: int = 0
) -> np.ndarray:
    """k-means on the pixels of a cluster.

    Args:
        pixels: (M, 3) uint8.
        num_colors: K.
        space: where distances are measured.
        unique: every different colour counts once, however often it occurs.
        seed: of the beginnings.

    Returns:
        (K, 3) float32 coordinates in ``space``; the last repeated where there are fewer colours.
    """
    if not len(pixels):
        return np.zeros((num_colors, 3), np.float32)
    histogram = Histogram(pixels)
    values = enter(histogram.colors.T, space)
    weights = histogram.counts.astype(np.float32)
    if len(weights) <= num_colors:
        centers = values
    else:
        points = Points(values, np.ones_like(weights) if unique else weights)
        method = KMeans(quality="best", space=space, seed=seed)
        centers = method.design(points, num_colors, np.empty((3, 0), np.float32))
    return _padded(np.ascontiguousarray(centers.T), num_colors)


@dataclass(frozen=True)
class Designing:
    """A stage's work: the palette of a cluster.

    Attributes:
        source: the images.
        settings: how palettes are designed.
        quantizer: by which method; None is k-means in the settings' space.
    """

    source: ImageSource
    settings: Settings
    quantizer: Any

    def __call__(self, cluster: tuple[np.ndarray, np.ndarray]) -> Arrays:
        """``palette``, (K, 3) float32 coordinates, for a cluster's images (n,) and pixels (M, 3) uint8."""
        (members, pixels), settings = cluster, self.settings
        if self.quantizer is None:
            found = design_palette(
                pixels, settings.num_colors, space=settings.space, unique=settings.unique, seed=settings.seed
            )
            return {"palette": found}
        shown: Sequence[np.ndarray] = [pixels]
        if not isinstance(self.quantizer, Designed):
            shown = list(refinement_images(self.source, members, settings.seed))
        palette = shared_palette(self.quantizer, shown, settings.num_colors)
        return {"palette": np.ascontiguousarray(enter(palette.T, settings.space).T)}


def shared_palette(quantizer: Any, shown: Sequence[np.ndarray], num_colors: int) -> np.ndarray:
    """One palette by any method for several images.

    Args:
        quantizer: the method.
        shown: images (H, W, 3) uint8, or for the project's own methods any pixels (..., 3).
        num_colors: K.

    Returns:
        (K, 3) uint8; the last repeated where there are fewer colours.
    """
    if not any(pixels.size for pixels in shown):
        return np.zeros((num_colors, 3), np.uint8)
    if isinstance(quantizer, Designed):
        histogram = Histogram(np.concatenate([pixels.reshape(-1, 3) for pixels in shown]))
        return _padded(quantizer.design_palette(histogram.colors, histogram.counts, num_colors), num_colors)
    palette = SharedPalette(quantizer, num_colors)
    for pixels in shown:
        palette.show(pixels)
    return _padded(palette.design(), num_colors)


def by_lightness(palette: np.ndarray) -> np.ndarray:
    """The rows of an (n, 3) uint8 palette from dark to light, which makes index maps alike and small."""
    lightness = enter(palette.T, "cielab")[0]
    return palette[np.argsort(lightness, kind="stable")]


def to_colors(coordinates: np.ndarray, space: str) -> np.ndarray:
    """Convert palettes to uint8 sRGB, each from dark to light.

    Args:
        coordinates: (..., K, 3).
        space: their colour space.
    """
    flat = leave(coordinates.reshape(-1, 3).T, space).reshape(coordinates.shape)
    return np.stack([by_lightness(palette) for palette in flat])


def _padded(palette: np.ndarray, num_colors: int) -> np.ndarray:
    return palette[np.minimum(np.arange(num_colors), len(palette) - 1)]
