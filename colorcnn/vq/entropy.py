"""Entropy models: a learned density for rounded scalars, learned probabilities for codewords."""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorcnn.vq.estimators import straight_through

_MIN_LIKELIHOOD = 1e-9  # limits the cost of an outlier to 30 bits in training


class FactorizedDensity(nn.Module):
    """A univariate density per channel, without assumptions on its shape.

    J. Balle et al., Variational Image Compression with a Scale Hyperprior (2018), appendix 6.1: the
    cumulative distribution is a small monotone network. The modelled density is convolved with a unit
    uniform distribution. So it gives both the probability of an integer and the density with additive noise.

    Initial parameters are those of CompressAI's ``EntropyBottleneck``. With equal parameters the logits are
    equal bit for bit, and the likelihoods to 2e-7. Differences:

    - CompressAI has four hidden layers of width 3; this class has three, as in the paper's appendix.
    - CompressAI rounds around a learned median and trains quantiles by an extra loss; this class rounds to
      integers and codes the range from the smallest to the largest index that occurs.
    - CompressAI stops gradients that would lower a likelihood below its minimum; here all gradients pass.

    Args:
        channels: C.
        init_scale: initial width of the density.
        filters: widths of the hidden layers.
    """

    def __init__(self, channels: int, init_scale: float = 10.0, filters: tuple[int, ...] = (3, 3, 3)) -> None:
        super().__init__()
        widths = (1, *filters, 1)
        scale = init_scale ** (1 / (len(widths) - 1))
        self.matrices = nn.ParameterList()
        self.biases = nn.ParameterList()
        self.factors = nn.ParameterList()
        for inputs, outputs in itertools.pairwise(widths):
            weight = math.log(math.expm1(1 / scale / outputs))
            self.matrices.append(nn.Parameter(torch.full((channels, outputs, inputs), weight)))
            self.biases.append(nn.Parameter(torch.rand(channels, outputs, 1) - 0.5))
        for width in filters:
            self.factors.append(nn.Parameter(torch.zeros(channels, width, 1)))

    def logits(self, values: Tensor) -> Tensor:
        """Return the logits of the cumulative distribution at values (C, M)."""
        hidden = values.unsqueeze(1)
        for layer, (matrix, bias) in enumerate(zip(self.matrices, self.biases)):
            hidden = F.softplus(matrix.to(values.dtype)) @ hidden + bias.to(values.dtype)
            if layer < len(self.factors):
                hidden = hidden + self.factors[layer].to(values.dtype).tanh() * hidden.tanh()
        return hidden.squeeze(1)

    def likelihood(self, values: Tensor) -> Tensor:
        """Return the mass of the unit interval around each of values (C, M)."""
        low, high = self.logits(values - 0.5), self.logits(values + 0.5)
        # Computed from the nearer tail, where a sigmoid is precise.
        sign = torch.where(low + high > 0, -1.0, 1.0).to(values.dtype)
        return ((sign * high).sigmoid() - (sign * low).sigmoid()).abs()

    def bits(self, values: Tensor) -> Tensor:
        """Return minus the base-2 logarithm of the likelihood of values (C, M)."""
        likelihood = self.likelihood(values)
        # The gradient passes through the clamp, so that outliers still get a gradient.
        return -straight_through(likelihood.detach().clamp_min(_MIN_LIKELIHOOD), likelihood).log2()

    @torch.no_grad()
    def table(self, low: int, high: int) -> Tensor:
        """Return the probabilities (C, high - low + 1) of integers, float64.

        Args:
            low: smallest integer.
            high: largest integer.
        """
        channels = self.biases[0].shape[0]
        integers = torch.arange(low, high + 1, dtype=torch.float64, device=self.biases[0].device)
        return self.likelihood(integers.expand(channels, -1))


class CodewordPrior(nn.Module):
    """Learned probabilities of the codewords of G codebooks: the softmax of logits.

    Args:
        groups: G.
        size: K, codewords per codebook.
    """

    active: Tensor

    def __init__(self, groups: int, size: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(groups, size))
        self.register_buffer("active", torch.ones(groups, size, dtype=torch.bool))

    def bits(self) -> Tensor:
        """Return the code lengths (G, K) of all codewords; infinite for unused codewords."""
        # A finite number goes into the softmax, because infinities would make gradients NaN.
        masked = self.logits.masked_fill(~self.active, -1e4)
        return (-masked.log_softmax(dim=1) / math.log(2)).masked_fill(~self.active, math.inf)

    @torch.no_grad()
    def table(self) -> Tensor:
        """Return the probabilities (G, K), float64; 0 for unused codewords."""
        return self.logits.double().masked_fill(~self.active, -math.inf).softmax(dim=1)
