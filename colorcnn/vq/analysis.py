"""Analysis of trained compressors of vectors: mapping, boundaries, centres, gradients, cells.

They give figures 2 to 4, 6 and 7 of Alternating Optimized Stochastic Vector Quantization in Neural
Compression.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from colorcnn.errors import UsageError
from colorcnn.vq.compressor import VectorCompressor, evaluating
from colorcnn.vq.noise import SphereNoise
from colorcnn.vq.quantizer import Quantized
from colorcnn.vq.uniform import UniformNoise

_DRAWS_AT_ONCE = 256  # noise samples per source value in one pass; bounds the memory


@dataclass(frozen=True)
class Mapping:
    """A scalar compressor, sampled over its source.

    Attributes:
        source: x, (n,), ascending.
        latent: g_a(x), (n,).
        decoded: g_s of the unquantized latent, (n,).
        boundaries: values of x at which the index changes, (b,).
        latent_boundaries: latents of the boundaries, (b,).
        centers: (c, 2): the codewords in use and their decoded values.
    """

    source: Tensor
    latent: Tensor
    decoded: Tensor
    boundaries: Tensor
    latent_boundaries: Tensor
    centers: Tensor


@torch.no_grad()
def scalar_mapping(compressor: VectorCompressor, limit: float = 4.0, count: int = 4001) -> Mapping:
    """Sample encoder, decoder, boundaries and centres over [-limit, limit].

    Args:
        compressor: compressor of a source of one dimension.
        limit: largest absolute value of the source.
        count: number of points.

    Raises:
        UsageError: the source has more than one dimension.
    """
    _require(compressor, 1)
    with evaluating(compressor):
        source = torch.linspace(-limit, limit, count)[:, None]
        latent = compressor.latent(source)
        quantized = compressor.quantizer(latent)
        indices = quantized.indices[:, 0]
        changes = (indices.diff() != 0).nonzero()[:, 0]
        used = indices.unique()[:, None]
        words = compressor.quantizer.dequantize(used)
        centers = torch.cat([words, compressor.decoder(words)], dim=1)
        decoded = compressor.decoder(latent)
    return Mapping(
        source[:, 0],
        latent[:, 0],
        decoded[:, 0],
        (source[changes, 0] + source[changes + 1, 0]) / 2,
        (latent[changes, 0] + latent[changes + 1, 0]) / 2,
        centers,
    )


def encoder_gradients(
    compressor: VectorCompressor, limit: float = 4.0, count: int = 801, num_samples: int = 2048
) -> tuple[Tensor, Tensor]:
    """Return the mean gradient of rate + lambda * MSE for the encoder's output in training.

    Args:
        compressor: compressor of a source of one dimension.
        limit: largest absolute value of the source.
        count: number of points.
        num_samples: number of noise samples per point.

    Returns:
        y = g_a(x), (count,), and E[dl/dy], (count,).

    Raises:
        UsageError: the source has more than one dimension.
    """
    _require(compressor, 1)
    before = compressor.training
    compressor.train()
    compressor.quantizer.anneal(1.0)  # to the state at the end of the training
    try:
        source = torch.linspace(-limit, limit, count)[:, None]
        latent = compressor.latent(source).detach()
        total = torch.zeros(count)
        for done in range(0, num_samples, _DRAWS_AT_ONCE):
            part = min(_DRAWS_AT_ONCE, num_samples - done)
            many = latent.repeat(part, 1).requires_grad_()
            loss = _losses(compressor, source.repeat(part, 1), compressor.quantizer.approximate(many)).sum()
            (gradient,) = torch.autograd.grad(loss, many)
            total += gradient.view(part, count).sum(dim=0)
    finally:
        compressor.train(before)
    return latent[:, 0], total / num_samples


@torch.no_grad()
def analytic_gradients(
    compressor: VectorCompressor, limit: float = 4.0, count: int = 801
) -> tuple[Tensor, Tensor] | None:
    """Return the expectation of :func:`encoder_gradients`, computed from differences of the loss.

    l(y + 1/2) - l(y - 1/2) for uniform noise (Eq 5). (l(y + r) - l(y - r)) / 2r for ``sphere`` in one
    dimension (Eq 9), with the floor of its radius for the rate. None for methods without a closed form.

    Args:
        compressor: compressor of a source of one dimension.
        limit: largest absolute value of the source.
        count: number of points.
    """
    _require(compressor, 1)
    quantizer = compressor.quantizer
    source = torch.linspace(-limit, limit, count)[:, None]
    latent = compressor.latent(source)

    def distortion(at: Tensor) -> Tensor:
        return compressor.trade_off * (compressor.decoder(at) - source).square()

    if isinstance(quantizer, UniformNoise):
        high, low = (
            quantizer.density.bits((latent + step).T).T + distortion(latent + step) for step in (0.5, -0.5)
        )
        return latent[:, 0], (high - low)[:, 0]
    if isinstance(quantizer, SphereNoise) and quantizer.rate_gradient == "surface":
        radius = (latent - quantizer.quantize(latent).latent).abs().clamp_min(1e-6)
        high, low = latent + radius, latent - radius
        floor = quantizer.radius_floor * radius.square().mean().sqrt()
        bits = quantizer.nearest_bits(high.T[..., None]) - quantizer.nearest_bits(low.T[..., None])
        rate = bits.T / (2 * torch.maximum(radius, floor))
        return latent[:, 0], (rate + (distortion(high) - distortion(low)) / (2 * radius))[:, 0]
    return None


@dataclass(frozen=True)
class Cells:
    """The cells of a compressor of two dimensions over a square grid.

    Attributes:
        labels: (n, n) int64, one number per cell; rows are the second coordinate, ascending.
        centers: (c, 2): the decoded codewords of the cells in the square.
        bounds: minimum and maximum of the first, then of the second coordinate.
    """

    labels: Tensor
    centers: Tensor
    bounds: tuple[float, float, float, float]


@torch.no_grad()
def quantization_cells(
    compressor: VectorCompressor, bounds: tuple[float, float, float, float], count: int = 400
) -> Cells:
    """Return the cells of a plane: regions of points that share a codeword.

    Args:
        compressor: compressor of a source of two dimensions.
        bounds: minimum and maximum of the first, then of the second coordinate.
        count: points along each side.

    Raises:
        UsageError: the source does not have two dimensions.
    """
    _require(compressor, 2)
    with evaluating(compressor):
        rows = torch.linspace(*bounds[2:], count)
        columns = torch.linspace(*bounds[:2], count)
        second, first = torch.meshgrid(rows, columns, indexing="ij")
        points = torch.stack([first, second], dim=2).view(-1, 2)
        indices = compressor.quantizer(compressor.latent(points)).indices
        found, labels = indices.unique(dim=0, return_inverse=True)
        centers = compressor.decoder(compressor.quantizer.dequantize(found))
    return Cells(labels.view(count, count), centers, bounds)


def _losses(compressor: VectorCompressor, source: Tensor, quantized: Quantized) -> Tensor:
    squared = (compressor.decoder(quantized.latent) - source).square()
    return quantized.bits + compressor.trade_off * squared


def _require(compressor: VectorCompressor, dimension: int) -> None:
    if compressor.quantizer.channels != dimension:
        raise UsageError(
            f"The compressor has {compressor.quantizer.channels} dimensions: use one with {dimension}."
        )
