"""Entropy-constrained vector quantization: P. Chou, T. Lookabaugh and R. Gray, IEEE Trans. ASSP 37 (1989).

The reference for every learned quantizer of a vector source: no transform, a free codebook, free cells.
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
    """A codebook with the lengths of its codewords' codes.

    Attributes:
        codebook: (K, d).
        bits: (K,): minus the base-2 logarithm of each codeword's probability.
        trade_off: lambda it was designed for.
    """

    codebook: Tensor
    bits: Tensor
    trade_off: float

    def assign(self, samples: Tensor) -> Tensor:
        """The codeword (n,) of least bits + trade_off * squared error for every sample (n, d)."""
        return nearest(samples[None], self.codebook[None], self.bits[None] / self.trade_off)[0]

    def evaluate(self, samples: Tensor) -> RDPoint:
        """Bits per dimension by its own code lengths, and error, over samples (n, d)."""
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

    Starts from the occupied cells of a cubic lattice, the best at high rates (H. Gish and J. Pierce, 1968):
    from samples drawn as codewords, rare regions never get enough of them. A codeword that nothing chooses
    leaves the codebook.

    Args:
        samples: (n, d) float.
        trade_off: lambda, above 0.
        size: the most codewords to start with: the fullest cells.
        iterations: the most alternations.
        tolerance: stop when L falls by less than this part of it.

    Raises:
        UsageError: ``trade_off`` is not positive, ``size`` is below 1, or there are no samples.
    """
    if not trade_off > 0:
        raise UsageError(f"The trade-off is {trade_off}: choose a number above 0.")
    if size < 1 or not len(samples):
        raise UsageError(f"{size} codewords for {len(samples)} samples: give at least one of each.")
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
    """Codewords become their cells' means, code lengths their probabilities'; empty cells go."""
    counts = torch.bincount(indices, minlength=len(quantizer.codebook))
    used = counts > 0
    sums = torch.zeros_like(quantizer.codebook).index_add_(0, indices, samples)
    codebook = sums[used] / counts[used, None]
    bits = -(counts[used] / len(samples)).log2()
    return ECVQ(codebook, bits.to(samples.dtype), quantizer.trade_off)
