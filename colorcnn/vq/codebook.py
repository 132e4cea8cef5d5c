"""Quantizers with a codebook: ``vq-ste``, ``rotation``, and their base class."""

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

_DECAY = 0.99  # decay of the running usage, which averages about 100 batches
Search = Literal["nearest", "entropy"]


class CodebookQuantizer(LatentQuantizer):
    """Learned codewords with learned probabilities.

    Args:
        channels: C.
        dimension: k, which divides C.
        trade_off: bits per unit of squared latent distance, for the search.
        size: K codewords in each of the C / k codebooks.
        search: ``nearest`` takes the nearest codeword, ``entropy`` minimises squared distance and bits.

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
        size = self.codebook.shape[1]  # a grid may have fewer codewords than asked for
        self.alphabet = size
        self.prior = CodewordPrior(self.groups, size)
        self.register_buffer("usage", torch.full((self.groups, size), 1 / size))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    @property
    def active(self) -> Tensor:
        """(G, K), True for the codewords in use."""
        return self.prior.active

    def _make_codebook(self, size: int) -> None:
        """Create at most ``size`` random codewords; :meth:`start` replaces them by vectors of the data."""
        self.codebook = nn.Parameter(torch.randn(self.groups, size, self.dimension))

    def _move_codewords(self, codewords: Tensor) -> None:
        """Replace the codewords (G, K, k)."""
        self.codebook.copy_(codewords)

    def find(self, latent: Tensor, search: Search | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Find the codewords of a latent.

        Args:
            latent: (B, C, ...).
            search: by default the quantizer's own.

        Returns:
            Sub-vectors (G, M, k), the indices (G, M) of their codewords, and the codewords (G, M, k).
        """
        vectors = self.split(self.target(latent))
        indices = self.assign(vectors, search)
        return vectors, indices, self.codewords(indices)

    def forward_substitute(self, vectors: Tensor, codewords: Tensor) -> Tensor:
        """Return the codewords with a straight-through gradient for the vectors.

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
        """Return the codewords (G, M, k) of indices (G, M)."""
        return gather_codewords(self.codebook, indices)

    def bits_of(self, indices: Tensor) -> Tensor:
        """Return the code lengths (G, M) of indices (G, M)."""
        return self.prior.bits().gather(1, indices)

    def straight_through(self, latent: Tensor, search: Search | None = None) -> Quantized:
        """Quantize by VQ-STE: codewords forwards, the identity backwards, and their distance as a loss.

        A. van den Oord et al., Neural Discrete Representation Learning (2017). The rate, and a search that
        includes it, are those of R. Feng et al., NVTC (2023). Other methods use it in their warm-up.

        Args:
            latent: (B, C, ...).
            search: by default the quantizer's own.
        """
        vectors, indices, codewords = self.find(latent, search)
        distance = (vectors - codewords).square().mean()
        passed = self.forward_substitute(vectors, codewords)
        return self._pack(passed, indices, self.bits_of(indices), latent.shape, distance)

    @torch.no_grad()
    def start(self, latent: Tensor) -> None:
        """Initialise the codewords with vectors of a latent (B, C, ...)."""
        self._move_codewords(_draw(self.split(latent), self.codebook.shape[1]))
        self.started.fill_(True)

    @torch.no_grad()
    def observe(self, indices: Tensor) -> None:
        """Update the running usage of codewords from the indices (B, G, ...) of a batch."""
        flat = self.split_groups(indices)
        counts = torch.zeros_like(self.usage).scatter_add_(
            1, flat, torch.ones_like(flat, dtype=self.usage.dtype)
        )
        self.usage.lerp_(counts / flat.shape[1], 1 - _DECAY)

    @torch.no_grad()
    def reactivate(self, latent: Tensor, threshold: float) -> int:
        """Move rarely used codewords onto vectors of a latent, and return their number.

        Their probability becomes ``threshold``, so that the other codewords' codes hardly get longer. Their
        usage becomes twice ``threshold``, so that they are used for a while before they count as unused
        again.

        Args:
            latent: (B, C, ...).
            threshold: codewords with a smaller share of the usage are moved.
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
        """Remove codewords used less often than ``threshold``; return the number left.

        The most used codeword of each codebook stays.
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
    """``vq-ste``: :meth:`CodebookQuantizer.straight_through`, by default with the search ``entropy``."""

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
    """``rotation``: like ``vq-ste``, but gradients are rotated from the codeword to the vector.

    C. Fifty et al., Restructuring Vector Quantization with the Rotation Trick (2024): see
    :func:`colorcnn.vq.estimators.rotate_onto`. The codebook learns from its distance to the latents.
    """

    def forward_substitute(self, vectors: Tensor, codewords: Tensor) -> Tensor:
        """See :meth:`CodebookQuantizer.forward_substitute`."""
        return rotate_onto(vectors, codewords.detach())


def _draw(vectors: Tensor, count: int) -> Tensor:
    """Draw ``count`` of the vectors (G, M, k), (G, count, k); add little noise if there are fewer."""
    groups, total, dimension = vectors.shape
    if total >= count:
        rows = torch.rand(groups, total, device=vectors.device).argsort(dim=1)[:, :count]
    else:
        rows = torch.randint(total, (groups, count), device=vectors.device)
    drawn = vectors.gather(1, rows.unsqueeze(2).expand(-1, -1, dimension))
    std = vectors.std(dim=1, keepdim=True, correction=0)
    return drawn if total >= count else drawn + 0.01 * std * torch.randn_like(drawn)
