"""Codebooks: search, start from data, dead codewords revived; and ``vq-ste`` and ``rotation``."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from colorcnn.errors import UsageError
from colorcnn.vq.entropy import CodewordPrior
from colorcnn.vq.estimators import rotate_onto, straight_through
from colorcnn.vq.quantizer import LatentQuantizer, Quantized
from colorcnn.vq.search import gather_codewords, nearest

_DECAY = 0.99  # of the running usage: it remembers about a hundred batches
Search = Literal["nearest", "entropy"]


class CodebookQuantizer(LatentQuantizer):
    """Learned codewords with learned probabilities.

    Args:
        channels: C.
        dimension: k, which divides C.
        trade_off: how many bits a unit of squared latent distance is worth.
        size: K codewords in each of the C / k codebooks.
        search: which codeword a vector gets: the nearest, or the one of least squared distance and bits.

    Raises:
        UsageError: an option is out of range.
    """

    codebook: Tensor
    usage: Tensor
    started: Tensor

    def __init__(
        self,
        channels: int,
        dimension: int = 1,
        trade_off: float = 1.0,
        size: int = 256,
        search: Search = "nearest",
    ) -> None:
        super().__init__(channels, dimension, trade_off)
        if size < 1:
            raise UsageError(f"A codebook of {size} codewords: choose at least 1.")
        if search not in ("nearest", "entropy"):
            raise UsageError(f"Unknown search {search!r}: choose nearest or entropy.")
        self.search = search
        self._make_codebook(size)
        size = self.codebook.shape[1]  # a codebook may have room for fewer
        self.alphabet = size
        self.prior = CodewordPrior(self.groups, size)
        self.register_buffer("usage", torch.full((self.groups, size), 1 / size))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    @property
    def active(self) -> Tensor:
        """(G, K): which codewords are in use."""
        return self.prior.active

    def _make_codebook(self, size: int) -> None:
        """Create at most ``size`` codewords, of noise; :meth:`start` moves them to where data are."""
        self.codebook = nn.Parameter(torch.randn(self.groups, size, self.dimension))

    def _move_codewords(self, codewords: Tensor) -> None:
        """Put other codewords (G, K, k) into the codebook."""
        self.codebook.copy_(codewords)

    def find(self, latent: Tensor, search: Search | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Find the codewords of a latent.

        Args:
            latent: (B, C, ...).
            search: by default the quantizer's own.

        Returns:
            Sub-vectors (G, M, k), the indices (G, M) of their codewords, and these (G, M, k).
        """
        vectors = self.split(self.target(latent))
        indices = self.assign(vectors, search)
        return vectors, indices, self.codewords(indices)

    def stand_in(self, vectors: Tensor, codewords: Tensor) -> Tensor:
        """Return codewords with a gradient for the vectors that they stand for: straight through.

        Args:
            vectors: (G, M, k).
            codewords: (G, M, k).
        """
        return straight_through(codewords, vectors)

    def quantize(self, latent: Tensor) -> Quantized:
        """See :meth:`LatentQuantizer.quantize`."""
        _, indices, codewords = self.find(latent.detach())
        return self._pack(codewords, indices, self.bits_of(indices), latent.shape)

    def dequantize(self, indices: Tensor) -> Tensor:
        """See :meth:`LatentQuantizer.dequantize`."""
        shape = torch.Size((indices.shape[0], self.channels, *indices.shape[2:]))
        return self.join(self.codewords(self.split_groups(indices)), shape)

    def table(self, low: int, high: int) -> Tensor:
        """See :meth:`LatentQuantizer.table`."""
        return self.prior.table()[:, low : high + 1]

    def assign(self, vectors: Tensor, search: Search | None = None) -> Tensor:
        """Return the indices (G, M) of vectors.

        Args:
            vectors: (G, M, k).
            search: by default the quantizer's own.
        """
        bits = self.prior.bits().detach()
        if (search or self.search) == "nearest":
            penalty = torch.zeros_like(bits).masked_fill(~self.active, torch.inf)
        else:
            penalty = bits / self.trade_off
        return nearest(vectors.detach(), self.codebook.detach(), penalty)

    def codewords(self, indices: Tensor) -> Tensor:
        """The codewords (G, M, k) of indices (G, M)."""
        return gather_codewords(self.codebook, indices)

    def bits_of(self, indices: Tensor) -> Tensor:
        """The code lengths (G, M) of indices (G, M)."""
        return self.prior.bits().gather(1, indices)

    def straight_through(self, latent: Tensor, search: Search | None = None) -> Quantized:
        """Quantize by VQ-STE: codewords forwards, the identity backwards, and both drawn together.

        A. van den Oord et al., Neural Discrete Representation Learning (2017); with a rate and a search that
        knows it, R. Feng et al., NVTC (2023). Here it is a method and what others warm up with.

        Args:
            latent: (B, C, ...).
            search: by default the quantizer's own.
        """
        vectors, indices, codewords = self.find(latent, search)
        distance = (vectors - codewords).square().mean()
        passed = self.stand_in(vectors, codewords)
        return self._pack(passed, indices, self.bits_of(indices), latent.shape, distance)

    @torch.no_grad()
    def start(self, latent: Tensor) -> None:
        """Take the first codewords from a latent (B, C, ...): before that they lie where no data are."""
        self._move_codewords(_draw(self.split(latent), self.codebook.shape[1]))
        self.started.fill_(True)

    @torch.no_grad()
    def observe(self, indices: Tensor) -> None:
        """Follow how often codewords are used, from the indices (B, G, ...) of a batch."""
        flat = self.split_groups(indices)
        counts = torch.zeros_like(self.usage).scatter_add_(
            1, flat, torch.ones_like(flat, dtype=self.usage.dtype)
        )
        self.usage.lerp_(counts / flat.shape[1], 1 - _DECAY)

    @torch.no_grad()
    def reactivate(self, latent: Tensor, threshold: float) -> int:
        """Move rarely used codewords onto vectors of a latent, and return their number.

        Their probability becomes ``threshold``, so little that the others' codes hardly grow, and their usage
        twice that, so that they are tried before they count as dead again.

        Args:
            latent: (B, C, ...).
            threshold: codewords used less often are moved; a share.
        """
        dead = self.active & (self.usage < threshold)
        drawn = _draw(self.split(latent), self.codebook.shape[1])
        self._move_codewords(torch.where(dead.unsqueeze(2), drawn, self.codebook))
        level = self.prior.logits.logsumexp(dim=1, keepdim=True) + math.log(threshold)
        self.prior.logits.copy_(torch.where(dead, level, self.prior.logits))
        self.usage.masked_fill_(dead, 2 * threshold)
        return int(dead.sum())

    @torch.no_grad()
    def prune(self, threshold: float) -> int:
        """Take codewords used less often than ``threshold`` out of use for good; returns how many are left.

        The most used one of each codebook stays.
        """
        best = self.usage == self.usage.amax(dim=1, keepdim=True)
        self.prior.active.logical_and_((self.usage >= threshold) | best)
        return int(self.active.sum())

    def _pack(
        self,
        vectors: Tensor,
        indices: Tensor,
        bits: Tensor,
        shape: torch.Size,
        distance: Tensor | None = None,
    ) -> Quantized:
        return Quantized(
            self.join(vectors, shape),
            self.join_groups(indices, shape),
            self.join_groups(bits, shape),
            vectors.new_zeros(()) if distance is None else distance,
        )


