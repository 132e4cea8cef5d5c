"""Exchanges of clusters to leave poor optima of Lloyd's algorithm: merge two clusters, split a third.

Points are (3, n) float32, weights (n,) float32, centers (3, K) float32, as in :mod:`.lloyd`.
"""

from __future__ import annotations

import numpy as np

from colorcnn.compiled import njit


@njit
def _principal_axes(points, weights, labels, means, axes):
    """Find the direction of largest variance of each cluster, by power iteration on its scatter matrix."""
    colors = means.shape[1]
    scatter = np.zeros((colors, 6))
    for i in range(points.shape[1]):
        k, w = labels[i], weights[i]
        x, y, z = points[0, i] - means[0, k], points[1, i] - means[1, k], points[2, i] - means[2, k]
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


@njit
def _halves(points, weights, labels, means, axes, sums, halves, gains):
    """Split every cluster at its centre: compute the sums of one half, and the decrease of the error."""
    halves[:] = 0.0
    for i in range(points.shape[1]):
        k = labels[i]
        x, y, z = points[0, i], points[1, i], points[2, i]
        side = (
            axes[0, k] * (x - means[0, k]) + axes[1, k] * (y - means[1, k]) + axes[2, k] * (z - means[2, k])
        )
        if side > 0:
            w = weights[i]
            halves[0, k] += w * x
            halves[1, k] += w * y
            halves[2, k] += w * z
            halves[3, k] += w
    for k in range(means.shape[1]):
        one, other = halves[3, k], sums[3, k] - halves[3, k]
        gains[k] = 0.0
        if one > 0.5 and other > 0.5:
            square = 0.0
            for c in range(3):
                step = halves[c, k] / one - (sums[c, k] - halves[c, k]) / other
                square += step * step
            gains[k] = square * one * other / (one + other)


@njit
def _cheapest_merges(means, sums, fixed, costs, partners):
    """Find each cluster's cheapest partner for a merge, and the increase of the squared error (J. Ward)."""
    colors = means.shape[1]
    for k in range(colors):
        costs[k], partners[k] = np.inf, -1
        for j in range(fixed, colors):
            if j != k and k >= fixed:
                total = sums[3, k] + sums[3, j]
                square = 0.0
                for c in range(3):
                    step = means[c, k] - means[c, j]
                    square += step * step
                cost = square * sums[3, k] * sums[3, j] / total if total > 0.5 else 0.0
                if cost < costs[k]:
                    costs[k], partners[k] = cost, j


@njit
def split_merge(points, weights, centers, fixed, labels, sums, fresh, margin, most, favour):
    """Merge pairs of clusters and split others if this lowers the squared error.

    Each exchange frees a centre by merging two clusters, and uses it to split a third along its principal
    axis. Decrease and increase of the error are exact for the current assignment, and exchanges have no
    cluster in common. So with ``margin`` 1 the squared error falls by at least the sum of their differences.

    Args:
        points: (3, n) float32, see :func:`colorcnn.quantizers.lloyd.lloyd`.
        weights: (n,) float32.
        centers: (3, K) float32, changed in place.
        fixed: number of centres that do not move.
        labels: (n,) uint8, the current assignment.
        sums: (4, K) float64, its weighted sums and weights.
        fresh: (K,) bool, set to True for the moved centres.
        margin: minimum ratio of decrease to increase. Below 1 the error may rise, but Lloyd's iterations may
            lower it afterwards.
        most: maximum number of exchanges.
        favour: (2, K) float64, factors of the priority of each cluster's split and merge; 1 takes the best
            first.

    Returns:
        The number of exchanges.
    """
    colors = centers.shape[1]
    means = centers.astype(np.float64)
    for k in range(colors):
        if sums[3, k] > 0.5:
            for c in range(3):
                means[c, k] = sums[c, k] / sums[3, k]
    axes = np.empty((3, colors))
    halves = np.empty((4, colors))
    gains, costs, partners = np.empty(colors), np.empty(colors), np.empty(colors, np.int64)
    _principal_axes(points, weights, labels, means, axes)
    _halves(points, weights, labels, means, axes, sums, halves, gains)
    _cheapest_merges(means, sums, fixed, costs, partners)
    gains[:fixed] = 0.0
    cuts, merges = np.argsort(-gains * favour[0]), np.argsort(costs / favour[1])
    done, cut = 0, 0
    for place in range(colors):
        k = merges[place]
        j = partners[k]
        if done == most or j < 0 or fresh[k] or fresh[j]:
            continue
        while cut < colors and (fresh[cuts[cut]] or cuts[cut] == k or cuts[cut] == j):
            cut += 1
        if cut == colors:
            break
        s = cuts[cut]
        if gains[s] <= margin * costs[k] or gains[s] <= 0:
            continue
        fresh[k] = fresh[j] = fresh[s] = True
        total = sums[3, k] + sums[3, j]
        for c in range(3):
            if total > 0.5:
                centers[c, k] = (sums[c, k] + sums[c, j]) / total
            centers[c, j] = halves[c, s] / halves[3, s]
            centers[c, s] = (sums[c, s] - halves[c, s]) / (sums[3, s] - halves[3, s])
        done += 1
    return done
