"""Compressors: an encoder, a quantizer and a decoder, with conversion of sources to bytes and back."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorcnn.errors import ColorCNNError, UsageError, shortened
from colorcnn.paletted import from_bytes, to_bytes
from colorcnn.records import weights_hash
from colorcnn.sharing import Shareable
from colorcnn.vq.bitstream import fits
from colorcnn.vq.coder import range_decode, range_encode
from colorcnn.vq.methods import create_quantizer
from colorcnn.vq.networks import STRIDE, VectorTransform, analysis, synthesis
from colorcnn.vq.quantizer import LatentQuantizer, Quantized
from colorcnn.vq.rates import RDPoint


class Terms(NamedTuple):
    """Terms of a rate-distortion loss, scalars.

    Attributes:
        rate: bits per dimension of a vector, per pixel of an image.
        mse: mean squared error of the source.
        distance: mean squared distance of latents to codewords, if the method trains with it; else 0.
    """

    rate: Tensor
    mse: Tensor
    distance: Tensor


class Coded(NamedTuple):
    """A coded batch: the bytes, and the values needed to decode them.

    Attributes:
        code: bytes of the range coder.
        low: smallest index.
        high: largest index.
        shape: shape of the indices, (B, G, ...).
    """

    code: bytes
    low: int
    high: int
    shape: tuple[int, ...]


class Compressor(Shareable, ABC):
    """A transform, a quantizer of its latent, and the inverse transform.

    Args:
        encoder: g_a.
        quantizer: quantizer of the latents.
        decoder: g_s.
        trade_off: lambda in L = rate + lambda * MSE, as the loss uses it.
    """

    latent_weight: float | None = None
    """beta, the weight of the latent distance in the loss; None uses lambda."""

    mixed = False
    """True to train the transforms in bfloat16. Evaluation and coding always use float32."""

    def __init__(
        self, encoder: nn.Module, quantizer: LatentQuantizer, decoder: nn.Module, trade_off: float
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.quantizer = quantizer
        self.decoder = decoder
        self.trade_off = trade_off

    @abstractmethod
    def units(self, source: Tensor) -> int:
        """Return the number of dimensions or pixels of a source, by which bits are divided."""

    def latent(self, source: Tensor) -> Tensor:
        """Return y = g_a(x)."""
        return self._transformed(self.encoder, source)

    def reconstruct(self, latent: Tensor, shape: Sequence[int]) -> Tensor:
        """Apply the decoder g_s to a latent.

        Args:
            latent: (B, C, ...).
            shape: shape of the source.
        """
        return self._transformed(self.decoder, latent)

    def _transformed(self, transform: nn.Module, values: Tensor) -> Tensor:
        with torch.autocast(values.device.type, torch.bfloat16, enabled=self.mixed and self.training):
            return transform(values).to(values.dtype)

    def finish(self, reconstruction: Tensor) -> Tensor:
        """Return a reconstruction as it is stored: images are rounded to 8 bits."""
        return reconstruction

    def forward(self, source: Tensor) -> tuple[Tensor, Quantized]:
        """Return the reconstruction of a source, and its quantized latent."""
        quantized = self.quantizer(self.latent(source))
        return self.reconstruct(quantized.latent, source.shape), quantized

    def terms(self, source: Tensor, quantized: Quantized) -> Terms:
        """Decode a quantized latent and compare it with its source.

        Args:
            source: (B, ...).
            quantized: the source's quantized latent.
        """
        reconstruction = self.reconstruct(quantized.latent, source.shape)
        if not self.training:
            reconstruction = self.finish(reconstruction)
        rate = quantized.bits.sum() / self.units(source)
        return Terms(rate, F.mse_loss(reconstruction, source), quantized.distance)

    def loss(self, terms: Terms) -> Tensor:
        """Return R + lambda * MSE + beta * latent distance."""
        ratio = 1.0 if self.latent_weight is None else self.latent_weight / self.trade_off
        return terms.rate + self.trade_off * (terms.mse + ratio * terms.distance)

    @torch.no_grad()
    def measure(self, source: Tensor, batch_size: int = 65_536) -> RDPoint:
        """Return the estimated rate, and the error, both quantized as in a file.

        Args:
            source: (B, ...).
            batch_size: number of sources per pass.
        """
        with evaluating(self):
            rate = mse = 0.0
            for part in source.split(batch_size):
                terms = self.terms(part, self.quantizer(self.latent(part)))
                rate += float(terms.rate) * len(part) / len(source)
                mse += float(terms.mse) * len(part) / len(source)
        return RDPoint(rate, mse)

    @torch.no_grad()
    def encode(self, source: Tensor) -> Coded:
        """Code sources (B, ...) with the range coder.

        Raises:
            ColorCNNError: the latent is not finite, or its indices are too large for a file.
        """
        with evaluating(self):
            latent = self.latent(source)
            indices = self.quantizer(latent).indices
            alphabet = self.quantizer.alphabet
            low = int(indices.min()) if alphabet is None else 0
            high = int(indices.max()) if alphabet is None else alphabet - 1
            if not (latent.isfinite().all() and fits(low, high)):
                raise ColorCNNError(
                    "The compressor is broken, its latent is not finite or far too large: use other weights."
                )
            table = self.quantizer.table(low, high)
            code = range_encode(self.quantizer.split_groups(indices) - low, table)
        return Coded(code, low, high, tuple(indices.shape))

    @torch.no_grad()
    def decode_indices(self, coded: Coded) -> Tensor:
        """Return exactly the indices (B, G, ...) that were coded."""
        batch, groups, *sides = coded.shape
        table = self.quantizer.table(coded.low, coded.high)
        flat = range_decode(coded.code, table, batch * math.prod(sides))
        return (flat + coded.low).view(groups, batch, *sides).transpose(0, 1)

    @torch.no_grad()
    def decode(self, coded: Coded, shape: Sequence[int]) -> Tensor:
        """Return the reconstruction of a code.

        Args:
            coded: the code.
            shape: shape of the sources.
        """
        with evaluating(self):
            indices = self.decode_indices(coded).to(next(self.parameters()).device)
            return self.finish(self.reconstruct(self.quantizer.dequantize(indices), shape))

    def fingerprint(self) -> int:
        """Return a 32-bit hash of the weights."""
        return int(weights_hash(self)[:8], 16)


class VectorCompressor(Compressor):
    """Compressor of vectors (B, d): residual networks, and a latent of the source's dimension.

    Args:
        dimension: d.
        trade_off: lambda in L = bits per dimension + lambda * MSE.
        method: a key of :data:`colorcnn.vq.methods.METHODS`.
        options: options of the method; ``dimension`` is the dimension of its sub-vectors.
        width: width of the networks' hidden layers.
        depth: number of residual blocks.

    Raises:
        UsageError: an option is out of range.
    """

    kind = "vector compressor"

    def __init__(
        self,
        dimension: int,
        trade_off: float,
        method: str,
        options: dict[str, Any] | None = None,
        width: int = 96,
        depth: int = 2,
    ) -> None:
        check_trade_off(trade_off)
        if width < 1 or depth < 0:
            raise UsageError(f"width {width} and depth {depth}: choose at least 1 and 0.")
        quantizer = create_quantizer(method, dimension, **{"trade_off": trade_off, **(options or {})})
        encoder, decoder = (VectorTransform(dimension, width, depth) for _ in range(2))
        super().__init__(encoder, quantizer, decoder, trade_off)

    def units(self, source: Tensor) -> int:
        """See :meth:`Compressor.units`."""
        return source.numel()


class ImageCompressor(Compressor):
    """Compressor of images (B, 3, H, W) in [0, 1]: the factorized-prior model with any quantizer.

    Args:
        trade_off: lambda in L = bits per pixel + lambda * 255^2 * MSE.
        method: a key of :data:`colorcnn.vq.methods.METHODS`.
        options: options of the method; ``dimension`` is the number of channels that share a codebook.
        width: channels of the convolutions.
        channels: C of the latent; ``width`` by default.

    Raises:
        UsageError: an option is out of range.
    """

    kind = "compressor"

    def __init__(
        self,
        trade_off: float,
        method: str,
        options: dict[str, Any] | None = None,
        width: int = 192,
        channels: int | None = None,
    ) -> None:
        check_trade_off(trade_off)
        channels = width if channels is None else channels
        if min(width, channels) < 1:
            raise UsageError(f"width {width} and channels {channels}: choose at least 1 of each.")
        weight = trade_off * 255**2
        # A latent has C / 256 values per pixel: the mean over them gets the weight of the mean over pixels.
        latent_weight = weight * STRIDE**2 / channels
        quantizer = create_quantizer(method, channels, **{"trade_off": latent_weight, **(options or {})})
        super().__init__(analysis(width, channels), quantizer, synthesis(width, channels), weight)

    def latent(self, source: Tensor) -> Tensor:
        """See :meth:`Compressor.latent`; sides are padded to a multiple of 16 by repeating the last pixel."""
        height, width = source.shape[-2:]
        padded = F.pad(source, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")
        return self._transformed(self.encoder, padded)

    def reconstruct(self, latent: Tensor, shape: Sequence[int]) -> Tensor:
        """See :meth:`Compressor.reconstruct`; the padding is cut off."""
        return self._transformed(self.decoder, latent)[..., : shape[-2], : shape[-1]]

    def finish(self, reconstruction: Tensor) -> Tensor:
        """See :meth:`Compressor.finish`."""
        return from_bytes(to_bytes(reconstruction))

    def index_shape(self, height: int, width: int) -> tuple[int, ...]:
        """Return the shape (1, G, h, w) of the indices of one image.

        Args:
            height: height of the image.
            width: width of the image.
        """
        return (1, self.quantizer.groups, -(-height // STRIDE), -(-width // STRIDE))

    def units(self, source: Tensor) -> int:
        """See :meth:`Compressor.units`."""
        return source.shape[0] * source.shape[2] * source.shape[3]


def create_compressor(
    source_dimension: int | None,
    trade_off: float,
    method: str,
    options: dict[str, Any] | None = None,
    network_kwargs: dict[str, Any] | None = None,
) -> Compressor:
    """Build a :class:`VectorCompressor`, or an :class:`ImageCompressor` if the dimension is None.

    Args:
        source_dimension: dimension of the vectors; None for images.
        trade_off: lambda of the loss.
        method: name of the quantizer.
        options: options of the quantizer.
        network_kwargs: options of the networks.

    Raises:
        UsageError: an option is unknown or out of range.
    """
    kwargs = network_kwargs or {}
    known = {"trade_off": trade_off, "method": method, "options": options, **kwargs}
    try:
        if source_dimension is None:
            images = ImageCompressor(trade_off, method, options, **kwargs)
            return images.describe("factorized-prior", known)
        vectors = VectorCompressor(source_dimension, trade_off, method, options, **kwargs)
        return vectors.describe("residual-transform", {**known, "dimension": source_dimension})
    except TypeError as error:
        raise UsageError(
            f"A compressor does not take {shortened(kwargs)}: {shortened(str(error))}."
        ) from error


def check_trade_off(trade_off: float) -> None:
    """Raise UsageError unless lambda is a number above 0."""
    if not (trade_off > 0 and math.isfinite(trade_off)):
        raise UsageError(f"The trade-off is {trade_off}: choose a number above 0.")


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode within the context."""
    before = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(before)


@contextmanager
def frozen_parameters(*modules: nn.Module) -> Iterator[None]:
    """Compute no gradients of the modules' parameters within the context; inputs still get gradients."""
    parameters = [parameter for module in modules for parameter in module.parameters()]
    before = [parameter.requires_grad for parameter in parameters]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, value in zip(parameters, before):
            parameter.requires_grad_(value)
