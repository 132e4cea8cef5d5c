"""Rate-distortion results published in papers, stored separately from measured ones.

Only printed numbers are copied; nothing is read off a curve.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

NVTC = "R. Feng, Z. Guo, W. Li and Z. Chen, NVTC: Nonlinear Vector Transform Coding, CVPR 2023"
AOSVQ = "Alternating Optimized Stochastic Vector Quantization in Neural Compression, table 1"


@dataclass(frozen=True)
class PublishedPoint:
    """One published point of a vector source.

    Attributes:
        rate: bits per dimension.
        decibels: -10 log10 of the mean squared error.
        loss: the published rate + lambda * MSE.
    """

    rate: float
    decibels: float
    loss: float


@dataclass(frozen=True)
class PublishedCurve:
    """Published results of one method on one source.

    Attributes:
        method: name of the method.
        source: a name in :data:`colorcnn.vq.sources.SOURCES`.
        reference: the paper.
        points: lambda -> point.
    """

    method: str
    source: str
    reference: str
    points: Mapping[int, PublishedPoint]


CURVES = (
    PublishedCurve(
        "ecvq",
        "boomerang",
        NVTC,
        {
            4: PublishedPoint(1.114, 8.41, 1.691),
            16: PublishedPoint(1.879, 13.67, 2.566),
            64: PublishedPoint(2.835, 19.39, 3.572),
        },
    ),
    PublishedCurve(
        "ntc",
        "boomerang",
        NVTC,
        {
            4: PublishedPoint(1.112, 8.38, 1.693),
            16: PublishedPoint(1.873, 13.42, 2.601),
            64: PublishedPoint(2.951, 19.41, 3.684),
        },
    ),
)

KODAK_BD_RATE: Mapping[str, float] = {
    "sphere-1d": -5.58,
    "sphere-2d": -7.20,
    "sphere-4d": -9.39,
    "bpg444": -26.16,
}
"""BD-rate in per cent against UQ-AUN on Kodak, PSNR, trained on COCO; source: :data:`AOSVQ`."""
