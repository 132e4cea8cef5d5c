"""Initial centres of k-means: Wu's boxes, greedy k-means++, random colours, or distant colours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from colorcnn.compiled import njit
from colorcnn.quantizers.designed import Points
from colorcnn.quantizers.wu import wu_centers


@njit
def _lower(points, centers, k, squares):
    """Update the squared distances (n,) to the nearest centre with centre k."""
    x, y, z = centers[0, k], centers[1, k], centers[2, k]
    for i in range(squares.size):
        dx, dy, dz = points[0, i] - x, points[1, i] - y, points[2, i] - z
        squares[i] = min(squares[i], dx * dx + dy * dy + dz * dz)


@njit
def _draw(weights, squares, power, at):
    """Return the first point at which the sum of weight * distance**power exceeds ``at`` of the total."""
    total = 0.0
    for i in range(squares.size):
        total += weights[i] * (squares[i] if power == 2.0 else squares[i] ** (0.5 * power))
    reach = 0.0
    for i in range(squares.size):
        part = weights[i] * (squares[i] if power == 2.0 else squares[i] ** (0.5 * power))
        reach += part
        if part > 0.0 and reach > at * total:
            return i
    return np.argmax(weights * squares)


@njit
def plus_plus(points, weights, centers, given, power, trials, draws):
    """Draw centres with probability proportional to weight * distance**power from the earlier centres.

    Source: D. Arthur and S. Vassilvitskii, k-means++, SODA 2007; with several trials the greedy variant.

    Args:
        points: (3, n) float32.
        weights: (n,) float32.
        centers: (3, K) float32, overwritten from column ``given`` on.
        given: number of given centres.
        power: 2 is k-means++.
        trials: number of candidates per centre; the one with the lowest error is used.
        draws: (K, trials) float64, random numbers in [0, 1).
    """
    n = weights.size
    squares = np.full(n, np.float32(3e38))
    trial, best = np.empty(n, np.float32), np.empty(n, np.float32)
    for k in range(given):
        _lower(points, centers, k, squares)
    for k in range(given, centers.shape[1]):
        if k == 0:
            total = weights.astype(np.float64).sum()
            reach, i = 0.0, -1
            while reach <= draws[0, 0] * total and i < n - 1:
                i += 1
                reach += weights[i]
            for c in range(3):
                centers[c, 0] = points[c, i]
            _lower(points, centers, 0, squares)
            continue
        least, chosen = np.inf, -1
        for t in range(trials):
            i = _draw(weights, squares, power, draws[k, t])
            for c in range(3):
                centers[c, k] = points[c, i]
            if trials == 1:
                chosen = i
                break
            trial[:] = squares
            _lower(points, centers, k, trial)
            error = 0.0
            for j in range(n):
                error += weights[j] * trial[j]
            if error < least:
                least, chosen = error, i
                best[:] = trial
        for c in range(3):
            centers[c, k] = points[c, chosen]
        if trials == 1:
            _lower(points, centers, k, squares)
        else:
            squares[:] = best


@njit
def _maximin(points, weights, centers, given):
    """Choose the point of largest weight, then repeatedly the farthest from those (T. Gonzalez, 1985)."""
    squares = np.full(weights.size, np.float32(3e38))
    for k in range(given):
        _lower(points, centers, k, squares)
    for k in range(given, centers.shape[1]):
        i = np.argmax(weights) if k == 0 else np.argmax(squares)
        for c in range(3):
            centers[c, k] = points[c, i]
        _lower(points, centers, k, squares)


def _from_wu(points: Points, centers: np.ndarray, given: int, random: np.random.Generator) -> None:
    found = wu_centers(points, centers.shape[1] - given)
    end = given + found.shape[1]
    centers[:, given:end] = found
    if end < centers.shape[1]:  # no box could be split further
        _from_plus_plus(points, centers, end, random)


def _from_plus_plus(points: Points, centers: np.ndarray, given: int, random: np.random.Generator) -> None:
    colors = centers.shape[1]
    trials = 2 + int(np.log(colors))
    plus_plus(*points, centers, given, 2.0, trials, random.random((colors, trials)))


def _from_random(points: Points, centers: np.ndarray, given: int, random: np.random.Generator) -> None:
    reach = np.cumsum(points.weights, dtype=np.float64)
    wanted = centers.shape[1] - given
    chosen: dict[int, None] = {}  # an ordered set
    while len(chosen) < min(wanted, len(reach)):
        draws = np.searchsorted(reach, random.random(2 * wanted) * reach[-1], side="right")
        chosen.update(dict.fromkeys(np.minimum(draws, len(reach) - 1).tolist()))
    centers[:, given:] = points.coordinates[:, np.resize(np.fromiter(chosen, np.int64), wanted)]


def _from_maximin(points: Points, centers: np.ndarray, given: int, random: np.random.Generator) -> None:
    _maximin(*points, centers, given)


INITS: dict[str, Callable[[Points, np.ndarray, int, np.random.Generator], None]] = {
    "k-means++": _from_plus_plus,
    "maximin": _from_maximin,
    "random": _from_random,
    "wu": _from_wu,
}
"""Name -> function that fills the centres (3, K) from column ``given`` on."""
