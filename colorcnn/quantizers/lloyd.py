"""Lloyd's algorithm on weighted points with exact acceleration, and MacQueen's algorithm on a sample.

Points are (3, n) float32, weights (n,) float32, centers (3, K) float32: one row per coordinate, so that the
distances to all centres are computed in vector registers. A distance and the index of its centre are packed
into one 32-bit integer: the bits of the float (which compare like integers) with the index in the lowest
eight bits.
"""

from __future__ import annotations

from math import gcd

import numpy as np

from colorcnn.compiled import njit

_MORE, _LESS = np.float32(1.00002), np.float32(0.99999)  # safety factors of bounds against rounding
_FAR = np.int32(0x7F7FFF00)  # bits of a float larger than any distance, with index 0
_BLOCK = 1024


@njit
def nearest(x, y, z, cx, cy, cz):
    """Return the nearest centre of one point; ties go to the first.

    Args:
        x: first coordinate of the point.
        y: second coordinate.
        z: third coordinate.
        cx: (k,) first coordinates of the centres.
        cy: (k,) second coordinates.
        cz: (k,) third coordinates.
    """
    best = np.int32(0x7FFFFFFF)
    for k in range(cx.size):
        dx, dy, dz = cx[k] - x, cy[k] - y, cz[k] - z
        key = (np.float32(dx * dx + dy * dy + dz * dz).view(np.int32) & np.int32(-256)) | np.int32(k)
        best = min(best, key)
    return best & 255


@njit
def assign(points, centers, labels):
    """Find the nearest centre of each point; ties go to the first.

    Args:
        points: (3, n).
        centers: (3, k).
        labels: (n,) uint8, written.
    """
    cx, cy, cz = centers[0], centers[1], centers[2]
    for i in range(points.shape[1]):
        x, y, z = points[0, i], points[1, i], points[2, i]
        best = np.int32(0x7FFFFFFF)
        for k in range(cx.size):
            dx, dy, dz = cx[k] - x, cy[k] - y, cz[k] - z
            key = (np.float32(dx * dx + dy * dy + dz * dz).view(np.int32) & np.int32(-256)) | np.int32(k)
            best = min(best, key)
        labels[i] = best & 255


@njit
def assign_bytes(colors, palette, labels):
    """Write into ``labels`` the exact nearest palette row of each colour; ties go to the first.

    It processes many colours for each palette row, so that vector registers are full for small palettes, too.

    Args:
        colors: (n, 3) uint8, contiguous.
        palette: (K, 3) uint8, 1 <= K <= 256.
        labels: (n,) uint8.
    """
    values = colors.reshape(-1)
    reds, greens, blues = np.empty(_BLOCK, np.int32), np.empty(_BLOCK, np.int32), np.empty(_BLOCK, np.int32)
    best = np.empty(_BLOCK, np.int32)
    for start in range(0, labels.size, _BLOCK):
        # Slices indexed from 0 and 32-bit sums are needed: other forms compile to code several times slower.
        part, out = values[3 * start : 3 * (start + _BLOCK)], labels[start : start + _BLOCK]
        for i in range(out.size):
            reds[i], greens[i], blues[i] = part[3 * i], part[3 * i + 1], part[3 * i + 2]
        best[:] = 0x7FFFFFFF
        for k in range(palette.shape[0]):
            red, green, blue = np.int32(palette[k, 0]), np.int32(palette[k, 1]), np.int32(palette[k, 2])
            for i in range(out.size):
                r, g, b = np.int32(reds[i] - red), np.int32(greens[i] - green), np.int32(blues[i] - blue)
                # At most 3 * 255**2 < 2**18, so distance and index need 26 bits.
                best[i] = min(best[i], np.int32((np.int32(r * r + g * g + b * b) << 8) | k))
        for i in range(out.size):
            out[i] = best[i] & 255


