"""Plain NumPy twins of the compiled kernels: slow, short, and what the kernels have to agree with."""

import numpy as np

from colorcnn.quantizers.boxes import CELLS


def squares(points, centers):
    """Squared distances (n, K) in float64 of points (3, n) and centers (3, K)."""
    return ((points.astype(float)[:, :, None] - centers.astype(float)[:, None]) ** 2).sum(axis=0)


def nearest_bytes(colors, palette):
    return ((colors[:, None].astype(np.int32) - palette) ** 2).sum(axis=2).argmin(axis=1)


def cluster_sums(points, weights, labels, colors):
    sums = np.zeros((4, colors))
    np.add.at(sums.T, labels, np.vstack([points * weights, weights]).T.astype(float))
    return sums


def squared_error(points, weights, centers):
    return float((weights * squares(points, centers).min(axis=1)).sum())


def lloyd(points, weights, centers, fixed, iterations):
    centers = centers.astype(float)
    for _ in range(iterations):
        sums = cluster_sums(points, weights, squares(points, centers).argmin(axis=1), centers.shape[1])
        alive = sums[3] > 0
        alive[:fixed] = False
        centers[:, alive] = sums[:3, alive] / sums[3, alive]
    return centers


def macqueen(points, order, centers, fixed, power):
    centers = centers.astype(float)
    times = np.ones(centers.shape[1])
    for i in order:
        k = squares(points[:, i : i + 1], centers).argmin()
        if k >= fixed:
            times[k] += 1
            centers[:, k] += times[k] ** -power * (points[:, i] - centers[:, k])
    return centers


def stochastic(points, order, elements, r, rate, fall):
    """SQ by plain gradient steps, one element a step."""
    elements = elements.astype(float)
    times = np.zeros(elements.shape[1])
    for i in order:
        k = squares(points[:, i : i + 1], elements).argmin()
        away = elements[:, k] - points[:, i]
        times[k] += 1
        distance = np.linalg.norm(away)
        if distance:
            elements[:, k] -= rate * times[k] ** -fall * r * distance ** (r - 2) * away
    return elements


def moments(points, weights):
    low, high = points.min(axis=1).astype(float), points.max(axis=1).astype(float)
    scale = np.where(high > low, CELLS * 0.999999 / np.where(high > low, high - low, 1), 0)
    cells = ((points - low[:, None]) * scale[:, None]).astype(int)
    table = np.zeros((CELLS + 1, CELLS + 1, CELLS + 1, 5))
    values = np.vstack([np.ones_like(weights), points, (points.astype(float) ** 2).sum(axis=0)]) * weights
    np.add.at(table, tuple(cells + 1), values.T)
    return table.cumsum(0).cumsum(1).cumsum(2), cells


def wu(points, weights, colors):
    """X. Wu's method on explicit sets of points."""
    _, cells = moments(points, weights)
    boxes = [np.arange(len(weights))]

    def spread(box):
        mean = np.average(points[:, box], axis=1, weights=weights[box])
        return float((weights[box] * ((points[:, box] - mean[:, None]) ** 2).sum(axis=0)).sum())

    while len(boxes) < colors:
        for worst in sorted(range(len(boxes)), key=lambda k: -spread(boxes[k])):
            box = boxes[worst]
            cuts = [
                (box[cells[axis, box] < place], box[cells[axis, box] >= place])
                for axis in range(3)
                for place in np.unique(cells[axis, box])[1:]
            ]
            if cuts:
                boxes[worst : worst + 1] = min(cuts, key=lambda cut: spread(cut[0]) + spread(cut[1]))
                break
        else:
            break
    return np.stack([np.average(points[:, box], axis=1, weights=weights[box]) for box in boxes], axis=1)


def variance_cut(points, weights, colors):
    clusters = [np.arange(len(weights))]

    def scatter(cluster):
        mean = np.average(points[:, cluster], axis=1, weights=weights[cluster])
        away = points[:, cluster] - mean[:, None]
        return away, (weights[cluster] * away) @ away.T

    while len(clusters) < min(colors, len(weights)):
        worst = max(range(len(clusters)), key=lambda k: np.trace(scatter(clusters[k])[1]))
        cluster = clusters[worst]
        away, matrix = scatter(cluster)
        along = np.linalg.eigh(matrix)[1][:, -1] @ away
        bins = ((along - along.min()) * 64 * 0.999999 / np.ptp(along)).astype(int)
        w = weights[cluster].astype(float)

        def between(edge, bins=bins, w=w, along=along):
            one, other = bins < edge, bins >= edge
            return (w[one] @ along[one]) ** 2 / w[one].sum() + (w[other] @ along[other]) ** 2 / w[other].sum()

        edge = max(np.unique(bins)[1:], key=between)
        clusters[worst : worst + 1] = [cluster[bins < edge], cluster[bins >= edge]]
    return np.stack([np.average(points[:, c], axis=1, weights=weights[c]) for c in clusters], axis=1)


def coarse(colors, counts, bits):
    groups = {}
    for color, count in zip(colors.tolist(), counts.tolist()):
        groups.setdefault(tuple(v >> (8 - bits) for v in color), []).append((*color, count))
    rows = [np.array(group, dtype=float) for group in groups.values()]
    means = [np.average(row[:, :3], axis=0, weights=row[:, 3]) for row in rows]
    return np.array(means).T, np.array([row[:, 3].sum() for row in rows])


def sample(weights, size):
    places = (np.arange(size) + 0.5) * weights.sum() / size
    return np.searchsorted(np.cumsum(weights), places)


def plus_plus(points, weights, colors, power, draws):
    centers = points[:, [np.searchsorted(np.cumsum(weights), draws[0, 0] * weights.sum(), side="right")]]
    for k in range(1, colors):
        near = squares(points, centers).min(axis=1)
        shares = np.cumsum(weights * near ** (power / 2))
        candidates = [np.searchsorted(shares, draw * shares[-1], side="right") for draw in draws[k]]
        errors = [
            (weights * np.minimum(near, squares(points, points[:, [i]])[:, 0])).sum() for i in candidates
        ]
        centers = np.hstack([centers, points[:, [candidates[int(np.argmin(errors))]]]])
    return centers
