"""Quantizing only what can be seen of a picture: transparent pixels take no part in choosing its colours."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from colorcnn.models.assignment import hard_palette
from colorcnn.paletted import Paletted, from_bytes
from colorcnn.quantizers import Dithered
from colorcnn.quantizers.base import drop_unused
from colorcnn.quantizers.palettes import Keeping


def quantize_visible(
    quantizer: Any,
    pixels: np.ndarray,
    visible: np.ndarray,
    num_colors: int,
    device: torch.device | str = "cpu",
) -> Paletted:
    """Quantize one picture in which only some pixels can be seen.

    Classical methods are given the visible pixels alone. A learned model looks at the whole picture, the
    rest filled with the mean visible colour, and each of its colours then becomes the mean of the visible
    pixels that chose it (Eq 3). Dithering spreads no error out of pixels that cannot be seen.

    Args:
        quantizer: as :func:`colorcnn.methods.load_quantizer` returns it.
        pixels: (H, W, 3) uint8.
        visible: (H, W) bool.
        num_colors: the most colours the visible pixels may keep.
        device: where the quantizer wants its images.

    Returns:
        Paletted of one image on the CPU; the indices of pixels that cannot be seen mean nothing.

    Raises:
        UsageError: the quantizer cannot give so many colours.
    """
    if visible.all():
        return _run(quantizer, pixels, num_colors, device)
    if not visible.any():
        return _assemble(visible, np.zeros(0, np.uint8), np.zeros((0, 3), np.uint8), num_colors)
    if isinstance(quantizer, Dithered):
        plain = quantize_visible(quantizer.quantizer, pixels, visible, num_colors, device)
        rows = plain.compact(transparent=~visible)[1]
        filled = np.where(visible[..., None], pixels, rows[0])  # a colour of the palette leaves no error
        indices, rows = drop_unused(quantizer.assign(filled, rows)[visible], rows)
        return _assemble(visible, indices, rows, num_colors)
    if isinstance(quantizer, Keeping):
        plain = quantize_visible(quantizer.quantizer, pixels, visible, quantizer.room(num_colors), device)
        indices, rows = quantizer.assign(pixels[visible], plain.compact(transparent=~visible)[1])
        return _assemble(visible, indices, rows, num_colors)
    if isinstance(quantizer, nn.Module):
        mean = np.floor(pixels[visible].mean(axis=0) + 0.5).astype(np.uint8)
        filled = np.where(visible[..., None], pixels, mean)
        result = _run(quantizer, filled, num_colors, device)
        seen = from_bytes(torch.from_numpy(pixels[visible]).T[None, :, None])
        palette = hard_palette(seen, result.indices[:, torch.from_numpy(visible)][:, None], num_colors)
        return Paletted(result.indices, palette)
    strip = _run(quantizer, pixels[visible][None], num_colors, device)
    indices, rows = strip.compact()
    return _assemble(visible, indices[0], rows, num_colors)


def _run(quantizer: Any, pixels: np.ndarray, num_colors: int, device: torch.device | str) -> Paletted:
    images = torch.from_numpy(pixels)[None]
    return quantizer(images.to(device), num_colors, channels_last=True).to("cpu")


def _assemble(visible: np.ndarray, indices: np.ndarray, rows: np.ndarray, num_colors: int) -> Paletted:
    """A picture from the (N,) indices of its visible pixels and an (n, 3) uint8 palette."""
    whole = np.zeros((1, *visible.shape), dtype=np.uint8)
    whole[0, visible] = indices
    palette = torch.zeros(1, num_colors, 3)
    palette[0, : len(rows)] = from_bytes(torch.from_numpy(rows))
    return Paletted(torch.from_numpy(whole), palette)
