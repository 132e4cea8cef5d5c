"""The same few images through several methods, and the answers of the classifier to each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from colorcnn.errors import UsageError
from colorcnn.evaluation.classifier_set import evaluating, modules_of, predict
from colorcnn.evaluation.passes import QuantizesMany
from colorcnn.paletted import from_bytes

if TYPE_CHECKING:
    from colorcnn.data.datasets import Batch, ImageSplit


@dataclass(frozen=True)
class Shown:
    """Pictures and predictions of one row.

    Attributes:
        pixels: (N, 3, H, W) uint8.
        predictions: (N,) int64 class numbers.
        confidence: (N,) probabilities of the true classes, to be told instead of the predictions' names.
    """

    pixels: Tensor
    predictions: Tensor
    confidence: Tensor | None = None


@dataclass(frozen=True)
class Gallery:
    """What :func:`colorcnn.reporting.figures.gallery.image_grid` draws.

    Attributes:
        labels: (N,) int64 true class numbers.
        original: the images in full colour.
        rows: number of colours -> method -> its pictures; methods that cannot give a number are left out.
    """

    labels: Tensor
    original: Shown
    rows: Mapping[int, Mapping[str, Shown]]


def make_gallery(
    methods: Mapping[str, QuantizesMany],
    classifier: nn.Module,
    images: Tensor,
    labels: Tensor,
    sizes: Sequence[int],
    *,
    device: torch.device | str = "cpu",
    look: Callable[[Tensor, Tensor], Shown] = Shown,
) -> Gallery:
    """Quantize a few images with every method and ask the classifier about each.

    Args:
        methods: name -> quantizer.
        classifier: maps images (N, 3, H, W) in [0, 1] to logits (N, K).
        images: (N, 3, H, W) uint8.
        labels: (N,) class numbers.
        sizes: the numbers of colours to show.
        device: where classifier and quantizers run.
        look: makes what is shown of uint8 pixels (N, 3, H, W) and the predictions (N,).
    """
    device = torch.device(device)
    modules = [classifier, *(module for method in methods.values() for module in modules_of(method))]
    rows: dict[int, dict[str, Shown]] = {}
    with evaluating(modules, device):
        floats = from_bytes(images.to(device))
        for size in sizes:
            for name, quantizer in methods.items():
                try:
                    paletted = quantizer.quantize_many(floats, [size])[size]
                except UsageError:  # a model made for another number of colours
                    continue
                pixels = paletted.render(torch.uint8).cpu()
                found = predict(classifier, pixels, device).argmax(dim=1)
                rows.setdefault(size, {})[name] = look(pixels, found)
        original = look(images.cpu(), predict(classifier, images, device).argmax(dim=1))
    return Gallery(labels.cpu(), original, rows)


def evenly(total: int, count: int) -> list[int]:
    """Return numbers in 0..total-1, evenly spread.

    Args:
        total: number of choices.
        count: greatest length of the result.
    """
    return np.linspace(0, total - 1, min(count, total)).astype(int).tolist()


def spread_over(split: ImageSplit, count: int) -> Batch:
    """Return images that are evenly spread over a split.

    Args:
        split: the images.
        count: greatest number of images.
    """
    return split.__getitems__(evenly(len(split), count))
