"""Dithering as a wrapper: the palette of any quantizer, with a dithered index map."""

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
        quantizer: quantizer that chooses the palette, with the interface of :class:`Quantizer`.
        dither: a name in :data:`DITHERS`.
        space: colour space of errors and distances; None uses the quantizer's space, or sRGB if it has none.
        serpentine: True to process every second row from right to left; only for Floyd-Steinberg.

    Raises:
        UsageError: the dither or the space is unknown, or the dither does not support ``serpentine``.
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
            raise UsageError(f"{dither} does not support serpentine: leave it out, or use floyd-steinberg.")
        self.quantizer = quantizer
        self.dither = dither
        self.space = check_space(space or str(getattr(quantizer, "space", "srgb")))
        self.options = {"serpentine": True} if serpentine else {}

    def __call__(self, images: Tensor, num_colors: int, *, channels_last: bool = False) -> Paletted:
        """Quantize and dither a batch; see :meth:`Quantizer.__call__`."""
        options = {"channels_last": True} if channels_last else {}
        plain = self.quantizer(images, num_colors, **options)
        return self._dithered(as_pixels(images, channels_last=channels_last), plain)

    def quantize_many(self, images: Tensor, sizes: Sequence[int]) -> dict[int, Paletted]:
        """Quantize and dither one batch to several numbers of colours.

        Args:
            images: (B, 3, H, W).
            sizes: numbers of colours.
        """
        plain = self.quantizer.quantize_many(images, sizes)
        pixels = as_pixels(images)
        return {size: self._dithered(pixels, plain[size]) for size in sizes}

    def assign(self, pixels: np.ndarray, palette: np.ndarray) -> np.ndarray:
        """Dither pixels with a palette; return (H, W) uint8 indices.

        Args:
            pixels: (H, W, 3) uint8.
            palette: (n, 3) uint8.
        """
        return DITHERS[self.dither](pixels, palette, space=self.space, **self.options)

    def _dithered(self, pixels: np.ndarray, plain: Paletted) -> Paletted:
        """Dither (B, H, W, 3) uint8 pixels with the palettes of ``plain``."""
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


def undithered(quantizer: Any) -> Any:
    """Return a quantizer without its dithering."""
    return quantizer.quantizer if isinstance(quantizer, Dithered) else quantizer