@njit
def _two_nearest(x, y, z, cx, cy, cz, keys):
    """Return the nearest centre, its distance, and the distance of the second nearest."""
    best = np.int32(0x7FFFFFFF)
    for k in range(cx.size):
        dx, dy, dz = cx[k] - x, cy[k] - y, cz[k] - z
        key = (np.float32(dx * dx + dy * dy + dz * dz).view(np.int32) & np.int32(-256)) | np.int32(k)
        keys[k] = key
        best = min(best, key)
    label = best & 255
    keys[label] = _FAR
    second = np.int32(0x7FFFFFFF)
    for k in range(cx.size):
        second = min(second, keys[k])
    near = np.int32(best & np.int32(-256)).view(np.float32)
    far = np.int32(second & np.int32(-256)).view(np.float32)
    return label, np.sqrt(near), np.sqrt(far)


@njit
def _start(points, weights, centers, labels, bounds, sums):
    """Assign all points, and compute weighted coordinates and weight of each cluster, (4, K) float64."""
    sums[:] = 0.0
    cx, cy, cz = centers[0], centers[1], centers[2]
    keys = np.empty(cx.size, np.int32)
    for i in range(points.shape[1]):
        x, y, z, w = points[0, i], points[1, i], points[2, i], weights[i]
        label, near, far = _two_nearest(x, y, z, cx, cy, cz, keys)
        labels[i] = label
        bounds[0, i] = near * _MORE
        bounds[1, i] = far
        sums[0, label] += w * x
        sums[1, label] += w * y
        sums[2, label] += w * z
        sums[3, label] += w


@njit
def _transfer(points, weights, sums, i, old, new):
    """Move point i from the sums of one cluster to those of another."""
    w = weights[i]
    for c in range(3):
        v = w * points[c, i]
        sums[c, old] -= v
        sums[c, new] += v
    sums[3, old] -= w
    sums[3, new] += w


@njit
def _resume(points, weights, centers, labels, bounds, sums, fresh):
    """Update the assignment after a few centres moved; points of other clusters check only these centres."""
    cx, cy, cz = centers[0], centers[1], centers[2]
    keys = np.empty(cx.size, np.int32)
    moved = np.flatnonzero(fresh)
    for i in range(points.shape[1]):
        x, y, z = points[0, i], points[1, i], points[2, i]
        a = labels[i]
        if fresh[a]:
            label, near, far = _two_nearest(x, y, z, cx, cy, cz, keys)
            bounds[0, i], bounds[1, i] = near * _MORE, far
        else:
            label, near, far = a, np.float32(3e38), np.float32(3e38)
            for k in moved:
                dx, dy, dz = cx[k] - x, cy[k] - y, cz[k] - z
                square = dx * dx + dy * dy + dz * dz
                if square < near:
                    label, near, far = k, square, near
                elif square < far:
                    far = square
            near = np.sqrt(near)
            if near < bounds[0, i]:
                dx, dy, dz = cx[a] - x, cy[a] - y, cz[a] - z
                distance = np.sqrt(dx * dx + dy * dy + dz * dz)
                if near < distance:
                    far = min(np.sqrt(far), distance)
                else:
                    label, far, near = a, near, distance
                bounds[0, i] = near * _MORE
            else:
                label, far = a, near
            bounds[1, i] = min(bounds[1, i], far * _LESS)
        if label != a:
            labels[i] = label
            _transfer(points, weights, sums, i, a, label)


@njit
def _move(centers, sums, fixed, whole, moves):
    """Move the centres to their means, or to the nearest whole numbers; return the largest move."""
    for k in range(centers.shape[1]):
        moves[k] = 0
        if k >= fixed and sums[3, k] > 0.5:
            square = 0.0
            for c in range(3):
                mean = sums[c, k] / sums[3, k]
                step = (np.floor(mean + 0.5) if whole else mean) - centers[c, k]
                square += step * step
                centers[c, k] += step
            moves[k] = np.float32(np.sqrt(square) * 1.00001)
    return moves.max()


