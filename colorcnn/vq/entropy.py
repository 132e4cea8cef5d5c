"""Entropy models: a learned density for rounded scalars, learned probabilities for codewords."""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorcnn.vq.estimators import straight_through

_LEAST = 1e-9  # probability; a value the model cannot explain costs at most 30 bits in training


class FactorizedDensity(nn.Module):
    """A univariate density per channel, without assumptions on its shape.

    J. Balle et al., Variational Image Compression with a Scale Hyperprior (2018), appendix 6.1: the
    cumulative distribution is a small monotone network. What is modelled is the density convolved with a unit
    uniform, so that it gives the probability of an integer and the density of additive noise alike.

    With equal parameters the logits are those of CompressAI's ``EntropyBottleneck`` bit for bit, and the
    likelihoods to 2e-7; parameters start alike. What differs: its network has four hidden layers of 3, this
    one three, as in the paper's appendix; it rounds to integers around a learned median and trains quantiles
    by a loss of their own, where this one rounds to integers and codes what lies between the least and the
    greatest that occur; and it cuts gradients through the least likelihood that would lower it further, which
    here all pass.

    Args:
        channels: C.
        init_scale: how wide the density is at first.
        filters: the widths of its hidden layers.
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
        """Logits of the cumulative distribution at values (C, M)."""
        hidden = values.unsqueeze(1)
        for layer, (matrix, bias) in enumerate(zip(self.matrices, self.biases)):
            hidden = F.softplus(matrix.to(values.dtype)) @ hidden + bias.to(values.dtype)
            if layer < len(self.factors):
                hidden = hidden + self.factors[layer].to(values.dtype).tanh() * hidden.tanh()
        return hidden.squeeze(1)

    def likelihood(self, values: Tensor) -> Tensor:
        """Mass of the unit interval around each of values (C, M)."""
        low, high = self.logits(values - 0.5), self.logits(values + 0.5)
        # Measured from the nearer end, where a sigmoid has digits left.
        sign = torch.where(low + high > 0, -1.0, 1.0).to(values.dtype)
        return ((sign * high).sigmoid() - (sign * low).sigmoid()).abs()

    def bits(self, values: Tensor) -> Tensor:
        """Minus the base-2 logarithm of the likelihood of values (C, M)."""
        likelihood = self.likelihood(values)
        # Straight through the bound: what lies far out must still be drawn in.
        return -straight_through(likelihood.detach().clamp_min(_LEAST), likelihood).log2()

    @torch.no_grad()
    def table(self, low: int, high: int) -> Tensor:
        """Return the probabilities (C, high - low + 1) of integers, float64.

        Args:
            low: the least integer.
            high: the greatest integer.
        """
        channels = self.biases[0].shape[0]
        integers = torch.arange(low, high + 1, dtype=torch.float64, device=self.biases[0].device)
        return self.likelihood(integers.expand(channels, -1))


class CodewordPrior(nn.Module):
    """Learned probabilities of the codewords of G codebooks: the softmax of free logits.

    Args:
        groups: G.
        size: K codewords in each.
    """

    active: Tensor

    def __init__(self, groups: int, size: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(groups, size))
        self.register_buffer("active", torch.ones(groups, size, dtype=torch.bool))

    def bits(self) -> Tensor:
        """Code lengths (G, K) of all codewords; infinite for those out of use."""
        # Filled after the softmax with a finite number first: infinities would make gradients NaN.
        masked = self.logits.masked_fill(~self.active, -1e4)
        return (-masked.log_softmax(dim=1) / math.log(2)).masked_fill(~self.active, math.inf)

    @torch.no_grad()
    def table(self) -> Tensor:
        """Probabilities (G, K), float64; 0 for codewords out of use."""
        return self.logits.double().masked_fill(~self.active, -math.inf).softmax(dim=1)
