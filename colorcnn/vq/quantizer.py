"""The one interface of all quantizers of latents: latent -> quantized latent, indices, rate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from colorcnn.errors import UsageError


class Quantized(NamedTuple):
    """Result of a quantizer for a latent (B, C, ...) of G = C / k groups of k channels.

    Attributes:
        latent: (B, C, ...), what the decoder gets.
        indices: (B, G, ...) int64, what is coded.
        bits: (B, G, ...), the estimated length of their code.
        distance: scalar, the mean squared distance to the codewords for methods that train by it, else 0.
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
        trade_off: how many bits a unit of squared latent distance is worth, where a method weighs the two.

    Raises:
        UsageError: ``dimension`` does not divide ``channels``, or ``trade_off`` is not positive.
    """

    alphabet: int | None = None
    """How many indices there are; None where they are all integers."""

    alternates = False
    """Whether encoder and decoder are meant to be trained in turn."""

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
        """Quantize a latent (B, C, ...), or stand in for it in training mode."""
        return self.approximate(latent) if self.training else self.quantize(latent)

    @abstractmethod
    def approximate(self, latent: Tensor) -> Quantized:
        """The differentiable stand-in of training."""

    @abstractmethod
    def quantize(self, latent: Tensor) -> Quantized:
        """Return the values of a file; gradients reach the codebook and the entropy model, not the latent."""

    @abstractmethod
    def dequantize(self, indices: Tensor) -> Tensor:
        """The latent (B, C, ...) that indices (B, G, ...) stand for."""

    @abstractmethod
    def table(self, low: int, high: int) -> Tensor:
        """Return the probabilities (G, high - low + 1) of indices, float64, for the coder.

        Args:
            low: the least index.
            high: the greatest index.
        """

    def target(self, latent: Tensor) -> Tensor:
        """Return what the quantized latent is meant to be near: the latent (B, C, ...), or a bounded form."""
        return latent

    def anneal(self, progress: float) -> None:
        """Adapt to how much of the training is done, 0..1; most methods do not."""

    def split(self, latent: Tensor) -> Tensor:
        """Sub-vectors (G, M, k) of a latent (B, C, ...), M counting images and places."""
        parts = latent.reshape(latent.shape[0], self.groups, self.dimension, -1)
        return parts.permute(1, 0, 3, 2).reshape(self.groups, -1, self.dimension)

    def join(self, vectors: Tensor, shape: torch.Size) -> Tensor:
        """Join sub-vectors to a latent.

        Args:
            vectors: (G, M, k).
            shape: of the latent, (B, C, ...).
        """
        return self._unfold(vectors, shape).permute(1, 0, 3, 2).reshape(shape)

    def join_groups(self, values: Tensor, shape: torch.Size) -> Tensor:
        """Lay one value per sub-vector out as (B, G, ...).

        Args:
            values: (G, M).
            shape: of the latent, (B, C, ...).
        """
        return self._unfold(values, shape).transpose(0, 1).reshape(shape[0], self.groups, *shape[2:])

    def split_groups(self, values: Tensor) -> Tensor:
        """One value per sub-vector, (B, G, ...), as (G, M)."""
        parts = values.reshape(values.shape[0], self.groups, -1)
        return parts.transpose(0, 1).reshape(self.groups, -1)

    def _unfold(self, values: Tensor, shape: torch.Size) -> Tensor:
        return values.reshape(self.groups, shape[0], -1, *values.shape[2:])
