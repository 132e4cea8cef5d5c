"""Codebooks that are not free: one linear map of fixed vectors, ``simvq``, or a fixed grid, ``fsq``."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from colorcnn.errors import UsageError
from colorcnn.vq.codebook import VectorSTE
from colorcnn.vq.noise import NoiseQuantizer
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

    The options are those of :class:`NoiseQuantizer`. K (``size``) is the most points that the grid may have:
    each channel has the whole part of K^(1/k) levels.

    Raises:
        UsageError: an option is out of range, or K has no room for two levels in each channel.
    """

    codebook: Tensor

    def _make_codebook(self, size: int) -> None:
        if size < 2**self.dimension:
            raise UsageError(
                f"A grid of {size} points has no two levels in {self.dimension} dimensions: "
                "choose a larger size."
            )
        levels = round(size ** (1 / self.dimension))
        levels -= levels**self.dimension > size
        scale = [2 * level / (levels - 1) - 1 for level in range(levels)]
        grid = torch.tensor(list(itertools.product(scale, repeat=self.dimension)))
        self.register_buffer("codebook", grid.repeat(self.groups, 1, 1), persistent=False)

    def _move_codewords(self, codewords: Tensor) -> None:
        """Leave the grid as it is."""

    def target(self, latent: Tensor) -> Tensor:
        """See :meth:`LatentQuantizer.target`: bounded to (-1, 1) by tanh."""
        return latent.tanh()

    def approximate(self, latent: Tensor) -> Quantized:
        """See :meth:`LatentQuantizer.approximate`."""
        vectors, indices, codewords = self.find(latent)
        radius = (vectors - codewords).detach().norm(dim=2)
        passed = self.stand_in(vectors, codewords)
        return self._pack(passed, indices, self.rate(vectors, indices, radius), latent.shape)
