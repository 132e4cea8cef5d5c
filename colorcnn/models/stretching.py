"""Enlargement of maps to the size of an image, some rows at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def stretched(maps: Tensor, size: Sequence[int], rows: slice) -> Tensor:
    """Return some rows of maps that are enlarged, bilinear.

    Args:
        maps: (B, C, h, w).
        size: (H, W).
        rows: the wanted ones of H.

    Returns:
        (B, C, number of rows, W).
    """
    if tuple(maps.shape[2:]) == tuple(size):
        return maps[:, :, rows]
    wide, above, below, weight = widened(maps, size, rows)
    upper = wide[:, :, above]
    return upper + (wide[:, :, below] - upper) * weight[:, None]


def widened(maps: Tensor, size: Sequence[int], rows: slice) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Enlarge maps in their width alone, and describe the step between their rows.

    Args:
        maps: (B, C, h, w).
        size: (H, W).
        rows: the wanted ones of H.

    Returns:
        Maps (B, C, k, W) of the rows that are needed; and for each wanted row the row of these maps above it,
        the one below, and the weight of the one below.
    """
    height, width = size
    place = torch.arange(rows.start, rows.stop, dtype=maps.dtype, device=maps.device)
    place = ((place + 0.5) * (maps.shape[2] / height) - 0.5).clamp(0, maps.shape[2] - 1)
    above = place.floor().long()
    below = (above + 1).clamp_max(maps.shape[2] - 1)
    weight = place - above
    if not torch.compiler.is_exporting():
        first = max(0, rows.start * maps.shape[2] // height - 1)
        maps = maps[:, :, first : rows.stop * maps.shape[2] // height + 2]
        above, below = above - first, below - first
    if maps.shape[3] != width:
        maps = F.interpolate(maps, (maps.shape[2], width), mode="bilinear", align_corners=False)
    return maps, above, below, weight
