"""Differentiable augmentation of batches on their device, with separate random numbers for every image.

ColorCNN+ augments after the quantizer: the quantizer gets whole images, and gradients pass through the
augmentation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from colorcnn.data.datasets import sent
from colorcnn.errors import UsageError, unknown_name
from colorcnn.recognition import IGNORED

Fill = float | Sequence[float] | Tensor
EIGHTH = "eighth"
_OPTIONS = ("flip", "crop", "resized_crop", "rotation", "erasing")


def random_flip(
    images: Tensor, *others: Tensor, p: float = 0.5, generator: torch.Generator | None = None
) -> tuple[Tensor, ...]:
    """Mirror images left to right, together with their maps, such as imitation targets.

    Args:
        images: (B, ..., W).
        others: tensors (B, ..., W), flipped together with their image.
        p: probability of a flip.
        generator: random generator; None uses the global one.

    Returns:
        The images and the others.
    """
    flips = _uniform(images, generator, len(images)) < p

    def flip(values: Tensor) -> Tensor:
        return torch.where(flips.view(-1, *[1] * (values.ndim - 1)), values.flip(-1), values)

    return tuple(flip(values) for values in (images, *others))


def crop_padding(padding: int | str, height: int, width: int) -> int:
    """Return the padding of a random crop in pixels.

    Args:
        padding: a number of pixels, or ``eighth``: one eighth of the shorter side, as in the paper's
            experiments (4 at 32 pixels, 8 at 64, 28 at 224).
        height: H of the images.
        width: W of the images.
    """
    return min(height, width) // 8 if padding == EIGHTH else int(padding)


def random_crop(
    images: Tensor, padding: int | str = EIGHTH, fill: Fill = 0.0, generator: torch.Generator | None = None
) -> Tensor:
    """Shift images by up to ``padding`` pixels in each direction: a random crop of the padded image.

    Args:
        images: (B, 3, H, W).
        padding: pixels added at every side, or ``eighth``; see :func:`crop_padding`.
        fill: colour of the padding, one number or one per channel.
        generator: random generator; None uses the global one.
    """
    batch, channels, height, width = images.shape
    padding = crop_padding(padding, height, width)
    if padding == 0:
        return images
    shifts = (_uniform(images, generator, 2, batch) * (2 * padding + 1)).long() - padding
    rows = shifts[0][:, None] + torch.arange(height, device=images.device)
    columns = shifts[1][:, None] + torch.arange(width, device=images.device)
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    source = rows.clamp(0, height - 1)[:, :, None] * width + columns.clamp(0, width - 1)[:, None, :]
    # gather instead of indexing with three tensors, whose backward pass sorts all positions on a GPU.
    source = source.flatten(1)[:, None].expand(-1, channels, -1)
    moved = images.flatten(2).gather(2, source).unflatten(2, (height, width))
    return torch.where(inside[:, None], moved, _fill_like(images, fill))


def random_resized_crop(
    images: Tensor,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    generator: torch.Generator | None = None,
) -> Tensor:
    """Enlarge a random part of every image to the whole size (C. Szegedy et al., 2015), bilinear.

    Args:
        images: (B, 3, H, W).
        scale: smallest and largest share of the image's area that is kept.
        ratio: smallest and largest aspect ratio of the crop, relative to the image's own. A side longer than
            the image is cut.
        generator: random generator; None uses the global one.

    Returns:
        (B, 3, H, W).
    """
    draws = _uniform(images, generator, 4, len(images))
    area = scale[0] + (scale[1] - scale[0]) * draws[0]
    low, high = math.log(ratio[0]), math.log(ratio[1])
    aspect = (low + (high - low) * draws[1]).exp()
    wide, tall = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    # The coordinates of affine_grid are in [-1, 1]. The centre is chosen so that the crop is inside the
    # image.
    left, top = (2 * draws[2] - 1) * (1 - wide), (2 * draws[3] - 1) * (1 - tall)
    zero = torch.zeros_like(wide)
    first, second = torch.stack([wide, zero, left], dim=1), torch.stack([zero, tall, top], dim=1)
    grid = F.affine_grid(torch.stack([first, second], dim=1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def random_rotation(
    images: Tensor, degrees: float = 15.0, fill: Fill = 0.0, generator: torch.Generator | None = None
) -> Tensor:
    """Rotate images about their centre by angles uniform in [-degrees, degrees], bilinear, of equal size.

    Args:
        images: (B, 3, H, W).
        degrees: largest angle.
        fill: colour of the uncovered corners, one number or one per channel.
        generator: random generator; None uses the global one.
    """
    batch, _, height, width = images.shape
    if degrees == 0:
        return images
    angles = (_uniform(images, generator, batch) * 2 - 1) * math.radians(degrees)
    cos, sin, zero = angles.cos(), angles.sin(), torch.zeros_like(angles)
    # affine_grid's units are half widths and half heights, so the rotation matrix needs the aspect ratio.
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
        p: probability of a rectangle.
        scale: smallest and largest share of the image's area that it covers.
        fill: colour of the rectangle, one number or one per channel.
        ratio: smallest and largest height / width; a side longer than the image is cut.
        generator: random generator; None uses the global one.
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
    """Augment batches by flip, crop, resized crop, rotation and erasing, in this order; nothing in eval mode.

    Args:
        flip: True to mirror half of the images.
        crop: padding for :func:`random_crop` in pixels, ``eighth`` for one eighth of the side, 0 for none.
        rotation: largest angle in degrees, 0 for none.
        erasing: probability of an erased rectangle, 0 for none.
        fill: colour of uncovered and erased pixels, one number or one per channel; the classifier's mean is
            neutral.
        resized_crop: smallest share of the area that :func:`random_resized_crop` keeps, 0 for none.
        unknown: options of other names, which are refused, because names in a YAML file may be misspelled.

    Raises:
        UsageError: an option is unknown or out of range.
    """

    fill: Tensor

    def __init__(
        self,
        flip: bool = False,
        crop: int | str = 0,
        rotation: float = 0.0,
        erasing: float = 0.0,
        fill: float | Sequence[float] = 0.0,
        resized_crop: float = 0.0,
        **unknown: Any,
    ) -> None:
        super().__init__()
        if unknown:
            raise unknown_name("augmentation", next(iter(unknown)), _OPTIONS)
        if not (crop == EIGHTH or (isinstance(crop, int) and crop >= 0)):
            raise UsageError(f"crop is {crop!r}: choose a whole number of pixels, 0 or more, or {EIGHTH!r}.")
        for name, value, high in (
            ("resized_crop", resized_crop, 1),
            ("rotation", rotation, 180),
            ("erasing", erasing, 1),
        ):
            if not isinstance(value, int | float) or not 0 <= value <= high:
                raise UsageError(f"{name} is {value!r}: choose a number from 0 to {high}.")
        self.flip = flip
        self.crop = crop
        self.resized_crop = resized_crop
        self.rotation = rotation
        self.erasing = erasing
        self.register_buffer("fill", torch.as_tensor(fill, dtype=torch.float32), persistent=False)

    def forward(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Augment a batch; in eval mode return it unchanged.

        Args:
            images: (B, 3, H, W) in [0, 1].
            generator: random generator; None uses the global one.
        """
        if not self.training:
            return images
        if self.flip:
            (images,) = random_flip(images, generator=generator)
        if self.crop:
            images = random_crop(images, self.crop, self.fill, generator)
        if self.resized_crop:
            images = random_resized_crop(images, (self.resized_crop, 1.0), generator=generator)
        if self.rotation:
            images = random_rotation(images, self.rotation, self.fill, generator)
        if self.erasing:
            images = random_erasing(images, self.erasing, fill=self.fill, generator=generator)
        return images

    def alike(self, labels: Tensor, *batches: Tensor) -> tuple[Tensor, ...]:
        """Augment several batches, and masks, with the same random numbers.

        Args:
            labels: (B,), (B, classes), or masks (B, H, W). Masks are flipped and cropped like the images;
                uncovered pixels are ignored. Other labels are returned unchanged.
            *batches: images (B, 3, H, W) in [0, 1]; image i of each batch gets the same augmentation.

        Returns:
            The labels and the batches.

        Raises:
            UsageError: the labels are masks, and a rotation, an erasing or a resized crop is used.
        """
        masks = labels.ndim == 3 and self.training
        if len(batches) == 1 and not masks:
            return labels, self(batches[0])
        wrong = next((name for name in ("resized_crop", "rotation", "erasing") if getattr(self, name)), None)
        if masks and wrong:
            raise UsageError(f"{wrong} does not support masks: set it to 0; flip and crop are possible.")
        seed = int(torch.randint(2**31, ()))
        moved = (self(batch, torch.Generator().manual_seed(seed)) for batch in batches)
        if masks:
            labels = self._move_masks(labels.unsqueeze(1), torch.Generator().manual_seed(seed)).squeeze(1)
        return labels, *moved

    def _move_masks(self, masks: Tensor, generator: torch.Generator) -> Tensor:
        if self.flip:
            (masks,) = random_flip(masks, generator=generator)
        return random_crop(masks, self.crop, IGNORED, generator) if self.crop else masks

    def extra_repr(self) -> str:
        """Return the options, for the module's printed form."""
        return ", ".join(f"{name}={getattr(self, name)}" for name in _OPTIONS)


def _uniform(images: Tensor, generator: torch.Generator | None, *shape: int) -> Tensor:
    """Draw numbers in [0, 1) on the generator's device, and move them to the device of ``images``."""
    device = images.device if generator is None else generator.device
    dtype = images.dtype if images.is_floating_point() else torch.float32
    return sent(torch.rand(shape, generator=generator, device=device, dtype=dtype), images.device)


def _fill_like(images: Tensor, fill: Fill) -> Tensor:
    return torch.as_tensor(fill, device=images.device).to(images.dtype).reshape(1, -1, 1, 1)


def _inside(start: Tensor, length: Tensor, size: int) -> Tensor:
    """Return (B, size), True for the positions in each image's interval."""
    position = torch.arange(size, device=start.device)
    return (position >= start[:, None]) & (position < (start + length)[:, None])
