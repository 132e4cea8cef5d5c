"""Codebooks trained with soft or sampled assignments: ``soft-to-hard``, ``gumbel`` and ``reinmax``."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from colorcnn.vq.codebook import CodebookQuantizer
from colorcnn.vq.estimators import reinmax, straight_through
from colorcnn.vq.quantizer import Quantized
from colorcnn.vq.search import CHUNK


def affinities(vectors: Tensor, codebook: Tensor, active: Tensor, scale: Tensor) -> Tensor:
    """Return the logits (G, M, K) of soft assignments: minus the squared distances times a scale.

    Args:
        vectors: (G, M, k).
        codebook: (G, K, k).
        active: (G, K), False for unused codewords, which get no assignment.
        scale: (G,).
    """
    products = vectors @ codebook.transpose(1, 2)
    squared = vectors.square().sum(2, keepdim=True) - 2 * products + codebook.square().sum(2).unsqueeze(1)
    logits = -scale[:, None, None] * squared.clamp_min(0)
    return logits.masked_fill(~active.unsqueeze(1), -torch.inf)


def in_pieces(
    function: Callable[[Tensor], tuple[Tensor, ...]], vectors: Tensor, size: int
) -> tuple[Tensor, ...]:
    """Apply a function in pieces, with gradient checkpointing.

    Args:
        function: function of vectors (G, m, k) whose results are (G, m, ...).
        vectors: (G, M, k).
        size: G * K, size of all codebooks together; it decides the size of a piece.
    """
    rows = max(1, CHUNK // size)
    if vectors.shape[1] <= rows:
        return function(vectors)
    pieces = [checkpoint(function, piece, use_reentrant=False) for piece in vectors.split(rows, dim=1)]
    return tuple(torch.cat(parts, dim=1) for parts in zip(*pieces))


def precision(vectors: Tensor, codewords: Tensor) -> Tensor:
    """Return one over the mean squared distance (G,) of vectors to their codewords.

    Args:
        vectors: (G, M, k).
        codewords: (G, M, k).
    """
    return 1 / (vectors - codewords).detach().square().sum(2).mean(1).clamp_min(1e-12)


class SoftQuantizer(CodebookQuantizer):
    """Base class of codebooks that use a weighted mean of all codewords in training."""

    @abstractmethod
    def weigh(self, vectors: Tensor, unit: Tensor) -> Tensor:
        """Return the weights (G, M, K) of the codewords for each vector.

        Args:
            vectors: (G, M, k).
            unit: (G,) one over the mean squared distance to the nearest codeword. It makes the softness
                independent of the scale of the latent.
        """

    def approximate(self, latent: Tensor) -> Quantized:
        """See :meth:`LatentQuantizer.approximate`."""
        vectors, indices, codewords = self.find(latent)
        unit = precision(vectors, codewords)
        mix = partial(self._mix, unit=unit)
        passed, bits = in_pieces(mix, vectors, self.prior.logits.numel())
        return self._pack(passed, indices, bits, latent.shape)

    def _mix(self, vectors: Tensor, unit: Tensor) -> tuple[Tensor, Tensor]:
        weights = self.weigh(vectors, unit)
        bits = self.prior.bits().masked_fill(~self.active, 0)
        return weights @ self.codebook, (weights @ bits.unsqueeze(2)).squeeze(2)


class SoftToHard(SoftQuantizer):
    """``soft-to-hard``: weights by distance that sharpen during training (E. Agustsson et al., 2017).

    The sharpness rises exponentially; the paper controls it by the gap to hard assignments.
    """

    sharpness = 0.1

    def anneal(self, progress: float) -> None:
        """See :meth:`LatentQuantizer.anneal`; the sharpness rises from 0.1 to 10."""
        self.sharpness = 10 ** (2 * progress - 1)

    def weigh(self, vectors: Tensor, unit: Tensor) -> Tensor:
        """See :meth:`SoftQuantizer.weigh`."""
        return affinities(vectors, self.codebook, self.active, self.sharpness * unit).softmax(dim=2)


class Gumbel(SoftQuantizer):
    """``gumbel``: codewords sampled by distance, with the gradient of a relaxed sample.

    C. Maddison et al., The Concrete Distribution (2017), and its use for quantization by X. Zhu et al.
    (2022). The forward pass uses hard samples, the backward pass soft samples, with a falling temperature.
    """

    temperature = 1.0

    def anneal(self, progress: float) -> None:
        """See :meth:`LatentQuantizer.anneal`; the temperature falls from 1 to 0.1."""
        self.temperature = 10**-progress

    def weigh(self, vectors: Tensor, unit: Tensor) -> Tensor:
        """See :meth:`SoftQuantizer.weigh`."""
        # Log-likelihoods of Gaussian noise around each codeword, with the variance of the quantization error.
        logits = affinities(vectors, self.codebook, self.active, self.dimension / 2 * unit)
        noise = torch.empty_like(logits).exponential_().log()
        noisy = (logits - noise) / self.temperature
        soft = noisy.softmax(dim=2)
        return straight_through(F.one_hot(noisy.argmax(dim=2), soft.shape[2]).to(soft.dtype), soft)


class ReinMax(Gumbel):
    """``reinmax``: like ``gumbel``, but sampled at the temperature and with a second-order gradient.

    L. Liu et al. (2023): see :func:`colorcnn.vq.estimators.reinmax`.
    """

    def weigh(self, vectors: Tensor, unit: Tensor) -> Tensor:
        """See :meth:`SoftQuantizer.weigh`."""
        scale = self.dimension / 2 / self.temperature * unit
        return reinmax(affinities(vectors, self.codebook, self.active, scale).softmax(dim=2), dim=2)
