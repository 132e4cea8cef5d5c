"""One call for every method: :func:`quantize`."""

from __future__ import annotations

from typing import Any

import torch

from colorcnn.arrays import as_batch
from colorcnn.methods import load_quantizer, parse_method
from colorcnn.paletted import Paletted
from colorcnn.pretrained import find_device
from colorcnn.quantizers import QUANTIZERS


def quantize(
    image: Any,
    num_colors: int,
    method: str = "colorcnn-plus",
    *,
    channels_last: bool | None = None,
    background: str = "white",
    device: str | torch.device = "cpu",
    seed: int = 0,
    **options: Any,
) -> Paletted:
    """Quantize one image or a batch.

    Args:
        image: a path, a Pillow image, or a NumPy array or torch tensor: uint8, or floats in [0, 1], as
            (H, W) grey, (H, W, 3), (3, H, W), (B, H, W, 3) or (B, 3, H, W).
        num_colors: the most colours an image may keep, 1..256.
        method: as :func:`load_quantizer` takes it; load a quantizer once to quantize many images.
        channels_last: whether the colours are an array's last dimension; needed only where its shape leaves
            it open.
        background: what transparent parts of a file or Pillow image are laid over.
        device: where a learned model computes.
        seed: for the methods that draw random numbers.
        options: of the method, as :func:`load_quantizer` takes them: ``quality="best"``, ``space="oklab"``,
            ``keep=[(0, 0, 0)]``, ``serpentine=True``.

    Returns:
        Paletted with one entry per image, on the device of a given tensor, else on the CPU.

    Raises:
        UsageError: the image, the number of colours or the method cannot be meant.
        ColorCNNError: a file is missing or damaged.
    """
    images, channels_last = as_batch(image, channels_last, background)
    quantizer = load_quantizer(method, device, seed, **options)
    # Classical methods work on the CPU whatever the device, and hand the result back to where images are.
    place = images.device if parse_method(method).name in QUANTIZERS else find_device(device)
    result = quantizer(images.to(place), num_colors, channels_last=channels_last)
    return result.to(images.device)
