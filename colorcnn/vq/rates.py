"""Rate-distortion points: rates, squared errors, their loss, and the comparison of curves.

Rates are in bits per dimension (bits per pixel for images); the loss is L = bits + trade_off * MSE.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from colorcnn.errors import UsageError


@dataclass(frozen=True)
class RDPoint:
    """One point of a rate-distortion curve.

    Attributes:
        rate: bits per dimension of a vector source, bits per pixel of an image.
        mse: mean squared error; of pixels in [0, 1] for an image.
    """

    rate: float
    mse: float

    @property
    def decibels(self) -> float:
        """-10 log10 of the error: the PSNR of an image, and the usual measure for vector sources."""
        return decibels(self.mse)

    def loss(self, trade_off: float) -> float:
        """Return L = rate + trade_off * mse."""
        return self.rate + trade_off * self.mse


def decibels(mse: float) -> float:
    """Return -10 log10 of a mean squared error; infinite for an error of 0."""
    return -10 * math.log10(mse) if mse > 0 else math.inf


def gaussian_bound(rate: float) -> float:
    """Return the minimum squared error of a unit Gaussian at a rate in bits (Shannon): 2^(-2R)."""
    return 2.0 ** (-2 * rate)


def gap_in_bits(point: RDPoint) -> float:
    """Return the distance in bits of a point of a unit Gaussian from Shannon's bound."""
    return point.rate + 0.5 * math.log2(point.mse)


def bd_rate(anchor: Sequence[RDPoint], test: Sequence[RDPoint]) -> float:
    """Return the Bjontegaard delta rate: per cent of bits that ``test`` needs more than ``anchor``.

    Args:
        anchor: at least four points of one method.
        test: at least four points of another method; the decibels of the two must overlap.

    Raises:
        UsageError: too few points, curves without a common quality, or a curve that does not increase.
    """
    import bjontegaard  # imported here, because it loads matplotlib and scipy

    curves = [sorted(curve, key=lambda point: point.rate) for curve in (anchor, test)]
    for curve in curves:
        quality = [point.decibels for point in curve]
        if len(curve) < 4 or any(second <= first for first, second in itertools.pairwise(quality)):
            raise UsageError(
                f"A BD-rate cannot be computed from this curve of {len(curve)} points: "
                "use at least 4 points whose decibels rise with the rate."
            )
    low = max(curve[0].decibels for curve in curves)
    high = min(curve[-1].decibels for curve in curves)
    if low >= high:
        raise UsageError("The curves share no quality, so no BD-rate compares them: add points in between.")
    rates = [np.array([point.rate for point in curve]) for curve in curves]
    heights = [np.array([point.decibels for point in curve]) for curve in curves]
    return float(
        bjontegaard.bd_rate(
            rates[0],
            heights[0],
            rates[1],
            heights[1],
            method="akima",
            require_matching_points=False,
            min_overlap=0,
        )
    )
