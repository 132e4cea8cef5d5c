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

    F. Mentzer et al., Finite Scalar Quantization: VQ-VAE Made Simple (2023). A group of k channels has the
    levels^k points of a grid in [-1, 1]^k as its codewords, and learned probabilities of them. Its gradient
    passes straight through the rounding. That paper has no rate; here it has that of
    :class:`NoiseQuantizer`. With an even number of levels the grid is symmetric, where that paper shifts it.

    Args:
        channels: C.
        dimension: k, which divides C: how many channels share one index.
        trade_off: as in :class:`NoiseQuantizer`.
        levels: of each channel.
        rate_gradient: as in :class:`NoiseQuantizer`.
        radius_floor: as in :class:`NoiseQuantizer`.

    Raises:
        UsageError: an option is out of range, or the grid has more than 65,536 points.
    """

    codebook: Tensor

    def __init__(
        self,
        channels: int,
        dimension: int = 1,
        trade_off: float = 1.0,
        levels: int = 8,
        rate_gradient: RateGradient = "surface",
        radius_floor: float = 0.3,
    ) -> None:
        if levels < 2 or levels**dimension > 2**16:
            raise UsageError(
                f"{levels} levels in {dimension} dimensions: choose 2 or more levels, at most 65,536 points."
            )
        super().__init__(channels, dimension, trade_off, levels**dimension, rate_gradient, radius_floor)

    def _make_codebook(self, size: int) -> None:
        scale = torch.linspace(-1, 1, round(size ** (1 / self.dimension))).tolist()
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
