"""Stage 2, attention-guided palette allocation: choose pixels and design the palette of a cluster."""

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
"""Maximum number of sampled pixels of all clusters together (200 MB)."""


def attended(attention: np.ndarray, height: int, width: int, share: float) -> np.ndarray:
    """Return the pixels of largest attention.

    Args:
        attention: (h, w) float, scaled bilinearly to the image's size.
        height: H of the image.
        width: W of the image.
        share: share of the pixels to keep, in (0, 1]; of equal pixels the first in reading order.

    Returns:
        Positions (n,) in reading order; all of them if the attention is 0 everywhere or not finite.
    """
    if not np.isfinite(attention).all() or not attention.any():
        return np.arange(height * width)
    maps = torch.from_numpy(attention.astype(np.float32))[None, None]
    large = (
        F.interpolate(maps, size=(height, width), mode="bilinear", align_corners=False).reshape(-1).numpy()
    )
    keep = max(1, round(share * height * width))
    limit = np.partition(large, -keep)[-keep]
    above, equal = np.flatnonzero(large > limit), np.flatnonzero(large == limit)
    return np.sort(np.concatenate([above, equal[: keep - len(above)]]))


@dataclass(frozen=True)
class PixelSampler:
    """Callable that draws pixels of largest attention from some images, without replacement.

    Attributes:
        source: the images.
        pixels_per_image: (N,) float, mean number of pixels drawn from each image.
        kept: share of an image's pixels that may be drawn, in (0, 1].
        attention: function that returns the maps of some images; None takes all pixels.
        seed: seed of the draws; each image has its own random stream.
    """

    source: ImageSource
    pixels_per_image: np.ndarray
    kept: float
    attention: Callable[[Sequence[int]], np.ndarray] | None
    seed: int

    def __call__(self, images: Sequence[int]) -> Arrays:
        """Return ``pixels`` (M, 3), ``counts`` (n,), and the number of images ``without_attention``."""
        drawn, counts, without = [], [], 0
        maps = None if self.attention is None else self.attention(images)
        for number, image in enumerate(images):
            pixels = self.source.read([image])[0]
            flat = pixels.reshape(-1, 3)
            if maps is not None:
                height, width = pixels.shape[:2]
                kept = attended(maps[number], height, width, self.kept)
                without += len(kept) == len(flat) and self.kept < 1
                flat = flat[kept]
            random = np.random.default_rng([self.seed, 2, int(image)])
            mean = self.pixels_per_image[image]
            size = int(mean) + int(random.random() < mean % 1)
            if size < len(flat):
                flat = flat[np.sort(random.choice(len(flat), size, replace=False))]
            drawn.append(flat)
            counts.append(len(flat))
        return {
            "pixels": np.concatenate(drawn),
            "counts": np.array(counts, np.int64),
            "without_attention": np.array(without),
        }


def grouped(drawn: Arrays, clusters: np.ndarray, count: int) -> list[np.ndarray]:
    """Group the pixels drawn from some images by cluster.

    Args:
        drawn: the result of a :class:`PixelSampler`.
        clusters: (n,) cluster of each image.
        count: number of clusters.
    """
    owners = np.repeat(clusters, drawn["counts"])
    order = np.argsort(owners, kind="stable")
    ends = np.searchsorted(owners[order], np.arange(1, count))
    return np.split(drawn["pixels"][order], ends)


def pixels_per_image(clusters: np.ndarray, count: int, limit: int) -> np.ndarray:
    """Return the mean number of pixels to draw from each image, (N,) float.

    Args:
        clusters: (N,) cluster of each image.
        count: number of clusters.
        limit: maximum number of pixels per cluster.
    """
    sizes = np.maximum(np.bincount(clusters, minlength=count), 1)
    return min(limit, MOST_PIXELS / count) / sizes[clusters]


def design_palette(
    pixels: np.ndarray, num_colors: int, *, space: str, unique: bool = False, seed: int = 0
) -> np.ndarray:
    """Run k-means on the pixels of a cluster.

    Args:
        pixels: (M, 3) uint8.
        num_colors: K.
        space: the colour space of the distance.
        unique: True to count every distinct colour once.
        seed: seed of the initial centres.

    Returns:
        (K, 3) float32 coordinates in ``space``. With fewer colours the last one is repeated.
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
class PaletteDesigner:
    """Callable that designs the palette of a cluster.

    Attributes:
        source: the images.
        settings: the settings of the design.
        quantizer: the method; None is k-means in the settings' space.
    """

    source: ImageSource
    settings: Settings
    quantizer: Any

    def __call__(self, cluster: tuple[np.ndarray, np.ndarray]) -> Arrays:
        """Return ``palette``, (K, 3) float32 coordinates, of a cluster's images (n,) and pixels (M, 3)."""
        (members, pixels), settings = cluster, self.settings
        if self.quantizer is None:
            found = design_palette(
                pixels, settings.num_colors, space=settings.space, unique=settings.unique, seed=settings.seed
            )
            return {"palette": found}
        images: Sequence[np.ndarray] = [pixels]
        if not isinstance(self.quantizer, Designed):
            images = list(refinement_images(self.source, members, settings.seed))
        palette = shared_palette(self.quantizer, images, settings.num_colors)
        return {"palette": np.ascontiguousarray(enter(palette.T, settings.space).T)}


def shared_palette(quantizer: Any, images: Sequence[np.ndarray], num_colors: int) -> np.ndarray:
    """Design one palette for several images, by any method.

    Args:
        quantizer: the method.
        images: images (H, W, 3) uint8; a :class:`Designed` quantizer also takes pixels of any shape (..., 3).
        num_colors: K.

    Returns:
        (K, 3) uint8. With fewer colours the last one is repeated.
    """
    if not any(pixels.size for pixels in images):
        return np.zeros((num_colors, 3), np.uint8)
    if isinstance(quantizer, Designed):
        histogram = Histogram(np.concatenate([pixels.reshape(-1, 3) for pixels in images]))
        return _padded(quantizer.design_palette(histogram.colors, histogram.counts, num_colors), num_colors)
    palette = SharedPalette(quantizer, num_colors)
    for pixels in images:
        palette.show(pixels)
    return _padded(palette.design(), num_colors)


def by_lightness(palette: np.ndarray) -> np.ndarray:
    """Sort an (n, 3) uint8 palette from dark to light, so that index maps are similar and compress well."""
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
