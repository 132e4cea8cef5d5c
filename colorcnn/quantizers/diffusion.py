"""Compiled dithering: error diffusion, and ordered dithering with a plan of colours per colour."""

from __future__ import annotations

import numpy as np

from colorcnn.compiled import njit
from colorcnn.quantizers.lloyd import nearest


@njit
def diffuse(rows, centers, low, high, serpentine, carry, turned, out):
    """Apply Floyd and Steinberg's error diffusion to some rows of an image.

    Values outside the space's range are clamped. Otherwise errors that no palette colour can compensate would
    accumulate and smear over the following pixels.

    Args:
        rows: (H, W, 3) float32 coordinates.
        centers: (3, K) float32.
        low: (3,) float32, minimum of the space's range.
        high: (3,) float32, maximum of the space's range.
        serpentine: True to process every second row from right to left.
        carry: (W + 2, 3) float32, errors for the first row; overwritten with those after the last row.
        turned: 1 if the first row is processed from right to left.
        out: (H, W) uint8, receives the indices.
    """
    height, width = rows.shape[0], rows.shape[1]
    cx, cy, cz = centers[0], centers[1], centers[2]
    below = np.zeros((width + 2, 3), np.float32)
    value = np.empty(3, np.float32)
    for y in range(height):
        backwards = serpentine and (y & 1) != turned
        below[:] = 0
        ahead = np.zeros(3, np.float32)
        for place in range(width):
            x = width - 1 - place if backwards else place
            step = -1 if backwards else 1
            for c in range(3):
                value[c] = min(max(rows[y, x, c] + carry[x + 1, c] + ahead[c], low[c]), high[c])
            k = nearest(value[0], value[1], value[2], cx, cy, cz)
            out[y, x] = k
            for c in range(3):
                sixteenth = (value[c] - centers[c, k]) * np.float32(0.0625)
                ahead[c] = 7 * sixteenth
                below[x + 1 - step, c] += 3 * sixteenth
                below[x + 1, c] += 5 * sixteenth
                below[x + 1 + step, c] += sixteenth
        carry[:] = below


@njit
def plan(colors, centers, order, plans):
    """Find for each colour the palette rows whose mean approximates it, from dark to light (T. Knoll).

    Args:
        colors: (3, n) float32 coordinates.
        centers: (3, K) float32.
        order: (K,) int64, the rank of each palette row by lightness.
        plans: (n, levels) uint8, receives the rows.
    """
    cx, cy, cz = centers[0], centers[1], centers[2]
    levels = plans.shape[1]
    for i in range(colors.shape[1]):
        ex = ey = ez = np.float32(0)
        row = plans[i]
        for level in range(levels):
            k = nearest(colors[0, i] + ex, colors[1, i] + ey, colors[2, i] + ez, cx, cy, cz)
            ex += colors[0, i] - cx[k]
            ey += colors[1, i] - cy[k]
            ez += colors[2, i] - cz[k]
            place = level
            while place > 0 and order[row[place - 1]] > order[k]:
                row[place] = row[place - 1]
                place -= 1
            row[place] = k


@njit
def follow(ranks, plans, thresholds, top, out):
    """Choose from each pixel's plan the colour at the value of the tiled (T, T) threshold matrix.

    Args:
        ranks: (H, W) int32, the number of each pixel's plan.
        plans: (n, levels) uint8.
        thresholds: (T, T) uint8, each below the number of levels.
        top: first row of ``ranks`` in the image.
        out: (H, W) uint8, receives the indices.
    """
    side = thresholds.shape[0]
    for y in range(ranks.shape[0]):
        for x in range(ranks.shape[1]):
            out[y, x] = plans[ranks[y, x], thresholds[(top + y) % side, x % side]]


@njit
def void_and_cluster(side, seed):
    """Return a matrix of ranks in which the positions below any rank are evenly distributed (blue noise).

    Source: R. Ulichney, The void-and-cluster method for dither array generation, SPIE 1993.

    Args:
        side: side of the square matrix.
        seed: seed of the first points.
    """
    size = side * side
    kernel = np.empty((side, side))
    for y in range(side):
        for x in range(side):
            dy, dx = min(y, side - y), min(x, side - x)
            kernel[y, x] = np.exp(-(dx * dx + dy * dy) / (2 * 1.5**2))
    on = np.zeros((side, side), np.bool_)
    energy = np.zeros((side, side))
    np.random.seed(seed)
    first = size // 10
    for place in np.random.permutation(size)[:first]:
        _toggle(on, energy, kernel, place // side, place % side)
    while True:  # move the point of the tightest cluster to the largest void, until both are the same
        tight = _extreme(on, energy, True)
        _toggle(on, energy, kernel, tight // side, tight % side)
        void = _extreme(on, energy, False)
        _toggle(on, energy, kernel, void // side, void % side)
        if void == tight:
            break
    ranks = np.empty((side, side), np.int64)
    start_on, start_energy = on.copy(), energy.copy()
    for rank in range(first - 1, -1, -1):
        tight = _extreme(on, energy, True)
        _toggle(on, energy, kernel, tight // side, tight % side)
        ranks[tight // side, tight % side] = rank
    on[:], energy[:] = start_on, start_energy
    for rank in range(first, size):
        void = _extreme(on, energy, False)
        _toggle(on, energy, kernel, void // side, void % side)
        ranks[void // side, void % side] = rank
    return ranks


@njit
def _toggle(on, energy, kernel, y, x):
    side = on.shape[0]
    sign = -1.0 if on[y, x] else 1.0
    on[y, x] = not on[y, x]
    for v in range(side):
        for u in range(side):
            energy[v, u] += sign * kernel[(v - y) % side, (u - x) % side]


@njit
def _extreme(on, energy, tightest):
    """Return the position of the point in the tightest cluster, or of the largest void."""
    side = on.shape[0]
    best, chosen = np.inf, -1
    for y in range(side):
        for x in range(side):
            value = -energy[y, x] if tightest else energy[y, x]
            if on[y, x] == tightest and value < best:
                best, chosen = value, y * side + x
    return chosen
