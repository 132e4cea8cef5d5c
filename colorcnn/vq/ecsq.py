"""Optimal entropy-constrained scalar quantizer of a Gaussian, computed exactly without samples.

Boundaries and levels meet the conditions of P. Chou, T. Lookabaugh and R. Gray, Entropy-Constrained Vector
Quantization (1989): both neighbours of a boundary have equal cost there, and a level is the mean of its cell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from colorcnn.errors import UsageError
from colorcnn.vq.rates import RDPoint

_LIMIT = 9.0  # standard deviations; the mass beyond is below 1e-18
_NEGLIGIBLE = 1e-15  # a cell with less mass is dropped


@dataclass(frozen=True)
class ScalarQuantizer:
    """A scalar quantizer of a unit Gaussian.

    Attributes:
        boundaries: (n - 1,) float64, ascending.
        levels: (n,) float64, ascending.
        probabilities: (n,) float64, masses of the cells.
        point: the rate (entropy in bits) and the squared error.
    """

    boundaries: Tensor
    levels: Tensor
    probabilities: Tensor
    point: RDPoint


def gaussian_ecsq(trade_off: float, iterations: int = 4000, tolerance: float = 1e-12) -> ScalarQuantizer:
    """Minimise L = bits + trade_off * MSE over all scalar quantizers of N(0, 1).

    Both symmetric families are tried: a level in the middle, and a boundary in the middle. Lloyd iterations
    start from the uniform quantizer that is optimal at high rates.

    Args:
        trade_off: lambda, above 0.
        iterations: maximum number of iterations.
        tolerance: decrease of L below which the iterations stop.

    Raises:
        UsageError: ``trade_off`` is not positive.
    """
    if not trade_off > 0:
        raise UsageError(f"The trade-off is {trade_off}: choose a number above 0.")
    step = math.sqrt(6 / (trade_off * math.log(2)))  # minimises -log2(step) + trade_off * step^2 / 12
    found = [_alternate(_start(step, middle), trade_off, iterations, tolerance) for middle in (0.0, 0.5)]
    return min(found, key=lambda quantizer: quantizer.point.loss(trade_off))


def _start(step: float, middle: float) -> Tensor:
    half = int(_LIMIT / step) + 1
    count = torch.arange(-half, half + 1, dtype=torch.float64)
    return (count + middle) * step


def _alternate(levels: Tensor, trade_off: float, iterations: int, tolerance: float) -> ScalarQuantizer:
    boundaries = (levels[1:] + levels[:-1]) / 2
    previous = math.inf
    while True:
        boundaries, levels, probabilities, point = _cells(boundaries)
        loss = point.loss(trade_off)
        iterations -= 1
        if previous - loss < tolerance or iterations <= 0:
            return ScalarQuantizer(boundaries, levels, probabilities, point)
        previous = loss
        boundaries = _boundaries(levels, probabilities, trade_off)


def _boundaries(levels: Tensor, probabilities: Tensor, trade_off: float) -> Tensor:
    """Return the points at which two neighbours have equal cost, without levels of empty cells."""
    while True:
        bits = -probabilities.log2()
        gap = levels.diff()
        found = (levels[1:] + levels[:-1]) / 2 + bits.diff() / (2 * trade_off * gap)
        empty = found.diff() <= 0
        if not empty.any():
            return found
        kept = torch.ones(len(levels), dtype=torch.bool)
        kept[1:-1] = ~empty
        levels, probabilities = levels[kept], probabilities[kept]


def _cells(boundaries: Tensor) -> tuple[Tensor, Tensor, Tensor, RDPoint]:
    """Return boundaries, means and probabilities of the non-empty cells of N(0, 1), with rate and error."""
    infinite = torch.tensor([math.inf], dtype=torch.float64)
    low, high = torch.cat([-infinite, boundaries]), torch.cat([boundaries, infinite])
    # The upper tail is computed from its own end, because ndtr rounds to 1 there.
    mass = torch.where(
        low > 0,
        torch.special.ndtr(-low) - torch.special.ndtr(-high),
        torch.special.ndtr(high) - torch.special.ndtr(low),
    )
    kept = mass > _NEGLIGIBLE
    mass, low, high = mass[kept], low[kept], high[kept]
    density = [(-edge.square() / 2).exp() / math.sqrt(2 * math.pi) for edge in (low, high)]
    levels = (density[0] - density[1]) / mass
    mass = mass / mass.sum()
    rate = (mass * -mass.log2()).sum().abs()  # abs turns -0 into 0 if there is one cell
    mse = 1 - (mass * levels.square()).sum()  # E[x^2] - E[level^2], because levels are means
    return high[:-1], levels, mass, RDPoint(float(rate), float(mse))
