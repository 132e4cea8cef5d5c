"""Smooth index maps to save bytes: a pixel takes a neighbour's colour if it is nearly as good."""

from __future__ import annotations

import numpy as np

from colorcnn.compiled import njit
from colorcnn.quantizers.spaces import enter

_SWEEPS = 8  # most pixels stop changing after two or three sweeps


@njit
def _sweep(indices, nearest, points, colors, weight):
    """Choose the best colour of every pixel, in reading order. Return the number of changed pixels."""
    height, width = indices.shape
    around = np.empty(8, np.uint8)
    changed = 0
    for y in range(height):
        for x in range(width):
            count = 0
            for v in range(max(0, y - 1), min(height, y + 2)):
                for u in range(max(0, x - 1), min(width, x + 2)):
                    if v != y or u != x:
                        around[count] = indices[v, u]
                        count += 1
            best, lowest = indices[y, x], np.inf
            # Only the nearest colour and the neighbours' colours can have the lowest cost.
            for candidate in range(-1, count):
                index = nearest[y, x] if candidate < 0 else around[candidate]
                cost = 0.0
                for axis in range(3):
                    cost += (points[axis, y, x] - colors[axis, index]) ** 2
                for other in range(count):
                    if around[other] != index:
                        cost += weight
                if cost < lowest:
                    best, lowest = index, cost
            if best != indices[y, x]:
                indices[y, x] = best
                changed += 1
    return changed


def smooth(
    picture: np.ndarray, indices: np.ndarray, palette: np.ndarray, weight: float, space: str
) -> np.ndarray:
    """Smooth an index map: accept colour error for equal neighbours.

    The cost is the squared distance of every pixel from its colour, plus ``weight`` for every pair of
    neighbours (eight around a pixel) with different indices. This Potts model is minimised by iterated
    conditional modes (J. Besag, Journal of the Royal Statistical Society B, 1986).

    Args:
        picture: (H, W, 3) uint8.
        indices: (H, W) uint8, the nearest colours, with which the sweeps start.
        palette: (K, 3) uint8.
        weight: penalty in squared units of ``space``.
        space: the colour space of the distance.

    Returns:
        (H, W) uint8.
    """
    points = enter(picture.reshape(-1, 3).T, space).reshape(3, *picture.shape[:2])
    colors = enter(palette.T, space)
    found = indices.copy()
    for _ in range(_SWEEPS):
        if not _sweep(found, indices, points, colors, weight):
            break
    return found
