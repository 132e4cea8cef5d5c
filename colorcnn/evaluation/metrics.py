"""Metrics of quantized images. The pixels are always uint8: exactly those of an image file."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from colorcnn.errors import UsageError

PSNR_CAP = 100.0
"""PSNR in dB that :func:`mean_psnr` counts for an image without any error."""

SSIM_WINDOW = 11

_SSIM_VALUES = 1 << 20  # values at once; about a dozen float64 copies of them need memory


def accuracy_interval(correct: int, n: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of an accuracy (E. B. Wilson, 1927); (0, 1) if n is 0.

    Args:
        correct: number of recognised images.
        n: number of images.
    """
    from scipy.stats import binomtest

    if n == 0:
        return 0.0, 1.0
    interval = binomtest(correct, n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def mean_average_precision(logits: Tensor, labels: Tensor) -> float:
    """Mean over the labels of the area under the precision-recall curve.

    A label that no image has is left out, because it has no recall. Logits that are not finite rank last.

    Args:
        logits: (N, K) float.
        labels: (N, K) of 0 and 1.

    Returns:
        The mean in [0, 1]; NaN if no image has a label.
    """
    from torchmetrics.functional.classification import multilabel_average_precision

    present = (labels > 0).any(dim=0)
    if not present.any():
        return math.nan
    scores = torch.where(logits.isfinite(), logits, -torch.inf).double().sigmoid()[:, present]
    targets = (labels[:, present] > 0).long()
    if targets.shape[1] == 1:  # torchmetrics takes no fewer than two labels
        scores, targets = scores.repeat(1, 2), targets.repeat(1, 2)
    return float(multilabel_average_precision(scores, targets, num_labels=targets.shape[1]))


def psnr(images: Tensor, originals: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each image: 10 log10(255² / MSE), the MSE over pixels and channels.

    Args:
        images: (B, 3, H, W) uint8.
        originals: the same shape, uint8.

    Returns:
        (B,) float64 in decibels, infinite where an image equals its original.

    Raises:
        UsageError: the images are not uint8, or their shapes differ.
    """
    _check_pixels(images, originals)
    # int32 squares are exact; the sum of the largest picture fits int64.
    error = (images.int() - originals.int()).square().sum(dim=(1, 2, 3), dtype=torch.int64)
    mse = error.double() / images[0].numel()
    return 10 * torch.log10(255.0**2 / mse)


def mean_psnr(values: Tensor) -> float:
    """Mean of per-image PSNRs, each at most :data:`PSNR_CAP` so that exact images do not make it infinite."""
    return float(values.clamp(max=PSNR_CAP).mean())


def ssim(images: Tensor, originals: Tensor) -> Tensor:
    """Structural similarity of each image (Z. Wang et al., 2004), mean over pixels and channels.

    The window is Gaussian, with 11 pixels and sigma 1.5. Images are mirrored at their edges. torchmetrics
    computes the same. This function uses double precision, because single precision is off by 2e-4 on flat
    images, and applies the window as two matrix products, which is many times faster on small images.

    Args:
        images: (B, 3, H, W) uint8.
        originals: the same shape, uint8.

    Returns:
        (B,) float64; NaN for images smaller than the window.

    Raises:
        UsageError: the images are not uint8, or their shapes differ.
    """
    _check_pixels(images, originals)
    if min(images.shape[2:]) < SSIM_WINDOW:
        return torch.full((len(images),), math.nan, dtype=torch.float64)
    rows, columns = (_window(side).to(images.device) for side in images.shape[2:])
    chunk = max(1, _SSIM_VALUES // images[0].numel())
    pairs = zip(images.split(chunk), originals.split(chunk))
    parts = [_ssim(ours.double(), theirs.double(), rows, columns) for ours, theirs in pairs]
    return torch.cat(parts).cpu()


def _ssim(images: Tensor, originals: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    def blur(values: Tensor) -> Tensor:
        return rows @ values @ columns.T

    light, dark = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean, mean_original = blur(images), blur(originals)
    product, squares = mean * mean_original, mean.square() + mean_original.square()
    covariance = blur(images * originals) - product
    variances = blur(images.square() + originals.square()) - squares
    similarity = (2 * product + light) * (2 * covariance + dark)
    similarity /= (squares + light) * (variances + dark)
    return similarity.mean(dim=(1, 2, 3))


def _window(side: int) -> Tensor:
    """The Gaussian window along one side as a (side, side) matrix that mirrors at the ends."""
    reach = SSIM_WINDOW // 2
    offsets = torch.arange(-reach, reach + 1)
    weights = torch.exp(-0.5 * (offsets / 1.5).double().square())
    positions = (torch.arange(side)[:, None] + offsets).abs()
    positions = (side - 1) - ((side - 1) - positions).abs()
    return torch.zeros(side, side, dtype=torch.float64).scatter_add_(
        1, positions, (weights / weights.sum()).expand(side, -1)
    )


def count_colors(images: Tensor) -> Tensor:
    """Return the number of distinct colours, (B,) int64, of each image of a (B, 3, H, W) uint8 batch."""
    codes = images.flatten(2).long()
    codes = ((codes[:, 0] << 16) | (codes[:, 1] << 8) | codes[:, 2]).sort(dim=1).values
    return 1 + (codes[:, 1:] != codes[:, :-1]).sum(dim=1)


def _check_pixels(images: Tensor, originals: Tensor) -> None:
    if images.dtype != torch.uint8 or originals.dtype != torch.uint8:
        raise UsageError(
            f"images are {images.dtype} and {originals.dtype}: give the uint8 pixels of render(torch.uint8)."
        )
    if images.shape != originals.shape or images.ndim != 4:
        shapes = f"{tuple(images.shape)} and {tuple(originals.shape)}"
        raise UsageError(f"images are {shapes}: give two batches (B, 3, H, W) of one shape.")
