"""Compiled loop of Stochastic Quantization: gradient steps of the elements nearest to sampled points."""

from __future__ import annotations

import numpy as np

from colorcnn.compiled import njit
from colorcnn.quantizers.lloyd import nearest

SGD, MOMENTUM, NESTEROV, ADAGRAD, RMSPROP, ADAM = range(6)
_TINY = 1e-8


@njit
def _gradient(norm, away, out):
    """Compute the gradient r |y - x|^(r-2) (y - x) of |y - x|^r, with ``away`` = y - x; 0 at 0."""
    square = 0.0
    for c in range(3):
        square += away[c] * away[c]
    scale = norm if norm == 2.0 else (norm * square ** (0.5 * norm - 1.0) if square > 0.0 else 0.0)
    for c in range(3):
        out[c] = scale * away[c]


@njit
def _step(method, rate, gradient, state, k, momentum, decay, out):
    """Compute the step of element k; ``state`` is the array of :func:`descend`, because slices are slow."""
    times = state[6, k]
    for c in range(3):
        g = gradient[c]
        if method == SGD:
            out[c] = rate * g
        elif method in (MOMENTUM, NESTEROV):
            state[c, k] = momentum * state[c, k] + rate * g
            out[c] = state[c, k]
        elif method == ADAGRAD:
            state[3 + c, k] += g * g
            out[c] = rate * g / np.sqrt(state[3 + c, k] + _TINY)
        elif method == RMSPROP:
            state[3 + c, k] = decay * state[3 + c, k] + (1.0 - decay) * g * g
            # Corrects for the start at 0: the first step would be (1 - decay)**-0.5 times too long.
            out[c] = rate * g / np.sqrt(state[3 + c, k] / (1.0 - decay**times) + _TINY)
        else:
            state[c, k] = momentum * state[c, k] + (1.0 - momentum) * g
            state[3 + c, k] = decay * state[3 + c, k] + (1.0 - decay) * g * g
            mean = state[c, k] / (1.0 - momentum**times)
            out[c] = rate * mean / np.sqrt(state[3 + c, k] / (1.0 - decay**times) + _TINY)


@njit
def descend(points, order, elements, fixed, state, low, high, settings, batch):
    """Move the element nearest to each sampled point against the gradient (Eq 4 of the paper).

    Args:
        points: (3, n) float32.
        order: (m,) int32, the sampled points.
        elements: (3, K) float32, moved in place, except the first ``fixed``.
        fixed: number of elements that do not move.
        state: (11, K) float64, kept between calls: first and second moments, number of steps, sum and number
            of the averaged positions.
        low: (3,) float64, lower bounds of the elements.
        high: (3,) float64, upper bounds of the elements.
        settings: method, r, learning rate, power of its decrease, momentum, decay, 1 to average.
        batch: points per step.
    """
    method, norm, rate, fall, momentum, decay, averaging = settings
    colors = elements.shape[1]
    cx, cy, cz = elements[0], elements[1], elements[2]
    away, gradient, move = np.empty(3), np.empty(3), np.empty(3)
    total, members = np.zeros((3, colors)), np.zeros(colors)
    touched = np.empty(batch, np.int64)
    for start in range(0, order.size, batch):
        count = 0
        for drawn in range(start, min(start + batch, order.size)):
            i = order[drawn]
            x, y, z = points[0, i], points[1, i], points[2, i]
            k = nearest(x, y, z, cx, cy, cz)
            if k < fixed:
                continue
            away[0], away[1], away[2] = cx[k] - x, cy[k] - y, cz[k] - z
            if method == NESTEROV:
                for c in range(3):
                    away[c] -= momentum * state[c, k]
            _gradient(norm, away, gradient)
            if members[k] == 0:
                touched[count] = k
                count += 1
            members[k] += 1.0
            for c in range(3):
                total[c, k] += gradient[c]
        for place in range(count):
            k = touched[place]
            state[6, k] += 1.0
            for c in range(3):
                gradient[c] = total[c, k] / members[k]
                total[c, k] = 0.0
            members[k] = 0.0
            now = rate / np.sqrt(state[6, k]) if fall == 0.5 else rate * state[6, k] ** -fall
            _step(method, now, gradient, state, k, momentum, decay, move)
            for c in range(3):
                elements[c, k] = min(max(elements[c, k] - move[c], low[c]), high[c])
                if averaging:
                    state[7 + c, k] += elements[c, k]
            state[10, k] += averaging


@njit
def objective(points, weights, elements, norm):
    """Return the weighted means of d**norm, d and d**2, where d is the distance to the nearest element.

    Args:
        points: (3, n).
        weights: (n,).
        elements: (3, k).
        norm: the power.
    """
    cx, cy, cz = elements[0], elements[1], elements[2]
    total = powers = distances = squares = 0.0
    for i in range(points.shape[1]):
        x, y, z, w = points[0, i], points[1, i], points[2, i], weights[i]
        k = nearest(x, y, z, cx, cy, cz)
        dx, dy, dz = np.float64(cx[k] - x), np.float64(cy[k] - y), np.float64(cz[k] - z)
        square = dx * dx + dy * dy + dz * dz
        total += w
        squares += w * square
        distances += w * np.sqrt(square)
        powers += w * square ** (0.5 * norm)
    return powers / total, distances / total, squares / total
