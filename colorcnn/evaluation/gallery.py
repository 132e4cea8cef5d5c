"""A few images, quantized with several methods, and the classifier's predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from colorcnn.errors import UsageError
from colorcnn.evaluation.classifier_set import evaluating, predict
from colorcnn.evaluation.passes import QuantizesMany
from colorcnn.models.assignment import soft_palette, soft_render
from colorcnn.models.replicas import modules_of
from colorcnn.paletted import from_bytes, to_bytes

if TYPE_CHECKING:
    from colorcnn.data.datasets import Batch, ImageSplit


@dataclass(frozen=True)
class Shown:
    """Images and predictions of one row of a gallery.

    Attributes:
        pixels: (N, 3, H, W) uint8.
        predictions: (N,) int64 class numbers.
        confidence: (N,) probabilities of the true classes, shown in place of the predictions' names.
        captions: N texts, shown in place of the predictions' names.
        right: (N,) bool, True for recognised images; by default if the prediction equals the label.
        present: (N,) bool, False for images that do not exist; by default all exist.
        classified: False if the row has no predictions.
    """

    pixels: Tensor
    predictions: Tensor
    confidence: Tensor | None = None
    captions: Sequence[str] | None = None
    right: Tensor | None = None
    present: Tensor | None = None
    classified: bool = True


@dataclass(frozen=True)
class Gallery:
    """Rows, labels and titles for :func:`colorcnn.reporting.figures.gallery.image_grid`.

    Attributes:
        labels: (N,) int64 true class numbers, (N, K) of 0 and 1, or masks (N, H, W).
        original: the images in full colour; None if ``rows`` holds them.
        rows: number of colours, or the title of a section -> method -> row. Methods that refuse a number of
            colours are left out.
        heads: titles of the N columns; by default the names of the true classes.
    """

    labels: Tensor
    original: Shown | None
    rows: Mapping[int | str, Mapping[str, Shown]]
    heads: Sequence[str] | None = None


MakeRow = Callable[[Tensor, Tensor], Shown]
"""Function from uint8 pixels (N, 3, H, W) and the classifier's logits to a row of a gallery."""


def predicted_class(pixels: Tensor, logits: Tensor) -> Shown:
    """Return a row that shows images with the predicted classes.

    Args:
        pixels: (N, 3, H, W) uint8.
        logits: (N, K).
    """
    return Shown(pixels, logits.argmax(dim=1))


class SoftImages:
    """Quantizer that returns the soft images of a learned quantizer (Eq 6), for figures.

    Args:
        quantizer: a quantizer with a method ``soft(images, num_colors)``.
    """

    def __init__(self, quantizer: Any) -> None:
        self.quantizer = quantizer

    def quantize_many(self, images: Tensor, sizes: Sequence[int]) -> dict[int, Any]:
        """Return the soft image of each palette size, with the method ``render`` of :class:`Paletted`.

        Args:
            images: (B, 3, H, W).
            sizes: numbers of colours.
        """
        found = {}
        for size in sizes:
            assignment = self.quantizer.soft(images, size)
            found[size] = _SoftImage(soft_render(soft_palette(images, assignment), assignment))
        return found


@dataclass(frozen=True)
class _SoftImage:
    pixels: Tensor

    def render(self, dtype: torch.dtype) -> Tensor:
        return to_bytes(self.pixels) if dtype == torch.uint8 else self.pixels.to(dtype)


def make_gallery(
    methods: Mapping[str, QuantizesMany],
    classifier: nn.Module,
    images: Tensor,
    labels: Tensor,
    sizes: Sequence[int],
    *,
    device: torch.device | str = "cpu",
    make_row: MakeRow = predicted_class,
) -> Gallery:
    """Quantize a few images with every method, and classify them.

    Args:
        methods: name -> quantizer.
        classifier: maps images (N, 3, H, W) in [0, 1] to logits (N, K).
        images: (N, 3, H, W) uint8.
        labels: (N,) class numbers.
        sizes: the numbers of colours to show.
        device: device of classifier and quantizers.
        make_row: returns the row for uint8 pixels (N, 3, H, W) and the classifier's logits.
    """
    device = torch.device(device)
    modules = [classifier, *(module for method in methods.values() for module in modules_of(method))]
    rows: dict[int | str, dict[str, Shown]] = {}
    with evaluating(modules, device):
        floats = from_bytes(images.to(device))
        for size in sizes:
            for name, quantizer in methods.items():
                try:
                    paletted = quantizer.quantize_many(floats, [size])[size]
                except UsageError:  # this model has a fixed number of colours
                    continue
                pixels = paletted.render(torch.uint8).cpu()
                logits = predict(classifier, pixels, device)
                rows.setdefault(size, {})[name] = make_row(pixels, logits)
        original = make_row(images.cpu(), predict(classifier, images, device))
    return Gallery(labels.cpu(), original, rows)


@dataclass(frozen=True)
class PictureSource:
    """Methods, classifier and images for the figures of an evaluation.

    Attributes:
        methods: name -> quantizer.
        classifier: maps images (N, 3, H, W) in [0, 1] to logits (N, K), or (N, K, H, W) for masks.
        split: the images. Figures show evenly spaced ones.
        class_names: names of the classes, by number.
        device: device of classifier and quantizers.
    """

    methods: Mapping[str, QuantizesMany]
    classifier: nn.Module
    split: ImageSplit
    class_names: Sequence[str]
    device: torch.device | str = "cpu"

    def evenly_spaced(self, count: int) -> Batch:
        """Return at most ``count`` evenly spaced images of the split."""
        return evenly_spaced_images(self.split, count)

    def gallery(self, batch: Batch, sizes: Sequence[int], make_row: MakeRow = predicted_class) -> Gallery:
        """Quantize images with every method and classify them; see :func:`make_gallery`.

        Args:
            batch: the images and their labels.
            sizes: the numbers of colours to show.
            make_row: returns the row for pixels and logits.
        """
        shown = batch.images, batch.labels, sizes
        return make_gallery(self.methods, self.classifier, *shown, device=self.device, make_row=make_row)


def evenly_spaced(total: int, count: int) -> list[int]:
    """Return evenly spaced indices in 0..total-1.

    Args:
        total: number of images.
        count: maximum number of indices.
    """
    return np.linspace(0, total - 1, min(count, total)).astype(int).tolist()


def typical(right: Sequence[np.ndarray], count: int) -> list[int]:
    """Return evenly spaced images that are recognised about as often as all images are.

    For every kind of image, the accuracy on the choice is compared with the accuracy on the whole split. The
    choice with the smallest sum of absolute differences is returned.

    Args:
        right: (n,) bool for each kind of image, True for recognised images.
        count: maximum number of images.

    Example:
        >>> typical([np.array([True, True, False, True, True, False])], 3)
        [0, 2, 4]
    """
    flags = np.stack(right)
    total = flags.shape[1]
    step = max(1, total // count)
    choices = [range(first, total, step)[:count] for first in range(step)]
    gaps = [np.abs(flags[:, list(rows)].mean(axis=1) - flags.mean(axis=1)).sum() for rows in choices]
    return list(choices[int(np.argmin(gaps))])


def evenly_spaced_images(split: ImageSplit, count: int) -> Batch:
    """Return evenly spaced images of a split.

    Args:
        split: the images.
        count: maximum number of images.
    """
    return split.__getitems__(evenly_spaced(len(split), count))
