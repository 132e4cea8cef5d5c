"""Codebooks that are trained with soft or sampled assignments: ``soft-to-hard`` and ``gumbel``."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from colorcnn.vq.codebook import CodebookQuantizer
from colorcnn.vq.estimators import straight_through
from colorcnn.vq.quantizer import Quantized
from colorcnn.vq.search import CHUNK


def affinities(vectors: Tensor, codebook: Tensor, active: Tensor, sharpness: float) -> Tensor:
    """Logits (G, M, K) of soft assignments: minus the squared distances, in units of the error of the nearest.

    Args:
        vectors: (G, M, k).
        codebook: (G, K, k).
        active: (G, K); a codeword out of use gets no assignment.
        sharpness: 0 makes all codewords equal; far above 1 the nearest takes all.
    """
    squared = torch.cdist(vectors, codebook, compute_mode="donot_use_mm_for_euclid_dist").square()
    squared = squared.masked_fill(~active.unsqueeze(1), torch.inf)
    unit = squared.detach().amin(dim=2).mean(dim=1).clamp_min(1e-12)
    # A finite floor: infinity times 0 would be NaN in the gradient.
    return (-sharpness * squared / unit[:, None, None]).clamp_min(-1e4)


class SoftQuantizer(CodebookQuantizer):
    """A codebook whose training weighs all codewords; large ones are done in pieces and recomputed backwards."""

    def weigh(self, vectors: Tensor) -> Tensor:
        """Weights (G, M, K) of the codewords that stand in for each of the vectors (G, M, k)."""
        raise NotImplementedError

    def approximate(self, latent: Tensor) -> Quantized:
        """See :meth:`LatentQuantizer.approximate`."""
        vectors = self.split(latent)
        rows = max(1, CHUNK // self.prior.logits.numel())
        if vectors.shape[1] <= rows:
            passed, bits = self._mix(vectors)
        else:
            parts = [checkpoint(self._mix, part, use_reentrant=False) for part in vectors.split(rows, dim=1)]
            passed, bits = (torch.cat(pieces, dim=1) for pieces in zip(*parts))
        return self._pack(passed, self.assign(vectors), bits, latent.shape)

    def _mix(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        weights = self.weigh(vectors)
        bits = self.prior.bits().masked_fill(~self.active, 0)
        return weights @ self.codebook, (weights @ bits.unsqueeze(2)).squeeze(2)


class SoftToHard(SoftQuantizer):
    """``soft-to-hard``: weights by distance that sharpen during training (E. Agustsson et al., 2017).

    The sharpness rises exponentially, in place of that paper's control of the gap to hard assignments.
    """

    sharpness = 0.1

    def anneal(self, progress: float) -> None:
        """See :meth:`LatentQuantizer.anneal`: from 0.1 to 10."""
        self.sharpness = 10 ** (2 * progress - 1)

    def weigh(self, vectors: Tensor) -> Tensor:
        """See :meth:`SoftQuantizer.weigh`."""
        return affinities(vectors, self.codebook, self.active, self.sharpness).softmax(dim=2)


class Gumbel(SoftQuantizer):
    """``gumbel``: codewords sampled by distance, with the gradient of a relaxed sample.

    C. Maddison et al., The Concrete Distribution (2017), as X. Zhu et al. (2022) quantize with it: hard
    samples forwards, soft ones backwards, at a falling temperature.
    """

    temperature = 1.0

    def anneal(self, progress: float) -> None:
        """See :meth:`LatentQuantizer.anneal`: the temperature falls from 1 to 0.1."""
        self.temperature = 10**-progress

    def weigh(self, vectors: Tensor) -> Tensor:
        """See :meth:`SoftQuantizer.weigh`."""
        # Likelihoods under Gaussian noise of the quantizer's own error around each codeword.
        logits = affinities(vectors, self.codebook, self.active, self.dimension / 2)
        noise = torch.empty_like(logits).exponential_().log()
        noisy = (logits - noise) / self.temperature
        soft = noisy.softmax(dim=2)
        return straight_through(F.one_hot(noisy.argmax(dim=2), soft.shape[2]).to(soft.dtype), soft)
