"""Base class of the classical quantizers: checks, conversion to bytes, batches and threads."""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from colorcnn.colors import parse_colors
from colorcnn.errors import UsageError
from colorcnn.indexed import count_indices, map_indices

if TYPE_CHECKING:
    from torch import Tensor

    from colorcnn.paletted import Paletted

MAX_COLORS = 256


def check_num_colors(num_colors: int, maximum: int = MAX_COLORS) -> int:
    """Return a number of colours; raise UsageError if it is not a whole number in range.

    Args:
        num_colors: the number of colours.
        maximum: the largest allowed number.
    """
    if not isinstance(num_colors, int | np.integer) or not 1 <= num_colors <= maximum:
        raise UsageError(
            f"The number of colours is {num_colors!r}: choose a whole number from 1 to {maximum}."
        )
    return int(num_colors)


def as_pixels(images: Tensor, *, channels_last: bool = False) -> np.ndarray:
    """Convert a batch of images to (B, H, W, 3) uint8 pixels, without a copy if possible.

    Args:
        images: float (B, 3, H, W) in [0, 1], or uint8 (B, 3, H, W).
        channels_last: True if the images are (B, H, W, 3).

    Raises:
        UsageError: the tensor is not a batch of RGB images, or an image has no pixels.
    """
    import torch

    from colorcnn.paletted import to_bytes

    axis = 3 if channels_last else 1
    if images.ndim != 4 or images.shape[axis] != 3 or 0 in images.shape[1:]:
        expected = "(B, H, W, 3)" if channels_last else "(B, 3, H, W)"
        raise UsageError(f"images are {tuple(images.shape)}: give a batch {expected} with H, W >= 1.")
    if images.dtype != torch.uint8:
        if not images.is_floating_point():
            raise UsageError(f"images are {images.dtype}: give uint8, or floats in [0, 1].")
        images = to_bytes(images)
    if not channels_last:
        images = images.permute(0, 2, 3, 1)
    return np.ascontiguousarray(images.detach().cpu().numpy())


def is_network(quantizer: Any) -> bool:
    """Return True if a quantizer is a torch module, without importing torch."""
    torch: Any = sys.modules.get("torch")
    return torch is not None and isinstance(quantizer, torch.nn.Module)


def check_kept(keep: Any) -> np.ndarray:
    """Return the colours to keep as (m, 3) uint8 without duplicates.

    Args:
        keep: colours, see :func:`colorcnn.colors.parse_colors`.

    Raises:
        UsageError: a colour is invalid, or there are too many.
    """
    rows = np.array(parse_colors(keep), dtype=np.uint8).reshape(-1, 3)
    kept = distinct(rows)
    if len(kept) > MAX_COLORS:
        raise UsageError(f"There are {len(kept)} colours to keep: give at most {MAX_COLORS}.")
    return kept


def distinct(palette: np.ndarray) -> np.ndarray:
    """Return the distinct rows of an (n, 3) uint8 palette, in order of first appearance."""
    codes = palette.astype(np.int32) @ np.array([65536, 256, 1], np.int32)
    return palette[np.sort(np.unique(codes, return_index=True)[1])]


class Quantizer(ABC):
    """Base class of quantizers, which map images and a number of colours to index maps and palettes.

    A subclass implements one published method in :meth:`quantize_pixels`. Quantizers are deterministic, take
    any H, W >= 1 and 1 <= num_colors <= 256, and never give more than num_colors colours.
    """

    def __call__(self, images: Tensor, num_colors: int, *, channels_last: bool = False) -> Paletted:
        """Quantize a batch.

        Args:
            images: (B, 3, H, W), float in [0, 1] or uint8; (B, H, W, 3) with ``channels_last``.
            num_colors: maximum number of colours per image, 1..256.
            channels_last: True if the colours are the last dimension of ``images``.

        Returns:
            Paletted on the device of ``images``: uint8 indices, palettes of ``num_colors`` rows.

        Raises:
            UsageError: the shape, the type or the number of colours is invalid.
        """
        import torch

        from colorcnn.paletted import Paletted, from_bytes

        num_colors = check_num_colors(num_colors)
        pixels = as_pixels(images, channels_last=channels_last)
        results = self._map(pixels, num_colors)
        indices = np.empty(pixels.shape[:3], dtype=np.uint8)
        palette = np.zeros((len(pixels), num_colors, 3), dtype=np.uint8)
        for image, (index_map, colors) in enumerate(results):
            indices[image] = index_map
            palette[image, : len(colors)] = colors
        return Paletted(
            torch.from_numpy(indices).to(images.device),
            from_bytes(torch.from_numpy(palette)).to(images.device),
        )

    def quantize_many(self, images: Tensor, sizes: Sequence[int]) -> dict[int, Paletted]:
        """Quantize one batch to several numbers of colours.

        Args:
            images: (B, 3, H, W).
            sizes: numbers of colours.
        """
        return {size: self(images, size) for size in sizes}

    def _map(self, pixels: np.ndarray, num_colors: int) -> list[tuple[np.ndarray, np.ndarray]]:
        workers = min(len(pixels), os.cpu_count() or 1)
        if workers <= 1:
            return [self.quantize_pixels(image, num_colors) for image in pixels]
        # Compiled code releases the GIL. One slice per thread keeps the overhead low.
        with ThreadPoolExecutor(workers) as pool:
            parts = pool.map(
                lambda part: [self.quantize_pixels(image, num_colors) for image in part],
                np.array_split(pixels, workers),
            )
            return [result for part in parts for result in part]

    @abstractmethod
    def quantize_pixels(self, pixels: np.ndarray, num_colors: int) -> tuple[np.ndarray, np.ndarray]:
        """Quantize one image.

        Args:
            pixels: (H, W, 3) uint8.
            num_colors: 1..256.

        Returns:
            (H, W) uint8 indices and an (n, 3) uint8 palette without unused rows, n <= num_colors.
        """


def full_palettes(paletted: Paletted) -> Tensor:
    """Return palettes as bytes (B, C, 3); unused rows repeat the first row."""
    import torch

    from colorcnn.paletted import to_bytes

    rows = to_bytes(paletted.palette)
    return torch.where((paletted.usage > 0)[:, :, None], rows, rows[:, :1])


def drop_unused(indices: np.ndarray, palette: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Remove unused palette rows and renumber the index map.

    Args:
        indices: uint8 of any shape.
        palette: (n, 3); rows may be equal.
    """
    used = count_indices(indices, len(palette)) > 0
    table = np.maximum(np.cumsum(used) - 1, 0).astype(np.uint8)
    return map_indices(indices, table), palette[used]
