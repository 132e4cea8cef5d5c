"""Exact distances of a batch's pixels to palettes, for quantizers that run on a GPU."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

_MOST = 1 << 24  # distances held at once


def squared_distances(pixels: Tensor, palette: Tensor) -> Tensor:
    """Return squared distances in whole numbers, which no device rounds.

    Args:
        pixels: (B, 3, n) bytes.
        palette: (B, C, 3) bytes.

    Returns:
        (B, n, C) int32.
    """
    pixels, palette = pixels.int(), palette.int()
    total = torch.zeros(1, dtype=torch.int32, device=pixels.device)
    for channel in range(3):
        total = total + (pixels[:, channel, :, None] - palette[:, None, :, channel]).square()
    return total


def pieces(pixels: Tensor, num_colors: int) -> Iterator[slice]:
    """Yield slices of pixels whose distances to all colours fit into memory together.

    Args:
        pixels: (B, 3, N).
        num_colors: C.
    """
    step = max(1, _MOST // (len(pixels) * num_colors))
    for start in range(0, pixels.shape[2], step):
        yield slice(start, start + step)
