"""Index maps that cost fewer bytes: a pixel may take a neighbour's colour where that is nearly as good."""

from __future__ import annotations

import numpy as np

from colorcnn.compiled import njit
from colorcnn.quantizers.spaces import enter

_SWEEPS = 8  # most pixels settle in two or three


@njit
def _sweep(indices, nearest, points, colors, weight):
    """Let every pixel, in reading order, choose anew; returns how many changed."""
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
            best, least = indices[y, x], np.inf
            # Of all colours only the nearest and those of the neighbours can be the best.
            for candidate in range(-1, count):
                index = nearest[y, x] if candidate < 0 else around[candidate]
                cost = 0.0
                for axis in range(3):
                    cost += (points[axis, y, x] - colors[axis, index]) ** 2
                for other in range(count):
                    if around[other] != index:
                        cost += weight
                if cost < least:
                    best, least = index, cost
            if best != indices[y, x]:
                indices[y, x] = best
                changed += 1
    return changed


def smooth(
    picture: np.ndarray, indices: np.ndarray, palette: np.ndarray, weight: float, space: str
) -> np.ndarray:
    """Trade colour errors for neighbours that are alike.

    Lowers the squared distances of all pixels from their colours, plus ``weight`` for every two neighbours
    (of eight around a pixel) whose indices differ: a Potts model, by iterated conditional modes (J. Besag,
    Journal of the Royal Statistical Society B, 1986).

    Args:
        picture: (H, W, 3) uint8.
        indices: (H, W) uint8, where to begin: of the nearest colours.
        palette: (K, 3) uint8.
        weight: in squared units of ``space``.
        space: where colours are compared.

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
