"""Quantizing only what can be seen of a picture: transparent pixels take no part in choosing its colours."""

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
    """Quantize one picture as :func:`quantize_visible` does, in NumPy; classical methods need no torch.

    Args:
        quantizer: as :func:`colorcnn.methods.load_quantizer` returns it.
        pixels: (H, W, 3) uint8.
        visible: (H, W) bool.
        num_colors: the most colours the visible pixels may keep.
        device: where a learned quantizer wants its images.

    Returns:
        uint8 indices, which mean nothing where nothing can be seen, and at most ``num_colors`` colours.

    Raises:
        UsageError: the quantizer cannot give so many colours.
    """
    if not visible.any():
        return _whole(visible, np.zeros(0, np.uint8), np.zeros((0, 3), np.uint8))
    if isinstance(quantizer, Dithered):
        plain = index_visible(quantizer.quantizer, pixels, visible, num_colors, device)
        rows = plain.compact(transparent=~visible).palette
        filled = np.where(visible[..., None], pixels, rows[0])  # a colour of the palette leaves no error
        return _whole(visible, *drop_unused(quantizer.assign(filled, rows)[visible], rows))
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


def _learned(
    quantizer: Any, pixels: np.ndarray, visible: np.ndarray, num_colors: int, device: torch.device | str
) -> Paletted:
    """Quantize by a network, which looks at the whole picture."""
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
    """Put the (N,) indices of the visible pixels into a picture."""
    whole = np.zeros(visible.shape, dtype=np.uint8)
    whole[visible] = indices
    return Indexed(whole, rows)
