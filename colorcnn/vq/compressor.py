"""Encoder, quantizer and decoder together: what is trained, and what turns sources into bytes and back."""

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
    """The parts of a rate-distortion loss, scalars.

    Attributes:
        rate: bits per dimension of a vector, per pixel of an image.
        mse: mean squared error of the source.
        distance: mean squared distance in the latent, where the method trains by it.
    """

    rate: Tensor
    mse: Tensor
    distance: Tensor


class Coded(NamedTuple):
    """A coded batch: the bytes, and what must be known to read them.

    Attributes:
        code: of the range coder.
        low: the least index.
        high: the greatest index.
        shape: (B, G, ...) of the indices.
    """

    code: bytes
    low: int
    high: int
    shape: tuple[int, ...]


class Compressor(Shareable, ABC):
    """A transform, a quantizer of its latent, and the transform back.

    Args:
        encoder: g_a.
        quantizer: of its latents.
        decoder: g_s.
        trade_off: lambda in L = rate + lambda * MSE, as the loss uses it.
    """

    latent_weight: float | None = None
    """beta, the weight of the latent distance in the loss; lambda where it is None."""

    mixed = False
    """Whether the transforms compute in bfloat16 in training; what is evaluated or coded never does."""

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
        """y = g_a(x)."""
        return self._transformed(self.encoder, source)

    def reconstruct(self, latent: Tensor, shape: Sequence[int]) -> Tensor:
        """Apply the decoder g_s to a latent.

        Args:
            latent: (B, C, ...).
            shape: of the source.
        """
        return self._transformed(self.decoder, latent)

    def _transformed(self, transform: nn.Module, values: Tensor) -> Tensor:
        with torch.autocast(values.device.type, torch.bfloat16, enabled=self.mixed and self.training):
            return transform(values).to(values.dtype)

    def finish(self, reconstruction: Tensor) -> Tensor:
        """Return a reconstruction as it is kept outside of training; images are rounded to 8 bits."""
        return reconstruction

    def forward(self, source: Tensor) -> tuple[Tensor, Quantized]:
        """Reconstruct a source through its quantized latent; returns both."""
        quantized = self.quantizer(self.latent(source))
        return self.reconstruct(quantized.latent, source.shape), quantized

    def terms(self, source: Tensor, quantized: Quantized) -> Terms:
        """Decode a quantized latent and measure it against its source.

        Args:
            source: (B, ...).
            quantized: its quantized latent.
        """
        reconstruction = self.reconstruct(quantized.latent, source.shape)
        if not self.training:
            reconstruction = self.finish(reconstruction)
        rate = quantized.bits.sum() / self.units(source)
        return Terms(rate, F.mse_loss(reconstruction, source), quantized.distance)

    def loss(self, terms: Terms) -> Tensor:
        """R + lambda D, and beta times the latent distance where there is one."""
        ratio = 1.0 if self.latent_weight is None else self.latent_weight / self.trade_off
        return terms.rate + self.trade_off * (terms.mse + ratio * terms.distance)

    @torch.no_grad()
    def measure(self, source: Tensor, batch_size: int = 65_536) -> RDPoint:
        """Return the rate as the entropy model estimates it, and the error, quantized as in a file.

        Args:
            source: (B, ...).
            batch_size: sources at a time.
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
            ColorCNNError: the latent is not finite, or so large that no file holds its indices.
        """
        with evaluating(self):
            latent = self.latent(source)
            indices = self.quantizer(latent).indices
            alphabet = self.quantizer.alphabet
            low = int(indices.min()) if alphabet is None else 0
            high = int(indices.max()) if alphabet is None else alphabet - 1
            if not (latent.isfinite().all() and fits(low, high)):
                raise ColorCNNError(
                    "The compressor is broken: its latent is not finite, or far too large. Use other weights."
                )
            table = self.quantizer.table(low, high)
            code = range_encode(self.quantizer.split_groups(indices) - low, table)
        return Coded(code, low, high, tuple(indices.shape))

    @torch.no_grad()
    def decode_indices(self, coded: Coded) -> Tensor:
        """The indices (B, G, ...) of a code, bit for bit those that were coded."""
        batch, groups, *places = coded.shape
        table = self.quantizer.table(coded.low, coded.high)
        flat = range_decode(coded.code, table, batch * math.prod(places))
        return (flat + coded.low).view(groups, batch, *places).transpose(0, 1)

    @torch.no_grad()
    def decode(self, coded: Coded, shape: Sequence[int]) -> Tensor:
        """Return the reconstruction of a code.

        Args:
            coded: the code.
            shape: of the sources.
        """
        with evaluating(self):
            indices = self.decode_indices(coded).to(next(self.parameters()).device)
            return self.finish(self.reconstruct(self.quantizer.dequantize(indices), shape))

    def fingerprint(self) -> int:
        """32 bits that tell the weights of one model from those of another."""
        return int(weights_hash(self)[:8], 16)