@njit
def _approaches(centers, moves, reach, gaps, drops):
    """Compute, for each cluster, half the distance to the nearest centre and the largest relevant move.

    A centre farther away than twice the sum of that half and of the cluster's radius is not the second
    nearest of any of its points, so its move is ignored (P. Rysavy and G. Hamerly, Geometric methods to
    accelerate k-means algorithms, SDM 2016).

    Args:
        centers: (3, K) float32.
        moves: (K,) float32, distances that the centres moved.
        reach: (K,) float32, maximum distance of each cluster's points from its centre.
        gaps: (K,) float32, receives the halves.
        drops: (K,) float32, receives the moves.
    """
    cx, cy, cz = centers[0], centers[1], centers[2]
    squares = np.empty(cx.size, np.float32)
    for k in range(cx.size):
        for j in range(cx.size):
            dx, dy, dz = cx[j] - cx[k], cy[j] - cy[k], cz[j] - cz[k]
            squares[j] = dx * dx + dy * dy + dz * dz
        squares[k] = np.float32(3e38)
        half = np.float32(0.5) * np.sqrt(squares.min())
        limit = np.float32(4.001) * (reach[k] + half) ** 2
        drops[k] = 0
        for j in range(cx.size):
            if squares[j] <= limit:
                drops[k] = max(drops[k], moves[j])
        gaps[k] = half * _LESS


@njit
def lloyd(points, weights, centers, fixed, labels, sums, bounds, fresh, iterations, tolerance, whole):
    """Run Lloyd's algorithm with G. Hamerly's bounds (SDM 2010), which skip points that cannot change.

    Args:
        points: (3, n) float32.
        weights: (n,) float32.
        centers: (3, K) float32, moved in place, except the first ``fixed``.
        fixed: number of centres that do not move.
        labels: (n,) uint8, receives the last assignment.
        sums: (4, K) float64, receives the weighted sums and weights of that assignment.
        bounds: (2, n) float32, receives an upper bound of the distance to the point's centre, and a lower
            bound of the distance to all others.
        fresh: (K,) bool, the centres changed since the last call (all in the first call); set to False. If
            they are few, labels, sums and bounds are updated instead of computed.
        iterations: maximum number of moves of the centres.
        tolerance: the iterations stop if no centre moves farther.
        whole: True to move centres to the nearest whole numbers, which are the best 8-bit colours.

    Returns:
        The number of moves.
    """
    colors = centers.shape[1]
    moves, reach = np.empty(colors, np.float32), np.empty(colors, np.float32)
    gaps, drops = np.empty(colors, np.float32), np.empty(colors, np.float32)
    keys = np.empty(colors, np.int32)
    cx, cy, cz = centers[0], centers[1], centers[2]
    changed = fresh.sum()
    if 4 * changed > colors:
        _start(points, weights, centers, labels, bounds, sums)
    elif changed:
        _resume(points, weights, centers, labels, bounds, sums, fresh)
    fresh[:] = False
    for iteration in range(iterations):
        largest = _move(centers, sums, fixed, whole, moves)
        reach[:] = 0
        for i in range(points.shape[1]):
            reach[labels[i]] = max(reach[labels[i]], bounds[0, i])
        _approaches(centers, moves, reach + moves, gaps, drops)
        for i in range(points.shape[1]):
            a = labels[i]
            u = bounds[0, i] + moves[a]
            bound = bounds[1, i] - drops[a]
            bounds[1, i] = bound
            bound = max(bound, gaps[a])
            if u >= bound:
                x, y, z = points[0, i], points[1, i], points[2, i]
                dx, dy, dz = cx[a] - x, cy[a] - y, cz[a] - z
                u = np.sqrt(dx * dx + dy * dy + dz * dz) * _MORE
                if u >= bound:
                    label, near, far = _two_nearest(x, y, z, cx, cy, cz, keys)
                    u = near * _MORE
                    bounds[1, i] = far
                    if label != a:
                        labels[i] = label
                        _transfer(points, weights, sums, i, a, label)
            bounds[0, i] = u
        if largest <= tolerance:
            return iteration + 1
    return iterations


