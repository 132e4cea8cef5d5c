"""Wu's quantizer for a whole batch on its device, for imitation targets computed during training.

The cuts equal those of :func:`colorcnn.quantizers.boxes.wu`: sums of bytes are integers and exact in any
order, and the compared values have the same formulas.
"""

from __future__ import annotations

import torch
from torch import Tensor

from colorcnn.quantizers.base import check_num_colors
from colorcnn.quantizers.batched import pieces, squared_distances
from colorcnn.quantizers.boxes import CELLS
from colorcnn.quantizers.wu import Wu

_SIDE = CELLS + 1
_STRIDES = (_SIDE * _SIDE, _SIDE, 1)


def wu_index_maps(images: Tensor, num_colors: int) -> Tensor:
    """Return the index maps of Wu's quantizer, computed on the device of the images.

    The few images with an unused or repeated palette row are quantized by :class:`Wu` itself.

    Args:
        images: uint8 (B, 3, H, W).
        num_colors: C, 1..256.

    Returns:
        uint8 (B, H, W), each entry below C. As partitions of the pixels they equal the maps of :class:`Wu`.
    """
    check_num_colors(num_colors)
    pixels = images.flatten(2).transpose(1, 2)  # (B, N, 3)
    palette, count = _cut(_moments(pixels), num_colors)
    labels = _nearest(pixels, palette)
    used = torch.zeros(palette.shape[:2], dtype=torch.bool, device=images.device)
    used.scatter_(1, labels, True)
    odd = (~((used.sum(dim=1) == num_colors) & (count == num_colors))).nonzero().flatten()
    maps = labels.to(torch.uint8).view(len(images), *images.shape[2:])
    if len(odd):
        maps[odd] = Wu()(images[odd], num_colors).indices.to(images.device)
    return maps


def _moments(pixels: Tensor) -> Tensor:
    """Return sums (B, 33^3, 5) of weight, coordinates and squares over corner boxes, see :func:`moments`."""
    batch = len(pixels)
    values = pixels.double()
    low, high = values.amin(dim=1, keepdim=True), values.amax(dim=1, keepdim=True)
    scale = torch.where(high > low, CELLS * 0.999999 / (high - low), 0.0)
    cell = ((values - low) * scale).long()
    flat = cell[..., 0] * CELLS**2 + cell[..., 1] * CELLS + cell[..., 2]
    flat = flat + torch.arange(batch, device=pixels.device)[:, None] * CELLS**3
    amounts = torch.cat([torch.ones_like(values[..., :1]), values, values.square().sum(2, keepdim=True)], 2)
    table = torch.zeros(batch * CELLS**3, 5, dtype=torch.float64, device=pixels.device)
    table.index_add_(0, flat.flatten(), amounts.flatten(0, 1))
    table = table.view(batch, CELLS, CELLS, CELLS, 5).cumsum(1).cumsum(2).cumsum(3)
    return torch.nn.functional.pad(table, (0, 0, 1, 0, 1, 0, 1, 0)).flatten(1, 3)


def _cut(table: Tensor, num_colors: int) -> tuple[Tensor, Tensor]:
    """Return palettes (B, C, 3) of bytes, and the number of boxes (B,)."""
    batch, device = len(table), table.device
    rows = torch.arange(batch, device=device)
    boxes = torch.zeros(batch, num_colors, 6, dtype=torch.int64, device=device)
    boxes[:, 0, 1::2] = CELLS
    sums = torch.zeros(batch, num_colors, 5, dtype=torch.float64, device=device)
    errors = torch.full((batch, num_colors), -1.0, dtype=torch.float64, device=device)
    sums[:, 0], errors[:, 0] = _measure(table, boxes[:, 0])
    count = torch.ones(batch, dtype=torch.int64, device=device)
    step = 0
    while True:
        worst = errors.argmax(dim=1)
        going = (errors[rows, worst] > 0) & (count < num_colors)
        step += 1
        if step >= num_colors and not bool(going.any()):  # earlier checks would only wait for the GPU
            break
        box = boxes[rows, worst]
        axis, place = _best_cut(table, box, sums[rows, worst])
        cut = going & (axis >= 0)
        errors[rows, worst] = torch.where(going, 0.0, errors[rows, worst])  # stays 0 if the box cannot be cut
        axis, slot = axis.clamp_min(0), count.clamp_max(num_colors - 1)
        first, second = box.clone(), box.clone()
        first.scatter_(1, (2 * axis + 1)[:, None], place[:, None])
        second.scatter_(1, (2 * axis)[:, None], place[:, None])
        for half, at in ((first, worst), (second, slot)):
            total, error = _measure(table, half)
            boxes[rows, at] = torch.where(cut[:, None], half, boxes[rows, at])
            sums[rows, at] = torch.where(cut[:, None], total, sums[rows, at])
            errors[rows, at] = torch.where(cut, error, errors[rows, at])
        count = count + cut
    means = (sums[..., 1:4] / sums[..., :1].clamp_min(1)).float()
    return (means + 0.5).floor().clamp(0, 255).long(), count