class VectorCompressor(Compressor):
    """For vectors (B, d): residual networks, and a latent of the source's dimension.

    Args:
        dimension: d.
        trade_off: lambda in L = bits per dimension + lambda * MSE.
        method: a key of :data:`colorcnn.vq.methods.METHODS`.
        options: of the method; ``dimension`` is that of its sub-vectors.
        width: of the networks' hidden layers.
        depth: their residual blocks.

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
    """For images (B, 3, H, W) in [0, 1]: the factorized-prior model with any of the quantizers.

    Args:
        trade_off: lambda in L = bits per pixel + lambda * 255^2 * MSE.
        method: a key of :data:`colorcnn.vq.methods.METHODS`.
        options: of the method; ``dimension`` is how many channels share a codebook.
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
        # The mean over C / 256 latent channels per pixel weighs as much as the mean over the pixels.
        latent_weight = weight * STRIDE**2 / channels
        quantizer = create_quantizer(method, channels, **{"trade_off": latent_weight, **(options or {})})
        super().__init__(analysis(width, channels), quantizer, synthesis(width, channels), weight)

    def latent(self, source: Tensor) -> Tensor:
        """See :meth:`Compressor.latent`; sides are padded with their last pixel to a multiple of 16."""
        height, width = source.shape[-2:]
        padded = F.pad(source, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")
        return self._transformed(self.encoder, padded)

    def reconstruct(self, latent: Tensor, shape: Sequence[int]) -> Tensor:
        """See :meth:`Compressor.reconstruct`; what was padded is cut off."""
        return self._transformed(self.decoder, latent)[..., : shape[-2], : shape[-1]]

    def finish(self, reconstruction: Tensor) -> Tensor:
        """See :meth:`Compressor.finish`."""
        return from_bytes(to_bytes(reconstruction))

    def index_shape(self, height: int, width: int) -> tuple[int, ...]:
        """Return the shape (1, G, h, w) of the indices of one picture.

        Args:
            height: of the picture.
            width: of the picture.
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
    """Build a :class:`VectorCompressor`, or for a dimension of None an :class:`ImageCompressor`.

    Args:
        source_dimension: of vectors; None for pictures.
        trade_off: lambda of the loss.
        method: name of the quantizer.
        options: of the quantizer.
        network_kwargs: options of the networks.

    Raises:
        UsageError: an option is unknown or out of range.
    """
    kwargs = network_kwargs or {}
    known = {"trade_off": trade_off, "method": method, "options": options, **kwargs}
    try:
        if source_dimension is None:
            pictures = ImageCompressor(trade_off, method, options, **kwargs)
            return pictures.describe("factorized-prior", known)
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
    """Put a module into evaluation mode for a while."""
    before = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(before)


@contextmanager
def resting(*modules: nn.Module) -> Iterator[None]:
    """Keep gradients from the parameters of modules for a while; those of their inputs still flow."""
    parameters = [parameter for module in modules for parameter in module.parameters()]
    before = [parameter.requires_grad for parameter in parameters]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, value in zip(parameters, before):
            parameter.requires_grad_(value)
