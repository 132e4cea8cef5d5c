"""Quantization of the visible pixels of an image: transparent pixels have no influence on its colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from colorcnn.indexed import Indexed
from colorcnn.quantizers.base import Quantizer, check_num_colors, drop_unused, is_network
from colorcnn.quantizers.dithered import Dithered
from colorcnn.quantizers.keeping import Keeping

if TYPE_CHECKING:
    import torch

    from colorcnn.paletted import Paletted


def quantize_visible(
    quantizer: Any,
    pixels: np.ndarray,
    visible: np.ndarray,
    num_colors: int,
    device: torch.device | str = "cpu",
) -> Paletted:
    """Quantize the visible pixels of one image.

    Classical methods get only the visible pixels. A learned model gets the whole image, with the mean visible
    colour in place of invisible pixels; its palette is the mean of the visible pixels of each index (Eq 3).
    Dithering distributes no error from invisible pixels.

    Args:
        quantizer: a quantizer, see :func:`colorcnn.methods.load_quantizer`.
        pixels: (H, W, 3) uint8.
        visible: (H, W) bool.
        num_colors: maximum number of colours of the visible pixels.
        device: device of the quantizer.

    Returns:
        Paletted of one image on the CPU; the indices of invisible pixels are arbitrary.

    Raises:
        UsageError: the quantizer cannot give this number of colours.
    """
    import torch

    from colorcnn.paletted import Paletted, from_bytes

    if visible.any() and is_network(quantizer):
        return _learned(quantizer, pixels, visible, num_colors, device)
    found = index_visible(quantizer, pixels, visible, num_colors, device)
    palette = torch.zeros(1, num_colors, 3)
    palette[0, : len(found.palette)] = from_bytes(torch.from_numpy(found.palette))
    return Paletted(torch.from_numpy(found.indices)[None], palette)


def index_visible(
    quantizer: Any,
    pixels: np.ndarray,
    visible: np.ndarray,
    num_colors: int,
    device: torch.device | str = "cpu",
) -> Indexed:
    """Quantize one image like :func:`quantize_visible`, to NumPy arrays; classical methods need no torch.

    Args:
        quantizer: a quantizer, see :func:`colorcnn.methods.load_quantizer`.
        pixels: (H, W, 3) uint8.
        visible: (H, W) bool.
        num_colors: maximum number of colours of the visible pixels.
        device: device of a learned quantizer.

    Returns:
        uint8 indices (arbitrary for invisible pixels), and at most ``num_colors`` colours.

    Raises:
        UsageError: the quantizer cannot give this number of colours.
    """
    if not visible.any():
        return _whole(visible, np.zeros(0, np.uint8), np.zeros((0, 3), np.uint8))
    if isinstance(quantizer, Dithered):
        plain = index_visible(quantizer.quantizer, pixels, visible, num_colors, device)
        return dither_visible(quantizer, pixels, visible, plain.compact(transparent=~visible).palette)
    if isinstance(quantizer, Keeping):
        plain = index_visible(quantizer.quantizer, pixels, visible, quantizer.room(num_colors), device)
        rows = plain.compact(transparent=~visible).palette
        return _whole(visible, *quantizer.assign(pixels[visible], rows))
    if is_network(quantizer):
        return _learned(quantizer, pixels, visible, num_colors, device).indexed()
    seen = pixels if visible.all() else pixels[visible][None]
    if isinstance(quantizer, Quantizer):
        indices, rows = quantizer.quantize_pixels(seen, check_num_colors(num_colors))
    else:
        indices, rows = _run(quantizer, seen, num_colors, device).compact()
    return _whole(visible, indices.reshape(-1), rows)


def dither_visible(
    quantizer: Dithered, pixels: np.ndarray, visible: np.ndarray, palette: np.ndarray
) -> Indexed:
    """Dither the visible pixels of an image with a palette that is known.

    Args:
        quantizer: gives the way to dither.
        pixels: (H, W, 3) uint8.
        visible: (H, W) bool, True somewhere.
        palette: (n, 3) uint8, n >= 1.
    """
    filled = np.where(visible[..., None], pixels, palette[0])  # a palette colour has no error to distribute
    return _whole(visible, *drop_unused(quantizer.assign(filled, palette)[visible], palette))


def _learned(
    quantizer: Any, pixels: np.ndarray, visible: np.ndarray, num_colors: int, device: torch.device | str
) -> Paletted:
    """Quantize with a network, which gets the whole image."""
    import torch

    from colorcnn.models.assignment import hard_palette
    from colorcnn.paletted import Paletted, from_bytes

    if visible.all():
        return _run(quantizer, pixels, num_colors, device)
    mean = np.floor(pixels[visible].mean(axis=0) + 0.5).astype(np.uint8)
    filled = np.where(visible[..., None], pixels, mean)
    result = _run(quantizer, filled, num_colors, device)
    seen = from_bytes(torch.from_numpy(pixels[visible]).T[None, :, None])
    palette = hard_palette(seen, result.indices[:, torch.from_numpy(visible)][:, None], num_colors)
    return Paletted(result.indices, palette)


def _run(quantizer: Any, pixels: np.ndarray, num_colors: int, device: torch.device | str) -> Paletted:
    import torch

    images = torch.from_numpy(pixels)[None]
    return quantizer(images.to(device), num_colors, channels_last=True).to("cpu")


def _whole(visible: np.ndarray, indices: np.ndarray, rows: np.ndarray) -> Indexed:
    """Return an image with the (N,) indices of the visible pixels."""
    whole = np.zeros(visible.shape, dtype=np.uint8)
    whole[visible] = indices
    return Indexed(whole, rows)
