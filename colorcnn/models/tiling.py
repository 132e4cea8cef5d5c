"""Quantization of large images in tiles, whose index maps equal those of the whole image.

The features of a pixel depend only on its surroundings, the receptive field of the backbone. A tile is
computed with that much overlap, and only its core is kept. The palette is the mean of each index over the
whole image (Eq 3), so that sums are added up over the tiles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from colorcnn.models.assignment import hard_indices
from colorcnn.models.memory import needed_bytes
from colorcnn.paletted import Paletted

TILE_BYTES = 2 << 30
"""Memory that a tile may need. Free memory does not decide, so that two machines compute the same tiles."""

_LARGEST, _SMALLEST = 2048, 128


class Window(NamedTuple):
    """A part of an image that is a tile with its overlap, in pixels.

    Attributes:
        rows: the rows.
        columns: the columns.
        height: height of the whole image, padded to a multiple of the backbone's.
        width: width of the whole image, padded alike.
    """

    rows: slice
    columns: slice
    height: int
    width: int


def can_tile(model: Any) -> bool:
    """Return True if a quantizer computes an image in tiles.

    In training mode BatchNorm takes its statistics from the whole image.

    Args:
        model: a :class:`colorcnn.models.learned.LearnedQuantizer`.
    """
    return model.local and not model.training and hasattr(model.backbone, "halo")


def tile_side(model: Any, num_colors: int) -> int:
    """Return the side of the largest tile, without overlap, that needs at most :data:`TILE_BYTES`.

    Args:
        model: a quantizer that :func:`can_tile`.
        num_colors: C.
    """
    side, halo = _LARGEST, int(model.backbone.halo)
    while side > _SMALLEST and needed_bytes(model, side + 2 * halo, side + 2 * halo, num_colors) > TILE_BYTES:
        side //= 2
    return max(side, int(model.backbone.multiple))


def quantize_in_tiles(
    model: Any, images: Tensor, sizes: Sequence[int], side: int | None = None
) -> dict[int, Paletted]:
    """Quantize a batch in tiles.

    Args:
        model: a quantizer that :func:`can_tile`.
        images: (B, 3, H, W), float in [0, 1] or uint8, on any device; only tiles go to the model's device.
        sizes: the numbers of colours.
        side: side of a tile without overlap; by default :func:`tile_side`.

    Returns:
        See :meth:`colorcnn.models.learned.LearnedQuantizer.quantize_many`, on the device of the images.
    """
    multiple = int(model.backbone.multiple)
    side = tile_side(model, max(sizes)) if side is None else side
    side = -(-side // multiple) * multiple  # a tile starts where the backbone's coarsest pixel starts
    parts = [_quantize(model, images[number, None], sizes, side) for number in range(len(images))]
    return {size: Paletted.stack([part[size] for part in parts]) for size in sizes}


def _quantize(model: Any, image: Tensor, sizes: Sequence[int], side: int) -> dict[int, Paletted]:
    height, width = image.shape[2:]
    maps = {size: torch.empty(1, height, width, dtype=torch.uint8, device=image.device) for size in sizes}
    sums: dict[int, Tensor] = {}
    tiles = list(_tiles(height, width, side, int(model.backbone.halo), int(model.backbone.multiple)))
    for rows, columns, window in tqdm(tiles, unit="tile", disable=None, leave=False):
        pixels = model.as_floats(image[:, :, window.rows, window.columns])
        core = (..., _within(rows, window.rows), _within(columns, window.columns))
        features = model.backbone.tile(pixels, window)[core]
        for size in sizes:
            logits = model.logits(features, size)
            indices = hard_indices(logits)
            maps[size][:, rows, columns] = indices.to(maps[size])
            found = model.color_sums(pixels[core], logits, indices).to(image.device)
            sums[size] = sums[size] + found if size in sums else found
    return {size: model.tiled_result(image, maps[size], sums[size]) for size in sizes}


def _tiles(
    height: int, width: int, side: int, halo: int, multiple: int
) -> Iterator[tuple[slice, slice, Window]]:
    """Yield the rows and columns of every tile, and its window."""
    halo = -(-halo // multiple) * multiple
    whole = -(-height // multiple) * multiple, -(-width // multiple) * multiple
    for rows in _pieces(height, side):
        for columns in _pieces(width, side):
            window = Window(
                slice(max(0, rows.start - halo), min(whole[0], rows.start + side + halo)),
                slice(max(0, columns.start - halo), min(whole[1], columns.start + side + halo)),
                *whole,
            )
            yield rows, columns, window


def _pieces(length: int, side: int) -> Iterator[slice]:
    for start in range(0, length, side):
        yield slice(start, min(start + side, length))


def _within(part: slice, whole: slice) -> slice:
    return slice(part.start - whole.start, part.stop - whole.start)
