"""Conversion of a user's files, Pillow images, arrays and tensors to one batch of RGB images."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from colorcnn.colors import parse_color
from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.images import flatten, read_image
from colorcnn.paletted import from_bytes
from colorcnn.srgb import normalize


def as_batch(
    image: Any,
    channels_last: bool | None = None,
    background: Any = "white",
    max_pixels: int | None = None,
) -> tuple[Tensor, bool]:
    """Convert one or several images to a batch.

    Args:
        image: a path, the bytes of an image file, an open file, a Pillow image, or a NumPy array or torch
            tensor: uint8, or floats in [0, 1], as (H, W), (H, W, C), (C, H, W) or a batch of the last two,
            where C is 1 (grey), 3 or 4 (with alpha). A list holds several images of one size.
        channels_last: True if the colours are an array's last dimension; None if its shape shows it.
        background: colour behind transparent pixels.
        max_pixels: maximum number of pixels per image; None for no limit, or Pillow's limit for files.

    Returns:
        uint8 or float32 images (B, 3, H, W) or (B, H, W, 3), and True if the colours are the last dimension.

    Raises:
        UsageError: ``image`` is not an image, or its shape is ambiguous.
        ColorCNNError: a file is missing or damaged, or an image is too large.
    """
    if isinstance(image, list | tuple):
        return _joined([as_batch(one, channels_last, background, max_pixels) for one in image])
    if isinstance(image, str | bytes | bytearray | memoryview | os.PathLike) or hasattr(image, "read"):
        image = read_image(image, max_pixels=max_pixels)
    if isinstance(image, Image.Image):
        _check_size(image.height, image.width, max_pixels)
        image, channels_last = np.array(flatten(_intact(image), background)), True
    image = _as_tensor(image)
    shape = tuple(image.shape)
    if 0 in shape:
        raise UsageError(f"The image is {shape}: give at least one pixel.")
    if image.ndim == 2:
        image, channels_last = image[None], False
    if image.ndim == 3:
        image = image[None]
    if image.ndim != 4:
        raise UsageError(
            f"The image is {shape}: give (H, W), (H, W, 3), (3, H, W) or a batch of the last two."
        )
    last, channels = _find_colors(image, shape, channels_last)
    height, width = image.shape[1:3] if last else image.shape[2:]
    _check_size(height, width, max_pixels)
    if channels == 1:
        image = image.expand(*image.shape[:3], 3) if last else image.expand(-1, 3, -1, -1)
    elif channels == 4:
        image = _laid_over(image if last else image.permute(0, 2, 3, 1), background)
        last = True
    return image, last


def _find_colors(image: Tensor, shape: tuple[int, ...], channels_last: bool | None) -> tuple[bool, int]:
    """Return True if the colours are the last dimension of a batch, and the number of channels."""
    sizes = {False: image.shape[1], True: image.shape[3]}
    for channels in (3, 4, 1):
        fits = [last for last, size in sizes.items() if size == channels and channels_last in (None, last)]
        if len(fits) > 1:
            raise UsageError(f"The image is {shape}, which is ambiguous: set channels_last=True or False.")
        if fits:
            return fits[0], channels
    raise UsageError(f"The image is {shape} and has no dimension of 3 colours: give RGB, RGBA or grey.")


def _laid_over(images: Tensor, background: Any) -> Tensor:
    """Blend images (B, H, W, 4), whose last channel is alpha, with a background colour."""
    if images.dtype == torch.uint8:
        pictures = [Image.fromarray(pixels) for pixels in images.cpu().numpy()]
        pixels = np.stack([np.asarray(flatten(picture, background)) for picture in pictures])
        return torch.from_numpy(pixels).to(images.device)
    colors, alpha = images[..., :3], images[..., 3:]
    canvas = from_bytes(torch.tensor(parse_color(background), device=images.device))
    return colors * alpha + canvas * (1 - alpha)


def _joined(parts: list[tuple[Tensor, bool]]) -> tuple[Tensor, bool]:
    """Join batches of images of one size, colours last; mixed bytes and floats become floats."""
    if not parts:
        raise UsageError("The list of images is empty: give at least one image.")
    batches = [images if last else images.permute(0, 2, 3, 1) for images, last in parts]
    sizes = sorted({tuple(images.shape[1:3]) for images in batches})
    if len(sizes) > 1:
        named = " and ".join(f"{height} x {width}" for height, width in sizes[:2])
        raise UsageError(f"The images of the list are {named}: give images of equal size, or one by one.")
    if len({images.dtype for images in batches}) > 1:
        batches = [from_bytes(images) if images.dtype == torch.uint8 else images for images in batches]
    return torch.cat(batches), True


def _check_size(height: int, width: int, max_pixels: int | None) -> None:
    if max_pixels is not None and height * width > max_pixels:
        raise ColorCNNError(
            f"The image is {width} x {height}, more than {max_pixels} pixels",
            "scale it down, or allow more with max_pixels",
            code="too-many-pixels",
        )


def _as_tensor(image: Any) -> Tensor:
    """Convert an array of any strides and byte order to a tensor, uint8 or float32 in [0, 1]."""
    if isinstance(image, np.ndarray):
        native = image.dtype.newbyteorder("=")
        try:
            image = torch.from_numpy(np.require(image, native, requirements=["C", "W"]))
        except (TypeError, ValueError) as error:
            raise UsageError(f"The image is {image.dtype}: give uint8, or floats in [0, 1].") from error
    if not isinstance(image, Tensor):
        raise UsageError(
            f"A {type(image).__name__} is not an image: give a path, a Pillow image, an array or a tensor."
        )
    if image.dtype != torch.uint8 and not image.is_floating_point():
        raise UsageError(f"The image is {image.dtype}: give uint8, or floats in [0, 1].")
    if image.is_floating_point():
        image = image.float()
        if image.numel() and not (image.min() >= 0 and image.max() <= 1):
            raise UsageError("The image's floats are not all in [0, 1]: divide them, or give uint8.")
    return image


def _intact(picture: Image.Image) -> Image.Image:
    """Decode and normalise a user's Pillow image, which may be damaged."""
    try:
        return normalize(picture)
    except (OSError, SyntaxError) as error:  # errors of Pillow's decoders for damaged files
        raise ColorCNNError(f"The image is corrupt ({error}): use an intact copy.") from error
