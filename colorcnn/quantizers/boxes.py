"""Splitting of weighted points into boxes: X. Wu's orthogonal bipartition and the variance cut."""

from __future__ import annotations

import numpy as np

from colorcnn.compiled import njit

CELLS = 32
"""Cells per axis of the histogram of :func:`wu`."""


@njit
def moments(points, weights, table):
    """Sum weight, weighted coordinates and weighted squares over every corner box of a histogram.

    Args:
        points: (3, n) float32.
        weights: (n,) float32.
        table: (33, 33, 33, 5) float64, overwritten. Entry [i, j, k] is the sum over all cells below i, j and
            k of a grid over the range of the points.
    """
    table[:] = 0.0
    low, scale = np.empty(3), np.empty(3)
    for c in range(3):
        least, most = points[c].min(), points[c].max()
        low[c] = least
        scale[c] = CELLS * 0.999999 / (most - least) if most > least else 0.0
    for n in range(points.shape[1]):
        x, y, z, w = np.float64(points[0, n]), np.float64(points[1, n]), np.float64(points[2, n]), weights[n]
        cell = table[
            1 + int((x - low[0]) * scale[0]),
            1 + int((y - low[1]) * scale[1]),
            1 + int((z - low[2]) * scale[2]),
        ]
        cell[0] += w
        cell[1] += w * x
        cell[2] += w * y
        cell[3] += w * z
        cell[4] += w * (x * x + y * y + z * z)
    for i in range(1, CELLS + 1):
        area = np.zeros((CELLS + 1, 5))
        for j in range(1, CELLS + 1):
            line = np.zeros(5)
            for k in range(1, CELLS + 1):
                for m in range(5):
                    line[m] += table[i, j, k, m]
                    area[k, m] += line[m]
                    table[i, j, k, m] = table[i - 1, j, k, m] + area[k, m]


@njit
def _face(table, box, axis, place, out):
    """Add the four corners of a box at ``place`` along ``axis``, with their signs."""
    o1, o2 = (axis + 1) % 3, (axis + 2) % 3
    at = np.empty(3, np.int64)
    at[axis] = place
    out[:] = 0.0
    for a in range(2):
        for b in range(2):
            at[o1], at[o2] = box[2 * o1 + a], box[2 * o2 + b]
            sign = 1.0 if a == b else -1.0
            for m in range(5):
                out[m] += sign * table[at[0], at[1], at[2], m]


@njit
def _measure(table, box, sums):
    """Compute the moments of a box, and return the squared error around its mean."""
    low, high = np.empty(5), np.empty(5)
    _face(table, box, 0, box[0], low)
    _face(table, box, 0, box[1], high)
    for m in range(5):
        sums[m] = high[m] - low[m]
    if sums[0] < 0.5:
        return 0.0
    return sums[4] - (sums[1] ** 2 + sums[2] ** 2 + sums[3] ** 2) / sums[0]


@njit
def _best_cut(table, box, sums):
    """Return axis and position of the cut with minimum squared error; axis -1 if no cut is possible."""
    low, here = np.empty(5), np.empty(5)
    best, best_axis, best_place = -1.0, -1, 0
    for axis in range(3):
        _face(table, box, axis, box[2 * axis], low)
        for place in range(box[2 * axis] + 1, box[2 * axis + 1]):
            _face(table, box, axis, place, here)
            one = here[0] - low[0]
            other = sums[0] - one
            if one < 0.5 or other < 0.5:
                continue
            value = 0.0
            for m in range(1, 4):
                part = here[m] - low[m]
                value += part * part / one + (sums[m] - part) ** 2 / other
            if value > best:
                best, best_axis, best_place = value, axis, place
    return best_axis, best_place


@njit
def wu(table, colors):
    """Split the box of largest squared error at its best orthogonal plane, until there are enough boxes.

    Source: X. Wu, Efficient statistical computations for optimal color quantization, Graphics Gems II, 1991.

    Args:
        table: the result of :func:`moments`.
        colors: number of boxes.

    Returns:
        (3, m) float32 means of the boxes, m <= colors; fewer if no box can be split.
    """
    boxes = np.empty((colors, 6), np.int64)
    sums, errors = np.empty((colors, 5)), np.empty(colors)
    for c in range(3):
        boxes[0, 2 * c], boxes[0, 2 * c + 1] = 0, CELLS
    errors[0] = _measure(table, boxes[0], sums[0])
    count = 1
    while count < colors:
        worst = np.argmax(errors[:count])
        if errors[worst] <= 0.0:
            break
        axis, place = _best_cut(table, boxes[worst], sums[worst])
        if axis < 0:
            errors[worst] = 0.0
            continue
        boxes[count] = boxes[worst]
        boxes[worst, 2 * axis + 1] = place
        boxes[count, 2 * axis] = place
        errors[worst] = _measure(table, boxes[worst], sums[worst])
        errors[count] = _measure(table, boxes[count], sums[count])
        count += 1
    centers = np.empty((3, count), np.float32)
    for k in range(count):
        for c in range(3):
            centers[c, k] = sums[k, c + 1] / sums[k, 0]
    return centers


