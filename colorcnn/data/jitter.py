"""Colour jitter of quantized batches, before the classifier sees them: the paper's noise, and others."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torchvision.transforms.v2 import ColorJitter

FEW_COLORS = 8
_BY_COLORS = {"brightness": 0.5, "contrast": 0.5, "saturation": 0.5}


def gaussian_jitter(
    images: Tensor,
    mean: Tensor,
    std: Tensor,
    noise: float,
    contrast: float = 4.0,
    *,
    per_pixel: bool = False,
) -> Tensor:
    """Add the paper's noise in the classifier's normalised space (section 3.3.2), and return image space.

    The classifier normalises inside, so z = (x - mean) / (contrast std) + noise n becomes mean + std z. The
    paper draws one number n ~ N(0, 1) for the whole batch: it shifts the brightness of all images alike.

    Args:
        images: (B, 3, H, W) in [0, 1].
        mean: of the data set's channels, broadcastable to ``images``.
        std: of the data set's channels, likewise.
        noise: xi, the scale of n; 0 and ``contrast`` 1 change nothing.
        contrast: the contrast is divided by it; 4 in the paper.
        per_pixel: draw n for every pixel and channel in place of once. Beyond the paper: with xi = 1 this
            noise hides the image from the classifier.

    Returns:
        (B, 3, H, W), not clamped.

    Source:
        Hou, Zheng and Gould, section 3.3.2.
    """
    seen = mean + (images - mean) / contrast if contrast != 1 else images
    if not noise:
        return seen
    shape = images.shape if per_pixel else ()
    return seen + noise * std * torch.randn(shape, dtype=images.dtype, device=images.device)


def contrast_jitter(images: Tensor, contrast: float, brightness: float) -> Tensor:
    """Scale every image's contrast about its own mean, and shift its brightness.

    Args:
        images: (B, 3, H, W) in [0, 1].
        contrast: an image's factor is drawn from [1 - contrast, 1 + contrast].
        brightness: its shift is drawn from [-brightness, brightness].

    Returns:
        (B, 3, H, W), not clamped.
    """
    if not contrast and not brightness:
        return images
    draws = torch.rand(2, len(images), 1, 1, 1, dtype=images.dtype, device=images.device) * 2 - 1
    middle = images.mean(dim=(1, 2, 3), keepdim=True)
    return middle + (images - middle) * (1 + contrast * draws[0]) + brightness * draws[1]


def jitter_by_colors(
    images: Tensor, mean: Tensor, std: Tensor, num_colors: int, noise: float, contrast: float = 4.0
) -> Tensor:
    """The jitter of a later version of ColorCNN+'s code, which goes by the number of colours.

    Up to :data:`FEW_COLORS` one n is drawn for the whole batch, and z = (x - mean) / (contrast std) + n noise
    / log2 C becomes mean + std z: the palette is moved, and its colours keep their distances. With more,
    neither noise nor contrast counts: torchvision's ColorJitter changes brightness, contrast and saturation
    by up to a half, also once a batch.

    Args:
        images: (B, 3, H, W) in [0, 1].
        mean: of the data set's channels, broadcastable to ``images``.
        std: of the data set's channels, likewise.
        num_colors: C; 1 counts as 2.
        noise: xi.
        contrast: what the contrast is divided by.

    Returns:
        (B, 3, H, W), clamped to [0, 1] by ColorJitter alone.
    """
    if num_colors > FEW_COLORS:
        return ColorJitter(**_BY_COLORS)(images)
    shift = noise / math.log2(max(2, num_colors)) * torch.randn((), dtype=images.dtype, device=images.device)
    return mean + (images - mean) / contrast + shift * std
