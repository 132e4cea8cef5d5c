"""Codebooks that are not free: one linear map of fixed vectors, ``simvq``, or a fixed grid, ``fsq``."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from colorcnn.errors import UsageError
from colorcnn.vq.codebook import VectorSTE
from colorcnn.vq.estimators import straight_through
from colorcnn.vq.noise import NoiseQuantizer, RateGradient
from colorcnn.vq.quantizer import Quantized


class LinearCodebook(VectorSTE):
    """``simvq``: as ``vq-ste``, with codewords B W of fixed vectors B and one learned matrix W.

    Y. Zhu et al., Addressing Representation Collapse in Vector Quantized Models with One Linear Layer (2024).
    Every step moves all codewords, so that none falls out of use. B starts as vectors of the data, and W as
    the identity.
    """

    basis: Tensor

    def _make_codebook(self, size: int) -> None:
        self.register_buffer("basis", torch.randn(self.groups, size, self.dimension))
        self.weight = nn.Parameter(torch.eye(self.dimension).repeat(self.groups, 1, 1))

    @property
    def codebook(self) -> Tensor:  # type: ignore[override]
        """(G, K, k), the codewords."""
        return self.basis @ self.weight

    def _move_codewords(self, codewords: Tensor) -> None:
        self.basis.copy_(torch.linalg.lstsq(self.weight.mT, codewords.mT).solution.mT)


class FiniteScalar(NoiseQuantizer):
    """``fsq``: every channel is bounded and rounded to a few levels; nothing of the codebook is learned.

    F. Mentzer et al., Finite Scalar Quantization: VQ-VAE Made Simple (2023). The codewords of a group of k
    channels are the points of a grid in [-1, 1]^k, with learned probabilities. Its gradient passes straight
    through the rounding. That paper has no rate; here it has that of :class:`NoiseQuantizer`. With an even
    number of levels the grid is symmetric, where that paper shifts it.

    Args:
        channels: C.
        dimension: k, which divides C: how many channels share one index.
        trade_off: as in :class:`NoiseQuantizer`.
        size: K, the most points that the grid may have: each channel has the whole part of K^(1/k) levels.
        rate_gradient: as in :class:`NoiseQuantizer`.
        radius_floor: as in :class:`NoiseQuantizer`.

    Raises:
        UsageError: an option is out of range, or K has no room for two levels in each channel.
    """

    codebook: Tensor

    def __init__(
        self,
        channels: int,
        dimension: int = 1,
        trade_off: float = 1.0,
        size: int = 256,
        rate_gradient: RateGradient = "surface",
        radius_floor: float = 0.3,
    ) -> None:
        if size < 2**dimension:
            raise UsageError(
                f"A grid of {size} points has no two levels in {dimension} dimensions: choose a larger size."
            )
        levels = round(size ** (1 / dimension))
        points = (levels - (levels**dimension > size)) ** dimension
        super().__init__(channels, dimension, trade_off, points, rate_gradient, radius_floor)

    def _make_codebook(self, size: int) -> None:
        levels = round(size ** (1 / self.dimension))
        scale = [2 * level / (levels - 1) - 1 for level in range(levels)]
        grid = torch.tensor(list(itertools.product(scale, repeat=self.dimension)))
        self.register_buffer("codebook", grid.expand(self.groups, size, self.dimension).clone(), False)

    def _move_codewords(self, codewords: Tensor) -> None:
        """Leave the grid as it is."""

    def target(self, latent: Tensor) -> Tensor:
        """See :meth:`LatentQuantizer.target`: bounded to (-1, 1) by tanh."""
        return latent.tanh()

    def approximate(self, latent: Tensor) -> Quantized:
        """See :meth:`LatentQuantizer.approximate`."""
        vectors = self.vectors(latent)
        indices = self.assign(vectors)
        codewords = self.codewords(indices)
        radius = (vectors - codewords).detach().norm(dim=2)
        passed = straight_through(codewords, vectors)
        return self._pack(passed, indices, self.rate(vectors, indices, radius), latent.shape)