class VectorSTE(CodebookQuantizer):
    """``vq-ste``: :meth:`CodebookQuantizer.straight_through`; its search knows the rate by default."""

    def __init__(
        self,
        channels: int,
        dimension: int = 1,
        trade_off: float = 1.0,
        size: int = 256,
        search: Search = "entropy",
    ) -> None:
        super().__init__(channels, dimension, trade_off, size, search)

    def approximate(self, latent: Tensor) -> Quantized:
        """See :meth:`LatentQuantizer.approximate`."""
        return self.straight_through(latent)


class Rotation(VectorSTE):
    """``rotation``: as ``vq-ste``, with gradients that are turned with the codeword.

    C. Fifty et al., Restructuring Vector Quantization with the Rotation Trick (2024): see
    :func:`colorcnn.vq.estimators.rotate_onto`. The codebook learns from its distance to the latents.
    """

    def stand_in(self, vectors: Tensor, codewords: Tensor) -> Tensor:
        """See :meth:`CodebookQuantizer.stand_in`."""
        return rotate_onto(vectors, codewords.detach())


def _draw(vectors: Tensor, count: int) -> Tensor:
    """``count`` of the vectors (G, M, k), (G, count, k); those drawn twice are set a little apart."""
    groups, total, dimension = vectors.shape
    if total >= count:
        rows = torch.rand(groups, total, device=vectors.device).argsort(dim=1)[:, :count]
    else:
        rows = torch.randint(total, (groups, count), device=vectors.device)
    drawn = vectors.gather(1, rows.unsqueeze(2).expand(-1, -1, dimension))
    spread = vectors.std(dim=1, keepdim=True, correction=0)
    return drawn if total >= count else drawn + 0.01 * spread * torch.randn_like(drawn)
