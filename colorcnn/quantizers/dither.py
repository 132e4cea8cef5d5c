"""Dithering as a wrapper: the palette of any quantizer, and new indices that spread the rounding error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from colorcnn.errors import unknown_name
from colorcnn.paletted import Paletted, from_bytes
from colorcnn.quantizers.base import as_pixels, drop_unused


def floyd_steinberg(pixels: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Error diffusion by R. Floyd and L. Steinberg (1976), Pillow's code.

    Args:
        pixels: (H, W, 3) uint8.
        palette: (n, 3) uint8, 1 <= n <= 256.

    Returns:
        (H, W) uint8 indices into ``palette``.
    """
    carrier = Image.new("P", (1, 1))
    carrier.putpalette(palette.tobytes(), "RGB")
    picture = Image.fromarray(pixels).quantize(palette=carrier, dither=Image.Dither.FLOYDSTEINBERG)
    return np.asarray(picture)


DITHERS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {"floyd-steinberg": floyd_steinberg}


class Dithered:
    """Any quantizer, classical or learned, followed by dithering.

    Args:
        quantizer: what chooses the palette; answers the calls of :class:`Quantizer`.
        dither: a name in :data:`DITHERS`.
    """

    def __init__(self, quantizer: Any, dither: str = "floyd-steinberg") -> None:
        if dither not in DITHERS:
            raise unknown_name("dither", dither, DITHERS)
        self.quantizer = quantizer
        self.dither = dither

    def __call__(self, images: Tensor, num_colors: int, *, channels_last: bool = False) -> Paletted:
        """Quantize, then assign the pixels anew; arguments and result as :class:`Quantizer` has them."""
        options = {"channels_last": True} if channels_last else {}
        plain = self.quantizer(images, num_colors, **options)
        return self._spread(as_pixels(images, channels_last=channels_last), plain)

    def quantize_many(self, images: Tensor, sizes: Sequence[int]) -> dict[int, Paletted]:
        """Quantize one batch to several palette sizes; what their palettes share is computed once."""
        plain = self.quantizer.quantize_many(images, sizes)
        pixels = as_pixels(images)
        return {size: self._spread(pixels, plain[size]) for size in sizes}

    def _spread(self, pixels: np.ndarray, plain: Paletted) -> Paletted:
        """Assign (B, H, W, 3) uint8 pixels to the palettes of ``plain``, spreading the error."""
        indices = torch.empty(plain.indices.shape, dtype=torch.uint8)
        palette = torch.zeros_like(plain.palette, device="cpu")
        for image in range(len(plain)):
            rows = plain.compact(image)[1]
            index_map, rows = drop_unused(DITHERS[self.dither](pixels[image], rows), rows)
            indices[image] = torch.from_numpy(index_map)
            palette[image, : len(rows)] = from_bytes(torch.from_numpy(rows), palette.dtype)
        return Paletted(indices.to(plain.indices.device), palette.to(plain.palette.device))
