"""Class activation maps of original and quantized images (the paper's Fig 1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from colorcnn.evaluation.gallery import MakeRow, PictureSource, Shown
from colorcnn.evaluation.saliency import activation_maps
from colorcnn.paletted import from_bytes, to_bytes
from colorcnn.reporting.figures.gallery import CELL, enlarge

CAPTION = (
    "Class activation maps over evenly spaced images of the split. Red: strong evidence for the true class; "
    "blue: weak. Below each image: the confidence in the true class. A red frame with a cross: the "
    "prediction is wrong."
)
_HEAT = 0.5  # opacity of the map


def overlay(pixels: Tensor, maps: Tensor, side: int) -> Tensor:
    """Lay maps over images, as colours from blue over green to red.

    Args:
        pixels: (B, 3, H, W) uint8.
        maps: (B, h, w) in [0, 1].
        side: approximate side of the result. Pixels are repeated, maps are interpolated.

    Returns:
        (B, 3, S, T) uint8.
    """
    from matplotlib import colormaps

    large = [enlarge(image.permute(1, 2, 0).cpu().numpy(), side) for image in pixels]
    shown = from_bytes(torch.stack([torch.from_numpy(image) for image in large]))
    fine = F.interpolate(maps[:, None].cpu(), shown.shape[1:3], mode="bilinear", align_corners=False)
    heat = torch.from_numpy(colormaps["turbo"](fine[:, 0].numpy())[..., :3]).float()
    return to_bytes((1 - _HEAT) * shown + _HEAT * heat).permute(0, 3, 1, 2)


def map_rows(source: PictureSource, count: int) -> MakeRow:
    """Return a function that makes rows with activation maps of the true classes over the images.

    Args:
        source: methods, classifier and images.
        count: number of evenly spaced images.
    """
    labels = source.evenly_spaced(count).labels.to(source.device)

    def make_row(pixels: Tensor, logits: Tensor) -> Shown:
        maps, confidence = activation_maps(source.classifier, from_bytes(pixels.to(source.device)), labels)
        return Shown(overlay(pixels, maps, CELL), logits.argmax(dim=1), confidence.cpu())

    return make_row
