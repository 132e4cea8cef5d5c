"""Colour jitter of quantized batches, the input of the classifier: the paper's noise, and others."""

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
    """Add the paper's noise in the classifier's normalised space (section 3.3.2), and return images.

    z = (x - mean) / (contrast std) + noise n is converted back to mean + std z, because the classifier
    normalises its input. The paper draws one number n ~ N(0, 1) for the whole batch, which shifts the
    brightness of all images equally.

    Args:
        images: (B, 3, H, W) in [0, 1].
        mean: mean of the data set's channels, broadcastable to ``images``.
        std: standard deviation of the data set's channels, broadcastable to ``images``.
        noise: xi, the scale of n; 0 adds no noise.
        contrast: divisor of the contrast; 4 in the paper, 1 for no change.
        per_pixel: True to draw n for every pixel and channel (not in the paper). With xi = 1 this noise hides
            the image from the classifier.

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
        contrast: the factor of an image is uniform in [1 - contrast, 1 + contrast].
        brightness: the shift of an image is uniform in [-brightness, brightness].

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
    """Apply the jitter of a later version of ColorCNN+'s code, which depends on the number of colours.

    Up to :data:`FEW_COLORS` colours, one n is drawn for the whole batch, and z = (x - mean) / (contrast std)
    + n noise / log2 C is converted back to mean + std z. This shifts the palette and keeps the differences
    between its colours. With more colours ``noise`` and ``contrast`` are not used: torchvision's ColorJitter
    changes brightness, contrast and saturation by up to a half, with one factor for the whole batch.

    Args:
        images: (B, 3, H, W) in [0, 1].
        mean: mean of the data set's channels, broadcastable to ``images``.
        std: standard deviation of the data set's channels, broadcastable to ``images``.
        num_colors: C; 1 counts as 2.
        noise: xi.
        contrast: divisor of the contrast.

    Returns:
        (B, 3, H, W); only ColorJitter clamps to [0, 1].
    """
    if num_colors > FEW_COLORS:
        return ColorJitter(**_BY_COLORS)(images)
    shift = noise / math.log2(max(2, num_colors)) * torch.randn((), dtype=images.dtype, device=images.device)
    return mean + (images - mean) / contrast + shift * std