def _at(table: Tensor, places: Tensor) -> Tensor:
    """Return the entries (B, ..., 5) of a table at flat positions (B, ...)."""
    flat = places.flatten(1)[..., None].expand(-1, -1, 5)
    return table.gather(1, flat).view(*places.shape, 5)


def _faces(table: Tensor, box: Tensor, axis: int, places: Tensor) -> Tensor:
    """Return the signed sums (B, P, 5) of the corners of boxes (B, 6) at positions (B, P) along an axis."""
    one, other = (axis + 1) % 3, (axis + 2) % 3
    total: Tensor | None = None
    for a in range(2):
        for b in range(2):
            corner = box[:, 2 * one + a] * _STRIDES[one] + box[:, 2 * other + b] * _STRIDES[other]
            found = _at(table, places * _STRIDES[axis] + corner[:, None])
            signed = found if a == b else -found
            total = signed if total is None else total + signed
    assert total is not None
    return total


def _measure(table: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
    """Return the moments (B, 5) of boxes (B, 6), and the squared errors (B,) around their means."""
    faces = _faces(table, box, 0, box[:, :2])
    sums = faces[:, 1] - faces[:, 0]
    squares = sums[:, 1] ** 2 + sums[:, 2] ** 2 + sums[:, 3] ** 2
    error = sums[:, 4] - squares / sums[:, 0].clamp_min(0.5)
    return sums, torch.where(sums[:, 0] < 0.5, 0.0, error)


def _best_cut(table: Tensor, box: Tensor, sums: Tensor) -> tuple[Tensor, Tensor]:
    """Return axis and position (B,) of the cuts with minimum squared error; axis -1 if no cut is possible."""
    places = torch.arange(1, CELLS, device=table.device).expand(len(table), -1)
    values = []
    for across in range(3):
        low = _faces(table, box, across, box[:, 2 * across, None])
        part = _faces(table, box, across, places) - low
        rest = sums[:, None] - part
        one, other = part[..., 0], rest[..., 0]
        inside = (places > box[:, 2 * across, None]) & (places < box[:, 2 * across + 1, None])
        able = inside & (one >= 0.5) & (other >= 0.5)
        one, other = torch.where(able, one, 1.0), torch.where(able, other, 1.0)
        value = torch.zeros_like(one)
        for m in range(1, 4):
            value = value + (part[..., m] * part[..., m] / one + rest[..., m] ** 2 / other)
        values.append(torch.where(able, value, -1.0))
    best, which = torch.cat(values, dim=1).max(dim=1)
    axis = which // (CELLS - 1)
    return torch.where(best >= 0, axis, -1), which % (CELLS - 1) + 1


def _nearest(pixels: Tensor, palette: Tensor) -> Tensor:
    """Return the nearest row (B, N) of palettes (B, C, 3) for pixels (B, N, 3); ties go to the first row."""
    pixels = pixels.transpose(1, 2)
    parts = pieces(pixels, palette.shape[1])
    return torch.cat([squared_distances(pixels[:, :, part], palette).argmin(dim=2) for part in parts], dim=1)
