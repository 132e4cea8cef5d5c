"""Noise as far as the nearest codeword is: in a ball, on its surface, or towards the codeword.

The methods are ``sphere``, ``nsvq`` and ``diveq``.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from colorcnn.errors import UsageError
from colorcnn.vq.codebook import CodebookQuantizer
from colorcnn.vq.estimators import carry_gradient, straight_through, surface_gradient, unit_ball, unit_sphere
from colorcnn.vq.quantizer import Quantized
from colorcnn.vq.soft import affinities, in_pieces

RateGradient = Literal["surface", "soft", "pathwise"]


class NoiseQuantizer(CodebookQuantizer):
    """A codebook whose vectors are disturbed in training by as much as quantization would move them.

    The nearest codeword is always taken: a search that knows the rate would leave codewords on either side of
    a boundary at unequal distances, and no longer both on the sphere.

    Args:
        channels: C.
        dimension: k, which divides C.
        trade_off: how many bits a unit of squared latent distance is worth; weighed in the warm-up only.
        size: K codewords in each codebook.
        rate_gradient: how the encoder learns of the rate, which is constant in pieces. ``surface``: the
            gradient of its mean over the ball, :func:`surface_gradient`. ``soft``: that of the mean rate
            under soft assignments. ``pathwise``: none, which is what differentiating along the noise gives.
        radius_floor: of :func:`surface_gradient`.

    Raises:
        UsageError: an option is out of range.
    """

    def __init__(
        self,
        channels: int,
        dimension: int = 1,
        trade_off: float = 1.0,
        size: int = 256,
        rate_gradient: RateGradient = "surface",
        radius_floor: float = 0.3,
    ) -> None:
        super().__init__(channels, dimension, trade_off, size, "nearest")
        if rate_gradient not in ("surface", "soft", "pathwise"):
            raise UsageError(f"Unknown rate_gradient {rate_gradient!r}: choose surface, soft or pathwise.")
        if not radius_floor >= 0:
            raise UsageError(f"radius_floor is {radius_floor}: choose 0 or more.")
        self.rate_gradient = rate_gradient
        self.radius_floor = radius_floor

    def rate(self, vectors: Tensor, indices: Tensor, radius: Tensor) -> Tensor:
        """Return the bits (G, M) of the nearest codewords, with a gradient for the vectors.

        Args:
            vectors: (G, M, k).
            indices: (G, M).
            radius: (G, M).
        """
        bits = self.bits_of(indices)
        if self.rate_gradient == "surface":
            gradient = surface_gradient(self.nearest_bits, vectors.detach(), radius, self.radius_floor)
            return carry_gradient(bits, vectors, gradient)
        if self.rate_gradient == "soft":
            scale = self.dimension / 2 / radius.square().mean(dim=1).clamp_min(1e-12)
            soft_bits = partial(self._soft_bits, scale=scale)
            (soft,) = in_pieces(soft_bits, vectors, self.prior.logits.numel())
            return straight_through(bits, soft)
        return bits

    def _soft_bits(self, vectors: Tensor, scale: Tensor) -> tuple[Tensor]:
        weights = affinities(vectors, self.codebook.detach(), self.active, scale).softmax(dim=2)
        lengths = self.prior.bits().detach().masked_fill(~self.active, 0)
        return ((weights @ lengths.unsqueeze(2)).squeeze(2),)

    def nearest_bits(self, vectors: Tensor) -> Tensor:
        """Code lengths (G, M) of the codewords nearest to vectors (G, M, k)."""
        return self.bits_of(self.assign(vectors))


class SphereNoise(NoiseQuantizer):
    """``sphere``: noise uniform in the ball that reaches the nearest codeword, for the encoder's step alone.

    Alternating Optimized Stochastic Vector Quantization in Neural Compression, Eq 7-9. The decoder, codebook
    and probabilities are trained with :meth:`quantize` while the encoder rests. Trained jointly (the paper's
    ablation A1), the codebook learns from its distance to the latents.
    """

    alternates = True

    def approximate(self, latent: Tensor) -> Quantized:
        """See :meth:`LatentQuantizer.approximate`."""
        vectors, indices, codewords = self.find(latent)
        radius = (vectors - codewords).detach().norm(dim=2)
        passed = vectors + radius.unsqueeze(2) * unit_ball(vectors)
        distance = (vectors.detach() - codewords).square().mean()
        return self._pack(passed, indices, self.rate(vectors, indices, radius), latent.shape, distance)


class SurfaceNoise(NoiseQuantizer):
    """``nsvq``: noise on the sphere through the nearest codeword, trained jointly.

    M. Vali and T. Backstrom, NSVQ: Noise Substitution in Vector Quantization (2022). Gradients reach the
    codebook through the sphere's radius. Its paper has no rate; here it has that of :class:`NoiseQuantizer`.
    """

    def approximate(self, latent: Tensor) -> Quantized:
        """See :meth:`LatentQuantizer.approximate`."""
        vectors, indices, codewords = self.find(latent)
        radius = _length(vectors - codewords)
        passed = vectors + radius.unsqueeze(2) * unit_sphere(vectors)
        return self._pack(passed, indices, self.rate(vectors, indices, radius.detach()), latent.shape)


class DirectionalNoise(NoiseQuantizer):
    """``diveq``: a step of the right length in nearly the direction of the nearest codeword, trained jointly.

    M. Vali et al., DiVeQ: Differentiable Vector Quantization Using the Reparameterization Trick (2025). The
    direction has a little noise and no gradient. The length is the distance to the codeword, through which
    gradients reach the codebook. That paper has no rate; here it has that of :class:`NoiseQuantizer`. Its
    space-filling variant takes points between two codewords, which have no code of their own.

    Args:
        channels: C.
        dimension: k, which divides C.
        trade_off: as in :class:`NoiseQuantizer`.
        size: K codewords in each codebook.
        rate_gradient: as in :class:`NoiseQuantizer`.
        radius_floor: as in :class:`NoiseQuantizer`.
        spread: standard deviation of the direction's noise, as a share of the root mean square distance.

    Raises:
        UsageError: an option is out of range.
    """

    def __init__(
        self,
        channels: int,
        dimension: int = 1,
        trade_off: float = 1.0,
        size: int = 256,
        rate_gradient: RateGradient = "surface",
        radius_floor: float = 0.3,
        spread: float = 0.03,
    ) -> None:
        super().__init__(channels, dimension, trade_off, size, rate_gradient, radius_floor)
        if not 0 <= spread < float("inf"):
            raise UsageError(f"spread is {spread}: choose 0 or more.")
        self.spread = spread

    def approximate(self, latent: Tensor) -> Quantized:
        """See :meth:`LatentQuantizer.approximate`."""
        vectors, indices, codewords = self.find(latent)
        step = codewords - vectors
        radius = _length(step)
        scale = self.spread * radius.detach().square().mean(dim=1, keepdim=True).sqrt().unsqueeze(2)
        direction = F.normalize(step.detach() + scale * torch.randn_like(step), dim=2)
        passed = vectors + radius.unsqueeze(2) * direction
        return self._pack(passed, indices, self.rate(vectors, indices, radius.detach()), latent.shape)


def _length(steps: Tensor) -> Tensor:
    """Return the lengths (G, M) of steps (G, M, k), with a gradient also where they are 0."""
    squared = steps.square().sum(dim=2)
    return squared.clamp_min(torch.finfo(squared.dtype).tiny).sqrt()  # the root has no gradient at 0
