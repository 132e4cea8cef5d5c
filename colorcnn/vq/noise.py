"""Quantizers that train with noise of the size of the quantization error.

``sphere`` draws it from a ball, ``nsvq`` from the ball's surface, ``diveq`` close to the codeword's
direction.
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
    """A codebook that replaces quantization in training by noise of the size of its error.

    The nearest codeword is always used. With a search that includes the rate, the two codewords of a boundary
    would have unequal distances, and not both would lie on the sphere.

    Args:
        channels: C.
        dimension: k, which divides C.
        trade_off: bits per unit of squared latent distance, for the search in the warm-up.
        size: K codewords in each codebook.
        rate_gradient: gradient of the rate for the encoder, since the rate is piecewise constant.
            ``surface``: gradient of the mean rate over the ball, by :func:`surface_gradient`. ``soft``:
            gradient of the mean rate of soft assignments. ``pathwise``: no gradient.
        radius_floor: ``floor`` of :func:`surface_gradient`.

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
        """Return the code lengths (G, M) of the codewords nearest to vectors (G, M, k)."""
        return self.bits_of(self.assign(vectors))


class SphereNoise(NoiseQuantizer):
    """``sphere``: uniform noise in the ball whose radius is the distance to the nearest codeword.

    Alternating Optimized Stochastic Vector Quantization in Neural Compression, Eq 7-9. Only the encoder is
    trained with noise. Decoder, codebook and probabilities are trained with :meth:`quantize` while the
    encoder is fixed. In joint training (the paper's ablation A1) the codebook learns from its distance to the
    latents.
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

    M. Vali and T. Backstrom, NSVQ: Noise Substitution in Vector Quantization (2022). The codebook gets its
    gradients through the radius. The paper has no rate term; this class uses the one of
    :class:`NoiseQuantizer`.
    """

    def approximate(self, latent: Tensor) -> Quantized:
        """See :meth:`LatentQuantizer.approximate`."""
        vectors, indices, codewords = self.find(latent)
        radius = _length(vectors - codewords)
        passed = vectors + radius.unsqueeze(2) * unit_sphere(vectors)
        return self._pack(passed, indices, self.rate(vectors, indices, radius.detach()), latent.shape)


class DirectionalNoise(NoiseQuantizer):
    """``diveq``: a step to the nearest codeword with a slightly noisy direction, trained jointly.

    M. Vali et al., DiVeQ: Differentiable Vector Quantization Using the Reparameterization Trick (2025). The
    direction has noise and no gradient. The length is the distance to the codeword and gives the codebook its
    gradients. The paper has no rate term; this class uses the one of :class:`NoiseQuantizer`. The paper's
    space-filling variant is left out: its points between two codewords cannot be coded.

    Args:
        channels: C.
        dimension: k, which divides C.
        trade_off: see :class:`NoiseQuantizer`.
        size: K codewords in each codebook.
        rate_gradient: see :class:`NoiseQuantizer`.
        radius_floor: see :class:`NoiseQuantizer`.
        spread: standard deviation of the direction's noise, relative to the root mean square distance.

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
    """Return the lengths (G, M) of steps (G, M, k), with a finite gradient also at 0."""
    squared = steps.square().sum(dim=2)
    return squared.clamp_min(torch.finfo(squared.dtype).tiny).sqrt()  # the root's gradient at 0 is infinite
