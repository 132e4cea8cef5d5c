"""Interface of all quantizers of latents: latent -> quantized latent, indices, rate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from colorcnn.errors import UsageError


class Quantized(NamedTuple):
    """Result of a quantizer for a latent (B, C, ...) of G = C / k groups of k channels.

    Attributes:
        latent: (B, C, ...), the input of the decoder.
        indices: (B, G, ...) int64, the values that are coded.
        bits: (B, G, ...), estimated code lengths of the indices.
        distance: scalar, mean squared distance to the codewords if the method trains with it, else 0.
    """

    latent: Tensor
    indices: Tensor
    bits: Tensor
    distance: Tensor


class LatentQuantizer(nn.Module, ABC):
    """A quantizer of latents, with its entropy model.

    In training mode a call is :meth:`approximate`, in evaluation mode :meth:`quantize`. Latents are
    (B, C, ...): vectors (B, C) or images (B, C, H, W); groups of k neighbouring channels share a codebook.

    Args:
        channels: C.
        dimension: k, which divides C.
        trade_off: bits per unit of squared latent distance, for methods whose search includes the rate.

    Raises:
        UsageError: ``dimension`` does not divide ``channels``, or ``trade_off`` is not positive.
    """

    alphabet: int | None = None
    """Number of indices; None if any integer can occur."""

    alternates = False
    """True if encoder and decoder are trained alternately by default."""

    def __init__(self, channels: int, dimension: int = 1, trade_off: float = 1.0) -> None:
        super().__init__()
        if not 1 <= dimension <= channels or channels % dimension:
            raise UsageError(
                f"{channels} channels do not split into groups of {dimension}: "
                "choose a dimension that divides them."
            )
        if not trade_off > 0:
            raise UsageError(f"The quantizer's trade_off is {trade_off}: choose a number above 0.")
        self.channels = channels
        self.dimension = dimension
        self.trade_off = trade_off
        self.groups = channels // dimension

    def forward(self, latent: Tensor) -> Quantized:
        """Quantize a latent (B, C, ...); in training mode return its differentiable substitute."""
        return self.approximate(latent) if self.training else self.quantize(latent)

    @abstractmethod
    def approximate(self, latent: Tensor) -> Quantized:
        """Return the differentiable substitute used in training."""

    @abstractmethod
    def quantize(self, latent: Tensor) -> Quantized:
        """Return the values of a file; gradients reach the codebook and the entropy model, not the latent."""

    @abstractmethod
    def dequantize(self, indices: Tensor) -> Tensor:
        """Return the latent (B, C, ...) of indices (B, G, ...)."""

    @abstractmethod
    def table(self, low: int, high: int) -> Tensor:
        """Return the probabilities (G, high - low + 1) of indices, float64, for the coder.

        Args:
            low: smallest index.
            high: largest index.
        """

    def target(self, latent: Tensor) -> Tensor:
        """Return the values that are quantized: the latent (B, C, ...), or a bounded function of it."""
        return latent

    def anneal(self, progress: float) -> None:
        """Set annealed parameters for a share of the training, 0..1; most methods have none."""

    def split(self, latent: Tensor) -> Tensor:
        """Return the sub-vectors (G, M, k) of a latent (B, C, ...); M counts images and positions."""
        parts = latent.reshape(latent.shape[0], self.groups, self.dimension, -1)
        return parts.permute(1, 0, 3, 2).reshape(self.groups, -1, self.dimension)

    def join(self, vectors: Tensor, shape: torch.Size) -> Tensor:
        """Join sub-vectors to a latent.

        Args:
            vectors: (G, M, k).
            shape: shape of the latent, (B, C, ...).
        """
        return self._unfold(vectors, shape).permute(1, 0, 3, 2).reshape(shape)

    def join_groups(self, values: Tensor, shape: torch.Size) -> Tensor:
        """Arrange one value per sub-vector as (B, G, ...).

        Args:
            values: (G, M).
            shape: shape of the latent, (B, C, ...).
        """
        return self._unfold(values, shape).transpose(0, 1).reshape(shape[0], self.groups, *shape[2:])

    def split_groups(self, values: Tensor) -> Tensor:
        """Invert :meth:`join_groups`: values (B, G, ...) to (G, M)."""
        parts = values.reshape(values.shape[0], self.groups, -1)
        return parts.transpose(0, 1).reshape(self.groups, -1)

    def _unfold(self, values: Tensor, shape: torch.Size) -> Tensor:
        return values.reshape(self.groups, shape[0], -1, *values.shape[2:])
