"""Constrained codebooks: a learned linear map of fixed vectors (``simvq``) and a fixed grid (``fsq``)."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from colorcnn.errors import UsageError
from colorcnn.vq.codebook import VectorSTE
from colorcnn.vq.noise import NoiseQuantizer
from colorcnn.vq.quantizer import Quantized


class LinearCodebook(VectorSTE):
    """``simvq``: like ``vq-ste``, with codewords B W of fixed vectors B and one learned matrix W.

    Y. Zhu et al., Addressing Representation Collapse in Vector Quantized Models with One Linear Layer (2024).
    Every step moves all codewords, so that all stay in use. B is initialised with vectors of the data, W with
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
    """``fsq``: every channel is bounded and rounded to a few levels; the codebook is not learned.

    F. Mentzer et al., Finite Scalar Quantization: VQ-VAE Made Simple (2023). The codewords of a group of k
    channels are the points of a grid in [-1, 1]^k, with learned probabilities. The gradient passes straight
    through the rounding. The paper has no rate term; this class uses the one of :class:`NoiseQuantizer`. With
    an even number of levels the grid is symmetric; the paper shifts it.

    The options are those of :class:`NoiseQuantizer`. K (``size``) is the maximum number of grid points: each
    channel has floor(K^(1/k)) levels.

    Raises:
        UsageError: an option is out of range, or K is too small for two levels in each channel.
    """

    codebook: Tensor

    def _make_codebook(self, size: int) -> None:
        if size < 2**self.dimension:
            raise UsageError(
                f"size is {size}, too small for 2 levels in each of {self.dimension} dimensions: "
                f"choose at least {2**self.dimension}."
            )
        levels = round(size ** (1 / self.dimension))
        levels -= levels**self.dimension > size
        scale = [2 * level / (levels - 1) - 1 for level in range(levels)]
        grid = torch.tensor(list(itertools.product(scale, repeat=self.dimension)))
        self.register_buffer("codebook", grid.repeat(self.groups, 1, 1), persistent=False)

    def _move_codewords(self, codewords: Tensor) -> None:
        """Do nothing: the grid is fixed."""

    def target(self, latent: Tensor) -> Tensor:
        """See :meth:`LatentQuantizer.target`; tanh bounds it to (-1, 1)."""
        return latent.tanh()

    def approximate(self, latent: Tensor) -> Quantized:
        """See :meth:`LatentQuantizer.approximate`."""
        vectors, indices, codewords = self.find(latent)
        radius = (vectors - codewords).detach().norm(dim=2)
        passed = self.forward_substitute(vectors, codewords)
        return self._pack(passed, indices, self.rate(vectors, indices, radius), latent.shape)
