"""Compiled decisions of palette attention on the CPU, without a tensor of all scores.

The results are those of the tensors in :mod:`colorcnn.models.palette_attention` to the bit: sums and
distances of whole levels are exact, and the other operations are the same ones in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from colorcnn.compiled import njit

_WORTH = 1 << 16  # scores that are worth a thread


@njit
def _least(pixels, colors, totals, counts):
    """Sum the squared distances of pixels to their nearest colours, and count the pixels of each colour.

    Args:
        pixels: (B, 3, H, W) float32, whole levels.
        colors: (B, C, 3) float32, whole levels.
        totals: (B,) int64, added to.
        counts: (B, C) int64, added to.
    """
    width, half = pixels.shape[3], np.float32(0.5)
    best = np.empty(width, np.int32)
    for image in range(pixels.shape[0]):
        for row in range(pixels.shape[2]):
            reds, greens, blues = pixels[image, 0, row], pixels[image, 1, row], pixels[image, 2, row]
            best[:] = 0x7FFFFFFF
            for k in range(colors.shape[1]):
                red, green, blue = colors[image, k, 0], colors[image, k, 1], colors[image, k, 2]
                for x in range(width):
                    r, g, b = reds[x] - red, greens[x] - green, blues[x] - blue
                    # At most 3 * 255**2 < 2**18, so distance and index need 26 bits.
                    key = np.int32((np.int32(r * r + g * g + b * b + half) << 8) | k)
                    best[x] = min(best[x], key)
            for x in range(width):
                totals[image] += best[x] >> 8
                counts[image, best[x] & 255] += 1


@njit
def _decide(pixels, colors, scales, maps, above, below, weights, out):
    """Write the index of the best score of each pixel; ties go to the first.

    Args:
        pixels: (B, 3, H, W) float32, whole levels.
        colors: (B, C, 3) float32, whole levels.
        scales: (B,) float32.
        maps: (B, C, h, W) float32, some rows of the attention.
        above: (H,) the row of ``maps`` above each row of pixels.
        below: (H,) the row below it.
        weights: (H,) float32, weight of the row below.
        out: (B, H, W) uint8.
    """
    width, twice = pixels.shape[3], np.float32(-2)  # a plain number would make 64-bit floats
    best = np.empty(width, np.float32)
    found = np.empty(width, np.int32)
    for image in range(pixels.shape[0]):
        scale = scales[image]
        for row in range(pixels.shape[2]):
            reds, greens, blues = pixels[image, 0, row], pixels[image, 1, row], pixels[image, 2, row]
            weight = weights[row]
            best[:] = -np.inf
            found[:] = 0
            for k in range(colors.shape[1]):
                red, green, blue = colors[image, k, 0], colors[image, k, 1], colors[image, k, 2]
                size = red * red + green * green + blue * blue
                red, green, blue = twice * red, twice * green, twice * blue
                upper, lower = maps[image, k, above[row]], maps[image, k, below[row]]
                for x in range(width):
                    near = size + red * reds[x] + green * greens[x] + blue * blues[x]
                    score = near * scale + (upper[x] + (lower[x] - upper[x]) * weight)
                    better = score > best[x]
                    best[x] = score if better else best[x]
                    found[x] = k if better else found[x]
            for x in range(width):
                out[image, row, x] = found[x]


@njit
def _sum(images, indices, sums, counts):
    """Add the values of the pixels of each index, and count them.

    Args:
        images: (B, 3, H, W) float32.
        indices: (B, H, W) uint8.
        sums: (B, C, 3) float64, added to.
        counts: (B, C) int64, added to.
    """
    for image in range(images.shape[0]):
        for y in range(images.shape[2]):
            for x in range(images.shape[3]):
                k = indices[image, y, x]
                counts[image, k] += 1
                for channel in range(3):
                    sums[image, k, channel] += images[image, channel, y, x]


def serves(*tensors: Tensor) -> bool:
    """Return True if the kernels take these tensors: plain ones of float32 on the CPU."""
    return all(
        type(each) is Tensor and each.device.type == "cpu" and each.dtype == torch.float32 for each in tensors
    )


def least_distances(pixels: Tensor, colors: Tensor) -> tuple[Tensor, Tensor]:
    """Sum the squared distances of pixels to their nearest colours, and count the pixels of each colour.

    Args:
        pixels: (B, 3, H, W), whole levels.
        colors: (B, C, 3), whole levels.

    Returns:
        (B,) int64 and (B, C) int64.
    """
    values, rows = pixels.numpy(), colors.contiguous().numpy()
    found: list[tuple[slice, np.ndarray, np.ndarray]] = []

    def work(images: slice, lines: slice) -> None:
        part = np.ascontiguousarray(values[images, :, lines])
        totals, counts = np.zeros(len(part), np.int64), np.zeros((len(part), rows.shape[1]), np.int64)
        _least(part, rows[images], totals, counts)
        found.append((images, totals, counts))

    _share(work, pixels.shape, rows.shape[1])
    totals, counts = np.zeros(len(rows), np.int64), np.zeros(rows.shape[:2], np.int64)
    for images, total, count in found:
        totals[images] += total
        counts[images] += count
    return torch.from_numpy(totals), torch.from_numpy(counts)


def best_indices(
    pixels: Tensor, colors: Tensor, scales: Tensor, maps: Tensor, between: Sequence[Tensor]
) -> Tensor:
    """Return the index of the best score of each pixel, uint8 (B, H, W).

    Args:
        pixels: (B, 3, H, W), whole levels.
        colors: (B, C, 3), whole levels.
        scales: (B,), factor of the distances.
        maps: (B, C, h, W), some rows of the attention.
        between: for each row of pixels, the row of ``maps`` above it, the one below, and the weight of the
            one below, each (H,).
    """
    values, rows, factors, attention = (
        each.numpy() for each in (pixels, colors.contiguous(), scales, maps.contiguous())
    )
    above, below, weights = (each.numpy() for each in between)
    out = np.empty((values.shape[0], *values.shape[2:]), np.uint8)

    def work(images: slice, lines: slice) -> None:
        part = np.ascontiguousarray(values[images, :, lines])
        _decide(
            part,
            rows[images],
            factors[images],
            attention[images],
            above[lines],
            below[lines],
            weights[lines],
            out[images, lines],
        )

    _share(work, pixels.shape, rows.shape[1])
    return torch.from_numpy(out)


def mean_colors(images: Tensor, indices: Tensor, num_colors: int) -> Tensor:
    """Return the mean colour of each index (Eq 3), like :func:`colorcnn.models.assignment.hard_palette`.

    Args:
        images: (B, 3, H, W).
        indices: uint8 (B, H, W).
        num_colors: C.

    Returns:
        (B, C, 3) float32.
    """
    sums, counts = np.zeros((len(images), num_colors, 3)), np.zeros((len(images), num_colors), np.int64)
    _sum(images.numpy(), indices.numpy(), sums, counts)
    return torch.from_numpy((sums / np.maximum(counts, 1)[..., None]).astype(np.float32))


def _share(work: Callable[[slice, slice], None], shape: torch.Size, num_colors: int) -> None:
    """Run work on the images, or on the rows of few images, in as many threads as PyTorch uses."""
    batch, _, height, width = shape
    wanted = min(torch.get_num_threads(), 1 + batch * height * width * num_colors // _WORTH)
    if batch >= wanted:
        parts = [(each, slice(0, height)) for each in _slices(batch, wanted)]
    else:
        parts = [(slice(0, batch), each) for each in _slices(height, min(wanted, height))]
    if len(parts) == 1:
        work(*parts[0])
        return
    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(work, *zip(*parts)))


def _slices(count: int, parts: int) -> list[slice]:
    edges = [count * each // parts for each in range(parts + 1)]
    return [slice(first, last) for first, last in pairwise(edges)]
