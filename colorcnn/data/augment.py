"""Augmentation of quantized batches: on the batch's device, differentiable, drawn for every image on its own.

It comes after the quantizer, as in ColorCNN+, so that the quantizer sees whole images and the gradient flows
back through the augmentation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from colorcnn.errors import UsageError, unknown_name

Fill = float | Sequence[float] | Tensor


def random_flip(
    images: Tensor, *others: Tensor, p: float = 0.5, generator: torch.Generator | None = None
) -> tuple[Tensor, ...]:
    """Mirror images left to right, and what belongs to them (such as imitation targets) with them.

    Args:
        images: (B, ..., W).
        others: tensors (B, ..., W) that are flipped where their image is.
        p: probability of a flip.
        generator: draws the flips; default the global one.

    Returns:
        the images and the others.
    """
    flips = _uniform(images, generator, len(images)) < p

    def flip(values: Tensor) -> Tensor:
        return torch.where(flips.view(-1, *[1] * (values.ndim - 1)), values.flip(-1), values)

    return tuple(flip(values) for values in (images, *others))


def random_crop(
    images: Tensor, padding: int = 4, fill: Fill = 0.0, generator: torch.Generator | None = None
) -> Tensor:
    """Shift images by up to ``padding`` pixels each way: a random crop of the padded image.

    Args:
        images: (B, 3, H, W).
        padding: pixels added at every side.
        fill: colour of the padding, one number or one per channel.
        generator: draws the shifts; default the global one.
    """
    batch, channels, height, width = images.shape
    if padding == 0:
        return images
    size = (batch, channels, height + 2 * padding, width + 2 * padding)
    canvas = _fill_like(images, fill).expand(size).clone()
    canvas[:, :, padding : padding + height, padding : padding + width] = images
    shifts = (_uniform(images, generator, 2, batch) * (2 * padding + 1)).long()
    rows = shifts[0][:, None] + torch.arange(height, device=images.device)
    columns = shifts[1][:, None] + torch.arange(width, device=images.device)
    image = torch.arange(batch, device=images.device)[:, None, None]
    return canvas.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def random_rotation(
    images: Tensor, degrees: float = 15.0, fill: Fill = 0.0, generator: torch.Generator | None = None
) -> Tensor:
    """Rotate images about their centre by angles uniform in [-degrees, degrees], bilinear, size kept.

    Args:
        images: (B, 3, H, W).
        degrees: largest angle.
        fill: colour of the corners that come into view, one number or one per channel.
        generator: draws the angles; default the global one.
    """
    batch, _, height, width = images.shape
    if degrees == 0:
        return images
    angles = (_uniform(images, generator, batch) * 2 - 1) * math.radians(degrees)
    cos, sin, zero = angles.cos(), angles.sin(), torch.zeros_like(angles)
    # affine_grid counts in half widths and half heights, so that a rotation of pixels is no rotation there.
    ratio = height / width
    first = torch.stack([cos, -sin * ratio, zero], dim=1)
    second = torch.stack([sin / ratio, cos, zero], dim=1)
    grid = F.affine_grid(torch.stack([first, second], dim=1), list(images.shape), align_corners=False)
    color = _fill_like(images, fill)
    return F.grid_sample(images - color, grid, padding_mode="zeros", align_corners=False) + color


def random_erasing(
    images: Tensor,
    p: float = 0.5,
    scale: tuple[float, float] = (0.02, 0.33),
    fill: Fill = 0.0,
    ratio: tuple[float, float] = (0.3, 3.3),
    generator: torch.Generator | None = None,
) -> Tensor:
    """Cover a random rectangle of an image (Z. Zhong et al., Random Erasing Data Augmentation, AAAI 2020).

    Args:
        images: (B, 3, H, W).
        p: probability that an image loses a rectangle.
        scale: smallest and largest part of the image's area it covers.
        fill: its colour, one number or one per channel.
        ratio: smallest and largest height by width; a side longer than the image is cut to it.
        generator: draws everything; default the global one.
    """
    batch, _, height, width = images.shape
    draws = _uniform(images, generator, 5, batch)
    area = (scale[0] + (scale[1] - scale[0]) * draws[1]) * height * width
    low, high = math.log(ratio[0]), math.log(ratio[1])
    aspect = (low + (high - low) * draws[2]).exp()
    tall = (area * aspect).sqrt().round().clamp(1, height)
    wide = (area / aspect).sqrt().round().clamp(1, width)
    top = (draws[3] * (height - tall + 1)).floor()
    left = (draws[4] * (width - wide + 1)).floor()
    hidden = _inside(top, tall, height)[:, :, None] & _inside(left, wide, width)[:, None, :]
    hidden = hidden & (draws[0] < p)[:, None, None]
    return torch.where(hidden[:, None], _fill_like(images, fill), images)


class Augment(nn.Module):
    """The augmentations of quantized images, in the order flip, crop, rotation, erasing; idle in eval mode.

    Args:
        flip: mirror half of the images.
        crop: pixels of padding for :func:`random_crop`, 0 for none.
        rotation: largest angle in degrees, 0 for none.
        erasing: probability that a rectangle is erased, 0 for none.
        fill: colour of what crop, rotation and erasing uncover, one number or one per channel; the
            classifier's mean makes it neutral.
        unknown: refused; options come from configuration files, in which names are easily mistyped.

    Raises:
        UsageError: an option is unknown or out of range.
    """

    fill: Tensor

    def __init__(
        self,
        flip: bool = False,
        crop: int = 0,
        rotation: float = 0.0,
        erasing: float = 0.0,
        fill: float | Sequence[float] = 0.0,
        **unknown: Any,
    ) -> None:
        super().__init__()
        if unknown:
            raise unknown_name("augmentation", next(iter(unknown)), ("flip", "crop", "rotation", "erasing"))
        numbers = isinstance(crop, int) and all(
            isinstance(value, int | float) for value in (rotation, erasing)
        )
        if not numbers or crop < 0 or rotation < 0 or not 0 <= erasing <= 1:
            raise UsageError(
                f"crop {crop!r}, rotation {rotation!r} and erasing {erasing!r} do not make an augmentation: "
                "choose a whole number of pixels and an angle from 0 up, and erasing from 0 to 1."
            )
        self.flip = flip
        self.crop = crop
        self.rotation = rotation
        self.erasing = erasing
        self.register_buffer("fill", torch.as_tensor(fill, dtype=torch.float32), persistent=False)

    def forward(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Augment a batch (B, 3, H, W) of images in [0, 1]; in eval mode it comes back as it is."""
        if not self.training:
            return images
        if self.flip:
            (images,) = random_flip(images, generator=generator)
        if self.crop:
            images = random_crop(images, self.crop, self.fill, generator)
        if self.rotation:
            images = random_rotation(images, self.rotation, self.fill, generator)
        if self.erasing:
            images = random_erasing(images, self.erasing, fill=self.fill, generator=generator)
        return images

    def extra_repr(self) -> str:
        """The options, for the module's printed form."""
        return f"flip={self.flip}, crop={self.crop}, rotation={self.rotation}, erasing={self.erasing}"


def _uniform(images: Tensor, generator: torch.Generator | None, *shape: int) -> Tensor:
    """Numbers in [0, 1) on the device of ``images``, from a generator that may live elsewhere."""
    device = images.device if generator is None else generator.device
    dtype = images.dtype if images.is_floating_point() else torch.float32
    return torch.rand(shape, generator=generator, device=device, dtype=dtype).to(images.device)


def _fill_like(images: Tensor, fill: Fill) -> Tensor:
    return torch.as_tensor(fill, device=images.device).to(images.dtype).reshape(1, -1, 1, 1)


def _inside(start: Tensor, length: Tensor, size: int) -> Tensor:
    """(B, size): whether each place lies in its image's interval."""
    place = torch.arange(size, device=start.device)
    return (place >= start[:, None]) & (place < (start + length)[:, None])
