"""Measure trained compressors: rate, error, and size of the coded bytes. Everything is decoded again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.evaluation.codecs import Codec
from colorcnn.evaluation.metrics import mean_psnr, psnr
from colorcnn.paletted import from_bytes, to_bytes
from colorcnn.vq.codec import compress_pixels, decompress_pixels
from colorcnn.vq.compressor import ImageCompressor, VectorCompressor, evaluating
from colorcnn.vq.ecsq import gaussian_ecsq
from colorcnn.vq.ecvq import design_ecvq
from colorcnn.vq.published import CURVES
from colorcnn.vq.rates import RDPoint, bd_rate
from colorcnn.vq.sources import TEST_SEED, Source, read_pixels

_PART = 65_536  # number of vectors coded at once
_DESIGN_SEED = TEST_SEED + 2  # design vectors differ from validation and test vectors


def score(point: RDPoint, trade_off: float) -> dict[str, float]:
    """Return ``rate``, ``mse``, ``decibels`` and ``loss`` of a point, for a record.

    Args:
        point: rate and error.
        trade_off: the lambda of the loss.
    """
    return {**asdict(point), "decibels": point.decibels, "loss": point.loss(trade_off)}


def measure_vectors(compressor: VectorCompressor, vectors: Tensor) -> dict[str, float]:
    """Measure rate and error of a compressor of vectors.

    Args:
        compressor: a trained compressor.
        vectors: (n, d).

    Returns:
        :func:`score`, and ``coded_rate``: the bits per dimension of the range coder's bytes. The size of the
        entropy model is not counted, because the decoder has it.

    Raises:
        ColorCNNError: decoding does not reproduce the indices.
    """
    coded_bytes = 0
    for part in vectors.split(_PART):
        coded = compressor.encode(part)
        _, quantized = _evaluated(compressor, part)
        if not torch.equal(compressor.decode_indices(coded), quantized):
            raise ColorCNNError("Decoding does not reproduce the indices: this is a bug of the compressor.")
        coded_bytes += len(coded.code)
    measured = score(compressor.measure(vectors), compressor.trade_off)
    return {**measured, "coded_rate": 8 * coded_bytes / vectors.numel()}


def measure_pictures(compressor: ImageCompressor, files: Sequence[Path], name: str) -> dict[str, float]:
    """Measure size and error of the files of ``colorcnn compress``.

    Args:
        compressor: a trained compressor, on its device.
        files: paths of images.
        name: the name of the compressor that is written into the files.

    Returns:
        ``rate``: bits per pixel of whole files, the mean over the images. ``decibels``: mean PSNR in dB.
        ``round_trips``: number of images that decode to the pixels that the encoder expects, which is all.

    Raises:
        ColorCNNError: a file decodes to other pixels.
    """
    rates, decibels = [], []
    device = next(compressor.parameters()).device
    for path in files:
        pixels = read_pixels(path)
        data = compress_pixels(compressor, pixels, name)
        decoded = decompress_pixels(compressor, data, path.name)
        reconstruction, _ = _evaluated(compressor, from_bytes(pixels[None].to(device)))
        if not torch.equal(decoded, to_bytes(compressor.finish(reconstruction))[0].cpu()):
            raise ColorCNNError(
                f"The code of {path} decodes to wrong pixels: this is a bug of the compressor."
            )
        rates.append(8 * len(data) / pixels[0].numel())
        decibels.append(psnr(decoded[None], pixels[None]))
    return {
        "rate": sum(rates) / len(rates),
        "decibels": mean_psnr(torch.cat(decibels)),
        "round_trips": len(rates),
    }


def measure_codec(codec: Codec, files: Sequence[Path]) -> dict[str, float]:
    """Return ``rate`` and ``decibels`` of an image format, as :func:`measure_pictures` does.

    Args:
        codec: format and quality.
        files: paths of images.
    """
    rates, decibels = [], []
    for path in files:
        pixels = read_pixels(path)[None]
        decoded, bits = codec(pixels)
        rates.append(bits[0] / pixels[0, 0].numel())
        decibels.append(psnr(decoded, pixels))
    return {"rate": sum(rates) / len(rates), "decibels": mean_psnr(torch.cat(decibels))}


def measure_references(
    source: Source, trade_offs: Sequence[float], design_size: int, test_size: int, codewords: int
) -> dict[str, dict[str, dict[str, float]]]:
    """Measure the best known quantizers without a transform.

    Args:
        source: the source of the vectors.
        trade_offs: the lambdas.
        design_size: number of vectors that ECVQ is designed on.
        test_size: number of vectors that ECVQ is measured on.
        codewords: maximum number of codewords that ECVQ starts with.

    Returns:
        Method -> lambda -> :func:`score`: ``ecvq``, and for the 1-D Gaussian ``ecsq``, which is exact.
    """
    exact = source.name == "gaussian" and source.dimension == 1
    design = source.sample(design_size, torch.Generator().manual_seed(_DESIGN_SEED))
    test = source.test_set(test_size)
    found: dict[str, dict[str, dict[str, float]]] = {"ecsq": {}, "ecvq": {}} if exact else {"ecvq": {}}
    for trade_off in trade_offs:
        if exact:
            found["ecsq"][str(trade_off)] = score(gaussian_ecsq(trade_off).point, trade_off)
        quantizer = design_ecvq(design, trade_off, codewords)
        found["ecvq"][str(trade_off)] = score(quantizer.evaluate(test), trade_off)
    return found


def published_points(source: str) -> dict[str, dict[str, Any]]:
    """Return method -> published curve of a source: its reference, and lambda -> rate, decibels and loss."""
    return {
        curve.method: {
            "reference": curve.reference,
            "points": {str(trade_off): asdict(point) for trade_off, point in curve.points.items()},
        }
        for curve in CURVES
        if curve.source == source
    }


def best_reference(metrics: Mapping[str, Any]) -> str | None:
    """Return the reference for losses: ECSQ, which is exact, else ECVQ, else None."""
    found = metrics.get("references", {})
    return next((name for name in ("ecsq", "ecvq") if name in found), None)


def points_of(scores: Mapping[str, Mapping[str, float]]) -> list[RDPoint]:
    """Return rate and decibels of scores as points. Images use the mean PSNR, not the mean error."""
    return [RDPoint(score["rate"], 10 ** (-score["decibels"] / 10)) for score in scores.values()]


def bd_rates(rows: Mapping[str, Mapping[str, Mapping[str, float]]], anchor: str) -> dict[str, float]:
    """Return the BD-rate of each row in per cent; rows without one are left out.

    Args:
        rows: name -> lambda -> score.
        anchor: name of the row to compare with.
    """
    found = {}
    for name, scores in rows.items():
        try:
            found[name] = bd_rate(points_of(rows[anchor]), points_of(scores))
        except UsageError:  # too few points, or no common quality
            continue
    return {name: value for name, value in found.items() if name != anchor}


def _evaluated(compressor: Any, source: Tensor) -> tuple[Tensor, Tensor]:
    """Return reconstruction and indices in evaluation mode."""
    with evaluating(compressor), torch.no_grad():
        reconstruction, quantized = compressor(source)
    return reconstruction, quantized.indices