@njit
def coarse(colors, counts, bits):
    """Replace colours with equal high bits by their mean.

    Args:
        colors: (n, 3) uint8.
        counts: (n,), weight of each colour.
        bits: number of high bits per channel, 1..7.

    Returns:
        Means (3, m) float32 in 0..255 and weights (m,) float32, in order of first appearance.
    """
    shift = 8 - bits
    places = np.full(1 << (3 * bits), -1, np.int32)
    sums = np.empty((min(colors.shape[0], 1 << (3 * bits)), 4))
    used = 0
    for n in range(colors.shape[0]):
        r, g, b = np.int64(colors[n, 0]), np.int64(colors[n, 1]), np.int64(colors[n, 2])
        cell = ((((r >> shift) << bits) | (g >> shift)) << bits) | (b >> shift)
        place = places[cell]
        if place < 0:
            place = used
            places[cell] = place
            sums[place] = 0.0
            used += 1
        w = np.float64(counts[n])
        sums[place, 0] += w * r
        sums[place, 1] += w * g
        sums[place, 2] += w * b
        sums[place, 3] += w
    means, weights = np.empty((3, used), np.float32), np.empty(used, np.float32)
    for p in range(used):
        weights[p] = sums[p, 3]
        for c in range(3):
            means[c, p] = sums[p, c] / sums[p, 3]
    return means, weights


@njit
def _inspect(points, weights, order, first, last, mean, axis):
    """Compute mean and principal axis of the points order[first:last]; return the squared error."""
    mean[:] = 0.0
    total = 0.0
    for n in range(first, last):
        i = order[n]
        w = np.float64(weights[i])
        total += w
        for c in range(3):
            mean[c] += w * points[c, i]
    for c in range(3):
        mean[c] /= total
    axis[:] = 0.0
    if last - first < 2:
        return 0.0
    xx = xy = xz = yy = yz = zz = 0.0
    for n in range(first, last):
        i = order[n]
        w = np.float64(weights[i])
        x, y, z = points[0, i] - mean[0], points[1, i] - mean[1], points[2, i] - mean[2]
        xx += w * x * x
        xy += w * x * y
        xz += w * x * z
        yy += w * y * y
        yz += w * y * z
        zz += w * z * z
    x, y, z = xx, xy, xz
    if yy >= xx and yy >= zz:
        x, y, z = xy, yy, yz
    elif zz >= xx:
        x, y, z = xz, yz, zz
    for _ in range(32):
        size = np.sqrt(x * x + y * y + z * z)
        if size == 0.0:
            break
        axis[0], axis[1], axis[2] = x / size, y / size, z / size
        x, y, z = (
            xx * axis[0] + xy * axis[1] + xz * axis[2],
            xy * axis[0] + yy * axis[1] + yz * axis[2],
            xz * axis[0] + yz * axis[1] + zz * axis[2],
        )
    return xx + yy + zz


@njit
def _cut(points, weights, order, first, last, mean, axis, bins):
    """Reorder order[first:last] by the best plane orthogonal to the axis; return the border."""
    slots = bins.shape[0]
    least, most = np.inf, -np.inf
    for n in range(first, last):
        i = order[n]
        t = (
            axis[0] * (points[0, i] - mean[0])
            + axis[1] * (points[1, i] - mean[1])
            + axis[2] * (points[2, i] - mean[2])
        )
        least, most = min(least, t), max(most, t)
    if not most > least:
        return first
    scale = slots * 0.999999 / (most - least)
    bins[:] = 0.0
    for n in range(first, last):
        i = order[n]
        t = (
            axis[0] * (points[0, i] - mean[0])
            + axis[1] * (points[1, i] - mean[1])
            + axis[2] * (points[2, i] - mean[2])
        )
        b = int((t - least) * scale)
        bins[b, 0] += weights[i]
        bins[b, 1] += weights[i] * t
    total = bins[:, 0].sum()
    weight = moment = 0.0
    best, edge = -1.0, 1
    for b in range(1, slots):
        weight += bins[b - 1, 0]
        moment += bins[b - 1, 1]
        value = moment * moment * total / (weight * (total - weight)) if 0.0 < weight < total else 0.0
        if value > best:
            best, edge = value, b
    middle, n = first, first
    while n < last:
        i = order[n]
        t = (
            axis[0] * (points[0, i] - mean[0])
            + axis[1] * (points[1, i] - mean[1])
            + axis[2] * (points[2, i] - mean[2])
        )
        if int((t - least) * scale) < edge:
            order[n], order[middle] = order[middle], i
            middle += 1
        n += 1
    return middle


@njit
def variance_cut(points, weights, colors):
    """Split the cluster of largest squared error across its principal axis, until there are enough.

    Source: S. Wan, P. Prusinkiewicz and S. Wong, Variance-based color image quantization for frame buffer
    display, Color Research and Application 1990, with the principal axis instead of a coordinate axis.

    Args:
        points: (3, n) float32, all distinct.
        weights: (n,) float32.
        colors: number of clusters.

    Returns:
        (3, m) float32 means, m = min(colors, n).
    """
    order = np.arange(points.shape[1])
    bounds = np.empty((colors, 2), np.int64)
    means, axes, errors = np.empty((colors, 3)), np.empty((colors, 3)), np.empty(colors)
    bins = np.empty((64, 2))
    bounds[0, 0], bounds[0, 1] = 0, order.size
    errors[0] = _inspect(points, weights, order, 0, order.size, means[0], axes[0])
    count = 1
    while count < colors:
        worst = np.argmax(errors[:count])
        if errors[worst] <= 0.0:
            break
        first, last = bounds[worst]
        middle = _cut(points, weights, order, first, last, means[worst], axes[worst], bins)
        if middle in (first, last):
            errors[worst] = 0.0
            continue
        bounds[worst, 1] = middle
        bounds[count, 0], bounds[count, 1] = middle, last
        errors[worst] = _inspect(points, weights, order, first, middle, means[worst], axes[worst])
        errors[count] = _inspect(points, weights, order, middle, last, means[count], axes[count])
        count += 1
    centers = np.empty((3, count), np.float32)
    for k in range(count):
        for c in range(3):
            centers[c, k] = means[k, c]
    return centers
