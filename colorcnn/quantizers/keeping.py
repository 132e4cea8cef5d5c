"""Wrapper that keeps given colours in every palette of a quantizer without ``keep``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from colorcnn.errors import UsageError
from colorcnn.quantizers.base import as_pixels, check_kept, distinct, drop_unused

if TYPE_CHECKING:
    from torch import Tensor

    from colorcnn.paletted import Paletted


class Keeping:
    """Any quantizer, with given colours in each palette. This package's own methods take ``keep`` themselves.

    Args:
        quantizer: quantizer that chooses the other colours, with the interface of :class:`Quantizer`.
        keep: colours of three bytes.
    """

    def __init__(self, quantizer: Any, keep: Iterable[tuple[int, int, int]]) -> None:
        self.quantizer = quantizer
        self.keep = check_kept(keep)

    def room(self, num_colors: int) -> int:
        """Return the number of colours that the quantizer may choose.

        Raises:
            UsageError: no colours are left.
        """
        if len(self.keep) >= num_colors:
            raise UsageError(
                f"There are {len(self.keep)} colours to keep of {num_colors}, which leaves none to choose: "
                "allow more colours."
            )
        return num_colors - len(self.keep)

    def assign(self, pixels: np.ndarray, palette: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Map pixels to the kept colours and a palette; remove unused rows.

        Args:
            pixels: (..., 3) uint8.
            palette: (n, 3) uint8.
        """
        from colorcnn.quantizers.designed import nearest
        from colorcnn.quantizers.histogram import Histogram

        palette = distinct(np.concatenate([self.keep, palette]))
        histogram = Histogram(pixels)
        return drop_unused(histogram.per_pixel(nearest(histogram.colors, palette)), palette)

    def __call__(self, images: Tensor, num_colors: int, *, channels_last: bool = False) -> Paletted:
        """Quantize a batch; see :meth:`Quantizer.__call__`."""
        options = {"channels_last": True} if channels_last else {}
        plain = self.quantizer(images, self.room(num_colors), **options)
        return self._join(as_pixels(images, channels_last=channels_last), plain, num_colors)

    def quantize_many(self, images: Tensor, sizes: Sequence[int]) -> dict[int, Paletted]:
        """Quantize one batch to several numbers of colours.

        Args:
            images: (B, 3, H, W).
            sizes: numbers of colours.
        """
        plain = self.quantizer.quantize_many(images, [self.room(size) for size in sizes])
        pixels = as_pixels(images)
        return {size: self._join(pixels, plain[self.room(size)], size) for size in sizes}

    def _join(self, pixels: np.ndarray, plain: Paletted, num_colors: int) -> Paletted:
        import torch

        from colorcnn.paletted import Paletted, from_bytes

        indices = torch.empty(plain.indices.shape, dtype=torch.uint8)
        palette = torch.zeros(len(plain), num_colors, 3)
        for image in range(len(plain)):
            index_map, rows = self.assign(pixels[image], plain.compact(image)[1])
            indices[image] = torch.from_numpy(index_map)
            palette[image, : len(rows)] = from_bytes(torch.from_numpy(rows))
        return Paletted(indices.to(plain.indices.device), palette.to(plain.palette.device))
