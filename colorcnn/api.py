"""The function :func:`quantize`, which calls any method."""

from __future__ import annotations

from typing import Any

import torch

from colorcnn.arrays import as_batch
from colorcnn.errors import UsageError
from colorcnn.images import LEARNED_PIXELS
from colorcnn.methods import DEFAULT_METHOD, load_quantizer, needs_torch, parse_method, takes_large_images
from colorcnn.paletted import Paletted
from colorcnn.pretrained import find_device


def quantize(
    image: Any,
    num_colors: int | None = None,
    method: str = DEFAULT_METHOD,
    *,
    dither: str | bool | None = None,
    palette: Any = None,
    keep: Any = (),
    channels_last: bool | None = None,
    background: Any = "white",
    max_pixels: int | None = None,
    device: str | torch.device = "cpu",
    seed: int = 0,
    **options: Any,
) -> Paletted:
    """Quantize one image or a batch.

    Args:
        image: a path, the bytes of an image file, an open file, a Pillow image, or a NumPy array or torch
            tensor: uint8, or floats in [0, 1], as (H, W), (H, W, C), (C, H, W) or a batch of the last two,
            where C is 1 (grey), 3 or 4 (with alpha). A list holds several images of one size.
        num_colors: maximum number of colours per image, 1..256; optional with ``palette``.
        method: ``NAME[:CHECKPOINT][+DITHER]``, see :func:`load_quantizer`, which is faster for many images.
        dither: True for Floyd-Steinberg, or a name in :data:`colorcnn.quantizers.DITHERS`.
        palette: a palette file, or colours, that replace those of a method.
        keep: colours of every palette: ``"red"``, ``"#ff0000"``, three bytes, or floats in [0, 1].
        channels_last: True if the colours are an array's last dimension; needed only for ambiguous shapes.
        background: colour behind transparent pixels.
        max_pixels: maximum number of pixels per image. By default
            :data:`colorcnn.images.LEARNED_PIXELS` for an ONNX file, else no limit.
        device: device of a learned model.
        seed: seed of methods with random numbers.
        options: options of the method: ``quality="best"``, ``space="oklab"``, ``serpentine=True``.

    Returns:
        Paletted with one entry per image, on the device of ``image`` if it is a tensor, else on the CPU.

    Raises:
        UsageError: the image, the number of colours, the method or an option is invalid.
        ColorCNNError: a file is missing or damaged, or an image has too many pixels.
    """
    quantizer: Any = load_quantizer(
        method, device, seed, dither=dither, palette=palette, keep=keep, **options
    )
    parsed = parse_method(method)
    classical = palette is not None or not needs_torch(parsed)
    if max_pixels is None and palette is None and not takes_large_images(parsed):
        max_pixels = LEARNED_PIXELS
    images, channels_last = as_batch(image, channels_last, background, max_pixels)
    if num_colors is None:
        if palette is None:
            raise UsageError("num_colors is missing: give the maximum number of colours, 1 to 256.")
        num_colors = len(getattr(quantizer, "quantizer", quantizer).palette)
    # Classical methods compute on the CPU and return the result on the device of the images.
    where = images.device if classical else find_device(device)
    result: Paletted = quantizer(images.to(where), num_colors, channels_last=channels_last)
    return result.to(images.device)