@njit
def lloyd_few(points, weights, centers, fixed, labels, sums, iterations, tolerance, whole):
    """Run :func:`lloyd` without bounds, which is faster with few centres.

    Args:
        points: (3, n) float32.
        weights: (n,) float32.
        centers: (3, K) float32, moved in place, except the first ``fixed``.
        fixed: number of centres that do not move.
        labels: (n,) uint8, receives the last assignment.
        sums: (4, K) float64, receives the weighted sums and weights of that assignment.
        iterations: maximum number of moves of the centres.
        tolerance: the iterations stop if no centre moves farther.
        whole: True to move centres to the nearest whole numbers.
    """
    cx, cy, cz = centers[0], centers[1], centers[2]
    moves = np.empty(cx.size, np.float32)
    for iteration in range(iterations + 1):
        sums[:] = 0.0
        for i in range(points.shape[1]):
            x, y, z, w = points[0, i], points[1, i], points[2, i], weights[i]
            best = np.int32(0x7FFFFFFF)
            for k in range(cx.size):
                dx, dy, dz = cx[k] - x, cy[k] - y, cz[k] - z
                key = (np.float32(dx * dx + dy * dy + dz * dz).view(np.int32) & np.int32(-256)) | np.int32(k)
                best = min(best, key)
            label = best & 255
            labels[i] = label
            sums[0, label] += w * x
            sums[1, label] += w * y
            sums[2, label] += w * z
            sums[3, label] += w
        if iteration == iterations or _move(centers, sums, fixed, whole, moves) <= tolerance:
            return iteration
    return iterations


@njit
def sample(weights, size):
    """Sample points systematically, each in proportion to its weight, up to one.

    Args:
        weights: (n,).
        size: number of samples.
    """
    total = 0.0
    for i in range(weights.size):
        total += weights[i]
    chosen = np.empty(size, np.int32)
    step = total / size
    reach, n = 0.0, 0
    for i in range(weights.size):
        reach += weights[i]
        while n < size and (n + 0.5) * step <= reach:
            chosen[n] = i
            n += 1
    while n < size:
        chosen[n] = weights.size - 1
        n += 1
    return chosen


def even_stride(size: int) -> int:
    """Return a step near the golden section of ``size`` and coprime to it, which visits all evenly."""
    step = max(1, round(size * 0.6180339887))
    while gcd(step, size) > 1:
        step += 1
    return step


@njit
def macqueen(points, chosen, first, stride, centers, fixed, power):
    """Move each point's nearest centre towards the point, by decreasing steps (J. MacQueen, 1967).

    Args:
        points: (3, n) float32.
        chosen: (m,) int32, points in proportion to their weights, from :func:`sample`.
        first: first position in ``chosen``.
        stride: step through ``chosen``, coprime to m, so that the order is not sorted.
        centers: (3, K) float32, moved in place, except the first ``fixed``.
        fixed: number of centres that do not move.
        power: a centre chosen for the t-th time moves by the share t**-power of the way. 1 gives MacQueen's
            mean. 0.5 weights recent points more and so leaves poor optima (S. Thompson, M. Celebi and
            K. Buck, Journal of Real-Time Image Processing 2020).
    """
    cx, cy, cz = centers[0], centers[1], centers[2]
    times = np.ones(cx.size)
    at = first
    for _ in range(chosen.size):
        i = chosen[at]
        at += stride
        if at >= chosen.size:
            at -= chosen.size
        x, y, z = points[0, i], points[1, i], points[2, i]
        label = nearest(x, y, z, cx, cy, cz)
        if label >= fixed:
            times[label] += 1.0
            rate = np.float32(times[label] ** -power)
            cx[label] += rate * (x - cx[label])
            cy[label] += rate * (y - cy[label])
            cz[label] += rate * (z - cz[label])
