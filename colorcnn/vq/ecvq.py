"""Entropy-constrained vector quantization: P. Chou, T. Lookabaugh and R. Gray, IEEE Trans. ASSP 37 (1989).

It is the reference for learned quantizers of vector sources: a codebook without a transform.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from colorcnn.errors import UsageError
from colorcnn.vq.rates import RDPoint
from colorcnn.vq.search import nearest


@dataclass(frozen=True)
class ECVQ:
    """A codebook with a code length for each codeword.

    Attributes:
        codebook: (K, d).
        bits: (K,): minus the base-2 logarithm of each codeword's probability.
        trade_off: lambda of the design.
    """

    codebook: Tensor
    bits: Tensor
    trade_off: float

    def assign(self, samples: Tensor) -> Tensor:
        """Return the codeword (n,) with minimum bits + trade_off * squared error for samples (n, d)."""
        return nearest(samples[None], self.codebook[None], self.bits[None] / self.trade_off)[0]

    def evaluate(self, samples: Tensor) -> RDPoint:
        """Return bits per dimension by the code lengths, and the error, for samples (n, d)."""
        indices = self.assign(samples)
        rate = self.bits[indices].double().mean() / samples.shape[1]
        mse = (samples - self.codebook[indices]).double().square().mean()
        return RDPoint(float(rate), float(mse))


def design_ecvq(
    samples: Tensor,
    trade_off: float,
    size: int = 1024,
    iterations: int = 200,
    tolerance: float = 1e-6,
) -> ECVQ:
    """Design a quantizer that minimises L = bits per dimension + trade_off * MSE over samples.

    The initial codewords are the occupied cells of a cubic lattice, which is good at high rates (H. Gish and
    J. Pierce, 1968). Random samples as initial codewords would leave rare regions with too few. Unused
    codewords are removed.

    Args:
        samples: (n, d) float.
        trade_off: lambda, above 0.
        size: maximum number of initial codewords; the cells with most samples are taken.
        iterations: maximum number of iterations.
        tolerance: relative decrease of L below which the iterations stop.

    Raises:
        UsageError: ``trade_off`` is not positive, ``size`` is below 1, or there are no samples.
    """
    if not trade_off > 0:
        raise UsageError(f"The trade-off is {trade_off}: choose a number above 0.")
    if size < 1 or not len(samples):
        raise UsageError(f"size is {size} with {len(samples)} samples: use at least 1 of each.")
    quantizer = _lattice(samples, trade_off, size)
    previous = math.inf
    for _ in tqdm(range(iterations), desc="ECVQ", disable=None, leave=False):
        indices = quantizer.assign(samples)
        loss = _loss(samples, quantizer, indices)
        quantizer = _update(samples, quantizer, indices)
        if previous - loss < tolerance * loss:
            break
        previous = loss
    return quantizer


def _lattice(samples: Tensor, trade_off: float, size: int) -> ECVQ:
    step = math.sqrt(6 / (trade_off * math.log(2)))  # minimises -log2(step) + trade_off * step^2 / 12
    _, indices, counts = (samples / step).round().unique(dim=0, return_inverse=True, return_counts=True)
    fullest = counts.argsort(descending=True, stable=True)[:size]
    sums = samples.new_zeros(len(counts), samples.shape[1]).index_add_(0, indices, samples)
    codebook = sums[fullest] / counts[fullest, None]
    bits = -(counts[fullest] / counts[fullest].sum()).log2()
    return ECVQ(codebook, bits.to(samples.dtype), trade_off)


def _loss(samples: Tensor, quantizer: ECVQ, indices: Tensor) -> float:
    rate = quantizer.bits[indices].mean() / samples.shape[1]
    mse = (samples - quantizer.codebook[indices]).square().mean()
    return float(rate + quantizer.trade_off * mse)


def _update(samples: Tensor, quantizer: ECVQ, indices: Tensor) -> ECVQ:
    """Return the codebook of the cells' means, with code lengths of the cells' shares; drop empty cells."""
    counts = torch.bincount(indices, minlength=len(quantizer.codebook))
    used = counts > 0
    sums = torch.zeros_like(quantizer.codebook).index_add_(0, indices, samples)
    codebook = sums[used] / counts[used, None]
    bits = -(counts[used] / len(samples)).log2()
    return ECVQ(codebook, bits.to(samples.dtype), quantizer.trade_off)
