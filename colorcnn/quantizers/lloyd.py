"""Lloyd's algorithm on weighted points, accelerated exactly, and the steps that leave its poor optima.

Points are (3, n) float32, weights (n,) float32, centers (3, K) float32: one row per coordinate, so that the
distances to all centres are computed in vector registers. A distance and the index of its centre travel in
one 32-bit integer, the bits of the float (which order as integers do) with the index in the lowest eight.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_FAR = np.int32(0x7F7FFF00)  # the bits of a float larger than any distance, its place for an index cleared


@njit(nogil=True, cache=True)
def nearest(x, y, z, cx, cy, cz):
    """The nearest of the centres (cx, cy, cz) to one point, the first of equals."""
    best = np.int32(0x7FFFFFFF)
    for k in range(cx.size):
        dx, dy, dz = cx[k] - x, cy[k] - y, cz[k] - z
        key = (np.float32(dx * dx + dy * dy + dz * dz).view(np.int32) & np.int32(-256)) | np.int32(k)
        best = min(best, key)
    return best & 255


@njit(nogil=True, cache=True)
def assign(points, centers, labels):
    """Write into ``labels`` (n,) uint8 the nearest centre of each point, the first of equals."""
    cx, cy, cz = centers[0], centers[1], centers[2]
    for i in range(points.shape[1]):
        x, y, z = points[0, i], points[1, i], points[2, i]
        best = np.int32(0x7FFFFFFF)
        for k in range(cx.size):
            dx, dy, dz = cx[k] - x, cy[k] - y, cz[k] - z
            key = (np.float32(dx * dx + dy * dy + dz * dz).view(np.int32) & np.int32(-256)) | np.int32(k)
            best = min(best, key)
        labels[i] = best & 255


@njit(nogil=True, cache=True)
def assign_bytes(colors, palette, labels):
    """Write into ``labels`` (n,) uint8 the nearest palette row of each colour, exactly; the first of equals.

    Args:
        colors: (n, 3) uint8.
        palette: (K, 3) uint8, 1 <= K <= 256.
        labels: (n,) uint8.
    """
    rows = np.empty((3, palette.shape[0]), np.int32)
    for k in range(palette.shape[0]):
        for c in range(3):
            rows[c, k] = palette[k, c]
    reds, greens, blues = rows[0], rows[1], rows[2]
    for i in range(colors.shape[0]):
        red, green, blue = np.int32(colors[i, 0]), np.int32(colors[i, 1]), np.int32(colors[i, 2])
        best = np.int32(0x7FFFFFFF)
        for k in range(reds.size):
            r, g, b = reds[k] - red, greens[k] - green, blues[k] - blue
            # At most 3 * 255**2 < 2**18: with the index below it, an integer of 26 bits.
            best = min(best, np.int32(((r * r + g * g + b * b) << 8) | k))
        labels[i] = best & 255


@njit(nogil=True, cache=True)
def _two_nearest(x, y, z, cx, cy, cz, keys):
    """The nearest centre, its distance, and the distance of the second nearest."""
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


@njit(nogil=True, cache=True)
def _start(points, weights, centers, labels, upper, lower, sums):
    """Assign all points; sums (4, K) float64 are the weighted coordinates and the weight of each cluster."""
    sums[:] = 0.0
    cx, cy, cz = centers[0], centers[1], centers[2]
    keys = np.empty(cx.size, np.int32)
    for i in range(points.shape[1]):
        x, y, z, w = points[0, i], points[1, i], points[2, i], weights[i]
        label, near, far = _two_nearest(x, y, z, cx, cy, cz, keys)
        labels[i] = label
        upper[i] = near * np.float32(1.00002)
        lower[i] = far
        sums[0, label] += w * x
        sums[1, label] += w * y
        sums[2, label] += w * z
        sums[3, label] += w


@njit(nogil=True, cache=True)
def _move(centers, sums, fixed, stretch, moves):
    """Move the centres towards their means; returns the largest move, whose it is, and the second largest."""
    first, who, second = np.float32(0), -1, np.float32(0)
    for k in range(centers.shape[1]):
        moves[k] = 0
        if k >= fixed and sums[3, k] > 0.5:
            square = 0.0
            for c in range(3):
                step = stretch * (sums[c, k] / sums[3, k] - centers[c, k])
                square += step * step
                centers[c, k] += step
            moves[k] = np.float32(np.sqrt(square) * 1.00001)
        if moves[k] > first:
            first, who, second = moves[k], k, first
        elif moves[k] > second:
            second = moves[k]
    return first, who, second


@njit(nogil=True, cache=True)
def _half_gaps(centers, gaps):
    """Half the distance from each centre to its nearest neighbour."""
    cx, cy, cz = centers[0], centers[1], centers[2]
    for k in range(cx.size):
        best = np.float32(3e38)
        for j in range(cx.size):
            dx, dy, dz = cx[j] - cx[k], cy[j] - cy[k], cz[j] - cz[k]
            square = dx * dx + dy * dy + dz * dz
            if j != k and square < best:
                best = square
        gaps[k] = np.float32(0.5) * np.sqrt(best) * np.float32(0.99999)


@njit(nogil=True, cache=True)
def lloyd(points, weights, centers, fixed, labels, sums, iterations, tolerance, stretch):
    """Run Lloyd's algorithm with G. Hamerly's bounds (SDM 2010), which skip points that cannot change.

    Args:
        points, weights: as the module says.
        centers: (3, K) float32, moved in place; the first ``fixed`` stay where they are.
        fixed: how many centres stay.
        labels: (n,) uint8, receives the last assignment.
        sums: (4, K) float64, receives the weighted sums and weights of that assignment.
        iterations: the most times the centres move.
        tolerance: stop when no centre moved farther than this.
        stretch: how far a centre moves, in parts of the way to its mean; between 1 and 2 it arrives sooner
            (D. Lee et al., A modified k-means algorithm, IEEE Signal Processing Letters 1997).

    Returns:
        How often the centres moved.
    """
    n, colors = points.shape[1], centers.shape[1]
    upper, lower = np.empty(n, np.float32), np.empty(n, np.float32)
    moves, gaps = np.empty(colors, np.float32), np.empty(colors, np.float32)
    keys = np.empty(colors, np.int32)
    cx, cy, cz = centers[0], centers[1], centers[2]
    _start(points, weights, centers, labels, upper, lower, sums)
    for iteration in range(iterations):
        first, who, second = _move(centers, sums, fixed, stretch, moves)
        if first <= tolerance:
            return iteration
        _half_gaps(centers, gaps)
        for i in range(n):
            a = labels[i]
            u = upper[i] + moves[a]
            bound = lower[i] - (second if a == who else first)
            lower[i] = bound
            bound = max(bound, gaps[a])
            if u >= bound:
                x, y, z = points[0, i], points[1, i], points[2, i]
                dx, dy, dz = cx[a] - x, cy[a] - y, cz[a] - z
                u = np.sqrt(dx * dx + dy * dy + dz * dz) * np.float32(1.00002)
                if u >= bound:
                    label, near, far = _two_nearest(x, y, z, cx, cy, cz, keys)
                    u = near * np.float32(1.00002)
                    lower[i] = far
                    if label != a:
                        w = weights[i]
                        labels[i] = label
                        for c in range(3):
                            v = w * points[c, i]
                            sums[c, a] -= v
                            sums[c, label] += v
                        sums[3, a] -= w
                        sums[3, label] += w
            upper[i] = u
    return iterations


@njit(nogil=True, cache=True)
def lloyd_few(points, weights, centers, fixed, labels, sums, iterations, tolerance, stretch):
    """As :func:`lloyd`, without bounds: of few centres all distances cost less than keeping them."""
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
        if iteration == iterations or _move(centers, sums, fixed, stretch, moves)[0] <= tolerance:
            return iteration
    return iterations


@njit(nogil=True, cache=True)
def _principal_axes(points, weights, labels, centers, axes):
    """The direction of largest variance of each cluster, by power iteration on its 3 x 3 scatter matrix."""
    colors = centers.shape[1]
    scatter = np.zeros((colors, 6))
    for i in range(points.shape[1]):
        k, w = labels[i], weights[i]
        x, y, z = points[0, i] - centers[0, k], points[1, i] - centers[1, k], points[2, i] - centers[2, k]
        s = scatter[k]
        s[0] += w * x * x
        s[1] += w * x * y
        s[2] += w * x * z
        s[3] += w * y * y
        s[4] += w * y * z
        s[5] += w * z * z
    for k in range(colors):
        s = scatter[k]
        x, y, z = s[0], s[1], s[2]
        if s[3] >= s[0] and s[3] >= s[5]:
            x, y, z = s[1], s[3], s[4]
        elif s[5] >= s[0]:
            x, y, z = s[2], s[4], s[5]
        for _ in range(8):
            size = np.sqrt(x * x + y * y + z * z)
            if size == 0.0:
                break
            x, y, z = x / size, y / size, z / size
            x, y, z = (
                s[0] * x + s[1] * y + s[2] * z,
                s[1] * x + s[3] * y + s[4] * z,
                s[2] * x + s[4] * y + s[5] * z,
            )
        axes[0, k], axes[1, k], axes[2, k] = x, y, z


@njit(nogil=True, cache=True)
def _halves(points, weights, labels, centers, axes, sums, halves, gains):
    """Cut every cluster through its centre: the sums of one half, and by how much the squared error falls."""
    halves[:] = 0.0
    for i in range(points.shape[1]):
        k = labels[i]
        x, y, z = points[0, i], points[1, i], points[2, i]
        side = (
            axes[0, k] * (x - centers[0, k])
            + axes[1, k] * (y - centers[1, k])
            + axes[2, k] * (z - centers[2, k])
        )
        if side > 0:
            w = weights[i]
            halves[0, k] += w * x
            halves[1, k] += w * y
            halves[2, k] += w * z
            halves[3, k] += w
    for k in range(centers.shape[1]):
        one, other = halves[3, k], sums[3, k] - halves[3, k]
        gains[k] = 0.0
        if one > 0.5 and other > 0.5:
            square = 0.0
            for c in range(3):
                step = halves[c, k] / one - (sums[c, k] - halves[c, k]) / other
                square += step * step
            gains[k] = square * one * other / (one + other)


@njit(nogil=True, cache=True)
def _cheapest_merges(centers, sums, fixed, costs, partners):
    """For each cluster the one it is cheapest to unite with, and the rise of the squared error (J. Ward)."""
    colors = centers.shape[1]
    for k in range(colors):
        costs[k], partners[k] = np.inf, -1
        for j in range(fixed, colors):
            if j != k and k >= fixed:
                total = sums[3, k] + sums[3, j]
                square = 0.0
                for c in range(3):
                    step = np.float64(centers[c, k]) - centers[c, j]
                    square += step * step
                cost = square * sums[3, k] * sums[3, j] / total if total > 0.5 else 0.0
                if cost < costs[k]:
                    costs[k], partners[k] = cost, j


@njit(nogil=True, cache=True)
def split_merge(points, weights, centers, fixed, labels, sums, margin, most):
    """Unite pairs of clusters and cut others in two wherever that lowers the squared error at once.

    Each exchange frees a centre by uniting two clusters and spends it on cutting a third along its principal
    axis. The fall and the rise are exact for the present assignment and exchanges do not touch each other, so
    with ``margin`` 1 the squared error falls by at least the sum of their differences.

    Args:
        points, weights, centers, fixed, labels, sums: as :func:`lloyd` left them.
        margin: how many times the rise the fall has to be; below 1 it is a bet on what Lloyd makes of it.
        most: the most exchanges.

    Returns:
        How many exchanges were made; ``centers`` has moved, to the means at least, and the rest has not.
    """
    colors = centers.shape[1]
    _move(centers, sums, fixed, 1.0, np.empty(colors, np.float32))
    axes = np.empty((3, colors))
    halves = np.empty((4, colors))
    gains, costs, partners = np.empty(colors), np.empty(colors), np.empty(colors, np.int64)
    _principal_axes(points, weights, labels, centers, axes)
    _halves(points, weights, labels, centers, axes, sums, halves, gains)
    _cheapest_merges(centers, sums, fixed, costs, partners)
    gains[:fixed] = 0.0
    cuts, merges = np.argsort(-gains), np.argsort(costs)
    taken = np.zeros(colors, np.bool_)
    done, cut = 0, 0
    for place in range(colors):
        k = merges[place]
        j = partners[k]
        if done == most or j < 0 or taken[k] or taken[j]:
            continue
        while cut < colors and (taken[cuts[cut]] or cuts[cut] == k or cuts[cut] == j):
            cut += 1
        if cut == colors or gains[cuts[cut]] <= margin * costs[k] or gains[cuts[cut]] <= 0:
            break
        s = cuts[cut]
        taken[k] = taken[j] = taken[s] = True
        total = sums[3, k] + sums[3, j]
        for c in range(3):
            if total > 0.5:
                centers[c, k] = (sums[c, k] + sums[c, j]) / total
            centers[c, j] = halves[c, s] / halves[3, s]
            centers[c, s] = (sums[c, s] - halves[c, s]) / (sums[3, s] - halves[3, s])
        done += 1
    return done


@njit(nogil=True, cache=True)
def sample(weights, size):
    """Draw ``size`` points systematically: each as often as its weight says, to within one."""
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


@njit(nogil=True, cache=True)
def macqueen(points, chosen, first, stride, centers, fixed, power):
    """Draw each point's nearest centre towards it, by less and less (J. MacQueen, 1967).

    Args:
        points: (3, n) float32.
        chosen: (m,) int32, points as often as they weigh, from :func:`sample`.
        first: where in ``chosen`` to begin.
        stride: the step through ``chosen``, without a common divisor with m: the order is even, not sorted.
        centers: (3, K) float32, moved in place; the first ``fixed`` stay.
        power: a centre chosen for the t-th time moves t**-power of the way: 1 is MacQueen's mean, 0.5 forgets
            and so leaves poor optima (S. Thompson, M. Celebi and K. Buck, Journal of Real-Time Image
            Processing 2020).
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
