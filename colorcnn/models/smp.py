"""Networks of segmentation-models-pytorch, for images of any height and width."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from colorcnn.errors import UsageError, quoted, shortened

MULTIPLE = 32
"""Heights and widths of the library's networks must be multiples of this."""


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Repeat the border at the right and bottom until height and width are multiples of ``multiple``.

    Args:
        images: (B, C, H, W).
        multiple: 1 or more.
    """
    height, width = images.shape[2:]
    return F.pad(images, (0, -width % multiple, 0, -height % multiple), mode="replicate")


def create_smp_model(architecture: str, encoder_name: str, **kwargs: Any) -> Any:
    """Build a network of segmentation-models-pytorch with random weights.

    Args:
        architecture: the library's name, such as ``Unet`` or ``DeepLabV3``.
        encoder_name: the encoder, such as ``resnet18`` or ``tu-resnet18``.
        **kwargs: options for the library, such as ``classes=11`` or ``encoder_depth=3``.

    Raises:
        UsageError: the library does not know a name, or refuses an option.
    """
    import segmentation_models_pytorch as smp  # imported here, because it is slow and few networks need it

    try:
        return smp.create_model(architecture, encoder_name, encoder_weights=None, **kwargs)
    except (KeyError, ValueError, TypeError) as error:
        raise UsageError(
            f"segmentation-models-pytorch cannot build {quoted(architecture)} on {quoted(encoder_name)} "
            f"({shortened(str(error))}): correct its names and options."
        ) from error


class Segmenter(nn.Module):
    """A segmentation network whose logits have the size of the images."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images (B, 3, H, W) to logits (B, classes, H, W)."""
        height, width = images.shape[2:]
        return self.network(pad_to_multiple(images, MULTIPLE))[..., :height, :width]
