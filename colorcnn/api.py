"""One call for every method: :func:`quantize`."""

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
        image: a path, the bytes of an image file or an open one, a Pillow image, or a NumPy array or torch
            tensor: uint8, or floats in [0, 1], as (H, W), (H, W, C), (C, H, W) or a batch of the last two,
            where C is 1 (grey), 3 or 4 (with alpha). A list holds one image of the same size in each element.
        num_colors: the most colours an image may keep, 1..256; may be left out with ``palette``.
        method: as :func:`load_quantizer` takes it; load a quantizer once to quantize many images.
        dither: spread the rounding error: True (Floyd-Steinberg), or a name in
            :data:`colorcnn.quantizers.DITHERS`.
        palette: a palette file, or colours, in the place of those of a method.
        keep: colours that every palette has: ``"red"``, ``"#ff0000"``, three bytes, or floats in [0, 1].
        channels_last: whether the colours are an array's last dimension; needed only where its shape leaves
            it open.
        background: the colour that transparent parts are laid over.
        max_pixels: refuse images of more pixels. By default ``colorcnn`` and ``colorcnn-plus`` take
            :data:`colorcnn.images.LEARNED_PIXELS`, and others take any image.
        device: where a learned model computes.
        seed: for the methods that draw random numbers.
        options: of the method, as :func:`load_quantizer` takes them: ``quality="best"``, ``space="oklab"``,
            ``serpentine=True``.

    Returns:
        Paletted with one entry per image, on the device of a given tensor, else on the CPU.

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
            raise UsageError("num_colors is missing: give the most colours an image may keep, 1 to 256.")
        num_colors = len(getattr(quantizer, "quantizer", quantizer).palette)
    # Classical methods work on the CPU whatever the device, and hand the result back to where images are.
    place = images.device if classical else find_device(device)
    result: Paletted = quantizer(images.to(place), num_colors, channels_last=channels_last)
    return result.to(images.device)
