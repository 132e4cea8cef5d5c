"""Images as users have them, in files, Pillow images, arrays and tensors, as one batch of RGB."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.images import flatten, normalize, read_image


def as_batch(image: Any, channels_last: bool | None = None, background: str = "white") -> tuple[Tensor, bool]:
    """Turn whatever holds one image or several into a batch.

    Args:
        image: a path, a Pillow image, or a NumPy array or torch tensor: uint8, or floats in [0, 1], as
            (H, W) grey, (H, W, 3), (3, H, W), (B, H, W, 3) or (B, 3, H, W).
        channels_last: whether the colours are an array's last dimension; None where its shape tells.
        background: what transparent parts of a file or Pillow image are laid over.

    Returns:
        uint8 or float32 images (B, 3, H, W) or (B, H, W, 3), and whether the colours are the last dimension.

    Raises:
        UsageError: this is no image, or its shape leaves it open where the colours are.
        ColorCNNError: a file is missing or damaged.
    """
    if isinstance(image, str | os.PathLike):
        image = read_image(image)
    if isinstance(image, Image.Image):
        image, channels_last = np.array(flatten(_intact(image), background)), True
    image = _as_tensor(image)
    shape = tuple(image.shape)
    if 0 in shape:
        raise UsageError(f"The image is {shape}: give at least one pixel.")
    if image.ndim == 2:
        return image.expand(1, 3, *shape), False
    if image.ndim == 3:
        image = image[None]
    if image.ndim != 4:
        raise UsageError(
            f"The image is {shape}: give (H, W), (H, W, 3), (3, H, W) or a batch of the last two."
        )
    fits = {False: image.shape[1] == 3, True: image.shape[3] == 3}
    if channels_last is None and all(fits.values()):
        raise UsageError(f"The image is {shape}, colours first or last: say channels_last=True or False.")
    last = fits[True] if channels_last is None else channels_last
    if not fits[last]:
        raise UsageError(
            f"The image is {shape}, and no dimension for colours holds 3: give RGB, without alpha."
        )
    return image, last


def _as_tensor(image: Any) -> Tensor:
    """An array of any strides and byte order as uint8, or as float32 in [0, 1]."""
    if isinstance(image, np.ndarray):
        native = image.dtype.newbyteorder("=")
        try:
            image = torch.from_numpy(np.require(image, native, requirements=["C", "W"]))
        except (TypeError, ValueError) as error:
            raise UsageError(f"The image is {image.dtype}: give uint8, or floats in [0, 1].") from error
    if not isinstance(image, Tensor):
        raise UsageError(
            f"A {type(image).__name__} is no image: give a path, a Pillow image, a NumPy array or a tensor."
        )
    if image.dtype != torch.uint8 and not image.is_floating_point():
        raise UsageError(f"The image is {image.dtype}: give uint8, or floats in [0, 1].")
    if image.is_floating_point():
        image = image.float()
        if image.numel() and not (image.min() >= 0 and image.max() <= 1):
            raise UsageError("The image's floats do not all lie in [0, 1]: divide them, or give uint8.")
    return image


def _intact(picture: Image.Image) -> Image.Image:
    """A Pillow image of the user's, normalised; opening it has not decoded it yet."""
    try:
        return normalize(picture)
    except (OSError, SyntaxError) as error:  # what Pillow's decoders say of a damaged file
        raise ColorCNNError(f"The image is corrupt ({error}): replace it by an intact copy.") from error
