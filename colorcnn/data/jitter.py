"""Colour jitter of quantized batches, before the classifier sees them: the paper's noise, and a mild one."""

from __future__ import annotations

import torch
from torch import Tensor


def gaussian_jitter(images: Tensor, mean: Tensor, std: Tensor, noise: float, contrast: float = 4.0) -> Tensor:
    """Noise in the classifier's normalised space, as section 3.3.2 has it, handed back in image space.

    The classifier normalises inside, so z = (x - mean) / (contrast std) + noise n becomes mean + std z.

    Args:
        images: (B, 3, H, W) in [0, 1].
        mean: of the data set's channels, broadcastable to ``images``.
        std: of the data set's channels, likewise.
        noise: xi, the standard deviation of n; 0 and ``contrast`` 1 change nothing.
        contrast: what the contrast is divided by; 4 in the paper.

    Returns:
        (B, 3, H, W), not clamped.
    """
    seen = mean + (images - mean) / contrast if contrast != 1 else images
    return seen + noise * std * torch.randn_like(images) if noise else seen


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
