"""Reduction of one image to a few colours, and its PNG file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from colorcnn.alpha import index_visible
from colorcnn.commands.quantize.options import OPAQUE, QuantizeOptions
from colorcnn.commands.quantize.quality import largest_error, squared_error
from colorcnn.images import flatten
from colorcnn.quantizers.base import is_network
from colorcnn.quantizers.dithered import undithered
from colorcnn.quantizers.rgba import error_with_alpha, png_with_alpha, quantize_with_alpha


@dataclass(frozen=True)
class Reduced:
    """An image of few colours, before it is encoded."""

    palette: np.ndarray
    """(n, 3) uint8: the visible colours."""
    transparent: bool
    error: float
    """Mean squared error of a pixel, summed over its channels in [0, 1]."""
    encode: Callable[[], bytes]
    """Function that returns the PNG file."""


@dataclass(frozen=True)
class Pixels:
    """The pixels of an image, with a mask of the visible ones."""

    colors: np.ndarray
    """(H, W, 3) uint8."""
    visible: np.ndarray
    """(H, W) bool."""
    alpha: np.ndarray | None
    """(H, W) uint8, or None if all pixels are opaque."""

    @property
    def transparent(self) -> np.ndarray | None:
        """The (H, W) mask of the invisible pixels, or None without any."""
        return None if self.visible.all() else ~self.visible


def read_pixels(picture: Image.Image, options: QuantizeOptions) -> Pixels:
    """Return the pixels of an image of mode RGB or RGBA.

    Args:
        picture: an image from :func:`colorcnn.images.read_image`.
        options: ``background`` is drawn behind the image; ``alpha`` decides which pixels are visible.
    """
    if options.background is not None:
        picture = flatten(picture, options.background)
    alpha = None
    if picture.mode == "RGBA":
        alpha = np.asarray(picture.getchannel("A"))
        picture = picture.convert("RGB")
    pixels = np.array(picture)
    least = 1 if options.alpha == "full" else OPAQUE
    visible = np.ones(pixels.shape[:2], dtype=bool) if alpha is None else alpha >= least
    return Pixels(pixels, visible, None if alpha is None or alpha.min() == 255 else alpha)


def reduce(pixels: Pixels, quantizer: Any, options: QuantizeOptions, device: str) -> Reduced:
    """Quantize an image to the fewest colours that reach ``options.quality``, or to ``options.colors``.

    Args:
        pixels: pixels of the image.
        quantizer: a quantizer for batches of images.
        options: the command line's options.
        device: device of the images for the quantizer.
    """
    colors = options.colors or 256
    if options.quality is None:
        return _reduce_to(colors, pixels, quantizer, options, device)
    wanted = largest_error(options.quality.enough)
    tried: dict[int, Reduced] = {}

    def enough(count: int) -> bool:
        tried[count] = _reduce_to(count, pixels, quantizer, options, device)
        return tried[count].error <= wanted

    counts = _counts(quantizer, colors)
    low, high = 0, len(counts) - 1
    if enough(counts[high]):
        while low < high:  # more colours have a smaller error
            middle = (low + high) // 2
            low, high = (low, middle) if enough(counts[middle]) else (middle + 1, high)
    best = counts[high]
    return tried[best] if best in tried else _reduce_to(best, pixels, quantizer, options, device)


def _counts(quantizer: Any, most: int) -> list[int]:
    """Return the numbers of colours that a search may try, in order."""
    from colorcnn.quantizers.palettes import Fixed

    inner = undithered(quantizer)
    if isinstance(inner, Fixed):
        return [most]
    if is_network(inner):
        trained = getattr(inner, "trained_sizes", ())
        return [*sorted(size for size in trained if size < most), most]
    least = 1 + len(getattr(inner, "keep", ()))
    return list(range(min(least, most), most + 1))


def _reduce_to(colors: int, pixels: Pixels, quantizer: Any, options: QuantizeOptions, device: str) -> Reduced:
    if options.alpha == "full" and pixels.alpha is not None:
        rgba = np.dstack([pixels.colors, pixels.alpha])
        indices, palette = quantize_with_alpha(rgba, colors, seed=options.seed)
        return Reduced(
            palette[palette[:, 3] > 0, :3],
            bool((palette[:, 3] == 0).any()),
            error_with_alpha(rgba, palette[indices]),
            lambda: png_with_alpha(indices, palette),
        )
    transparent = pixels.transparent
    colors = colors if transparent is None else min(colors, 255)
    found = index_visible(quantizer, pixels.colors, pixels.visible, colors, device)
    return Reduced(
        found.compact(transparent=transparent).palette,
        transparent is not None,
        squared_error(pixels.colors, found.pixels(), pixels.visible) if options.quality else 0.0,
        lambda: found.png(transparent=transparent),
    )
