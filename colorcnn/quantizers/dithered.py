"""Dithering as a wrapper: the palette of any quantizer, and new indices that spread the rounding error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from colorcnn.errors import UsageError, unknown_name
from colorcnn.quantizers.base import as_pixels, drop_unused
from colorcnn.quantizers.registry import DITHERS
from colorcnn.quantizers.spaces import check_space

if TYPE_CHECKING:
    from torch import Tensor

    from colorcnn.paletted import Paletted


class Dithered:
    """Any quantizer, classical or learned, followed by dithering.

    Args:
        quantizer: what chooses the palette; answers the calls of :class:`Quantizer`.
        dither: a name in :data:`DITHERS`.
        space: where errors are spread and the nearest colour is looked for; by default that of the
            quantizer, or sRGB where it has none.
        serpentine: for Floyd-Steinberg: run through every second row from right to left.

    Raises:
        UsageError: an unknown dither or space, or one that has no serpentine form.
    """

    def __init__(
        self,
        quantizer: Any,
        dither: str = "floyd-steinberg",
        *,
        space: str | None = None,
        serpentine: bool = False,
    ) -> None:
        if dither not in DITHERS:
            raise unknown_name("dither", dither, DITHERS)
        if serpentine and dither != "floyd-steinberg":
            raise UsageError(
                f"{dither} has no serpentine form: leave that out, or dither by floyd-steinberg."
            )
        self.quantizer = quantizer
        self.dither = dither
        self.space = check_space(space or str(getattr(quantizer, "space", "srgb")))
        self.options = {"serpentine": True} if serpentine else {}

    def __call__(self, images: Tensor, num_colors: int, *, channels_last: bool = False) -> Paletted:
        """Quantize, then assign the pixels anew; arguments and result as :class:`Quantizer` has them."""
        options = {"channels_last": True} if channels_last else {}
        plain = self.quantizer(images, num_colors, **options)
        return self._spread(as_pixels(images, channels_last=channels_last), plain)

    def quantize_many(self, images: Tensor, sizes: Sequence[int]) -> dict[int, Paletted]:
        """Quantize one batch to several palette sizes; work that their palettes share is done once.

        Args:
            images: (B, 3, H, W).
            sizes: numbers of colours.
        """
        plain = self.quantizer.quantize_many(images, sizes)
        pixels = as_pixels(images)
        return {size: self._spread(pixels, plain[size]) for size in sizes}

    def assign(self, pixels: np.ndarray, palette: np.ndarray) -> np.ndarray:
        """Dither pixels with a palette; returns (H, W) uint8 indices.

        Args:
            pixels: (H, W, 3) uint8.
            palette: (n, 3) uint8.
        """
        return DITHERS[self.dither](pixels, palette, space=self.space, **self.options)

    def _spread(self, pixels: np.ndarray, plain: Paletted) -> Paletted:
        """Assign (B, H, W, 3) uint8 pixels to the palettes of ``plain``, spreading the error."""
        import torch

        from colorcnn.paletted import Paletted, from_bytes

        indices = torch.empty(plain.indices.shape, dtype=torch.uint8)
        palette = torch.zeros_like(plain.palette, device="cpu")
        for image in range(len(plain)):
            rows = plain.compact(image)[1]
            index_map, rows = drop_unused(self.assign(pixels[image], rows), rows)
            indices[image] = torch.from_numpy(index_map)
            palette[image, : len(rows)] = from_bytes(torch.from_numpy(rows), palette.dtype)
        return Paletted(indices.to(plain.indices.device), palette.to(plain.palette.device))
