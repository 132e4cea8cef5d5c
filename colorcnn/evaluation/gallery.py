"""The same few images through several methods, and the answers of the classifier to each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from colorcnn.errors import UsageError
from colorcnn.evaluation.classifier_set import evaluating, modules_of, predict
from colorcnn.evaluation.passes import QuantizesMany
from colorcnn.models.assignment import soft_palette, soft_render
from colorcnn.paletted import from_bytes, to_bytes

if TYPE_CHECKING:
    from colorcnn.data.datasets import Batch, ImageSplit


@dataclass(frozen=True)
class Shown:
    """Pictures and predictions of one row.

    Attributes:
        pixels: (N, 3, H, W) uint8.
        predictions: (N,) int64 class numbers.
        confidence: (N,) probabilities of the true classes, shown in place of the predictions' names.
        captions: N texts, shown in place of the predictions' names.
        right: (N,) bool, the pictures that are recognised; by default those whose prediction is the label.
        present: (N,) bool, the pictures that exist; by default all.
        judged: False if no classifier has seen the pictures.
    """

    pixels: Tensor
    predictions: Tensor
    confidence: Tensor | None = None
    captions: Sequence[str] | None = None
    right: Tensor | None = None
    present: Tensor | None = None
    judged: bool = True


@dataclass(frozen=True)
class Gallery:
    """Content of :func:`colorcnn.reporting.figures.gallery.image_grid`.

    Attributes:
        labels: (N,) int64 true class numbers, or as the recognition task has them.
        original: the images in full colour; None where the rows have them.
        rows: number of colours, or the title of a section -> method -> its pictures; methods that cannot
            give a number are left out.
        heads: titles of the N columns; by default the names of the true classes.
    """

    labels: Tensor
    original: Shown | None
    rows: Mapping[int | str, Mapping[str, Shown]]
    heads: Sequence[str] | None = None


Look = Callable[[Tensor, Tensor], Shown]
"""Makes a row of a gallery from uint8 pixels (N, 3, H, W) and the classifier's logits."""


def likeliest_class(pixels: Tensor, logits: Tensor) -> Shown:
    """Show pictures with the class that the classifier finds likeliest.

    Args:
        pixels: (N, 3, H, W) uint8.
        logits: (N, K).
    """
    return Shown(pixels, logits.argmax(dim=1))


class SoftImages:
    """The soft images of a learned quantizer (Eq 6) in place of the pixels of its files, for pictures.

    Args:
        quantizer: has ``soft(images, num_colors)``.
    """

    def __init__(self, quantizer: Any) -> None:
        self.quantizer = quantizer

    def quantize_many(self, images: Tensor, sizes: Sequence[int]) -> dict[int, Any]:
        """Return the soft image of each palette size, which renders as a :class:`Paletted` does.

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
    look: Look = likeliest_class,
) -> Gallery:
    """Quantize a few images with every method and ask the classifier about each.

    Args:
        methods: name -> quantizer.
        classifier: maps images (N, 3, H, W) in [0, 1] to logits (N, K).
        images: (N, 3, H, W) uint8.
        labels: (N,) class numbers.
        sizes: the numbers of colours to show.
        device: where classifier and quantizers run.
        look: makes a row of uint8 pixels (N, 3, H, W) and the classifier's logits.
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
                except UsageError:  # a model made for another number of colours
                    continue
                pixels = paletted.render(torch.uint8).cpu()
                logits = predict(classifier, pixels, device)
                rows.setdefault(size, {})[name] = look(pixels, logits)
        original = look(images.cpu(), predict(classifier, images, device))
    return Gallery(labels.cpu(), original, rows)


@dataclass(frozen=True)
class PictureSource:
    """Everything that pictures of an evaluation are made of.

    Attributes:
        methods: name -> quantizer.
        classifier: maps images (N, 3, H, W) in [0, 1] to logits (N, K), or (N, K, H, W) for masks.
        split: the images. Pictures show some that are spread evenly over it, whatever they show.
        class_names: names of the classes, by number.
        device: where classifier and quantizers run.
    """

    methods: Mapping[str, QuantizesMany]
    classifier: nn.Module
    split: ImageSplit
    class_names: Sequence[str]
    device: torch.device | str = "cpu"

    def spread(self, count: int) -> Batch:
        """Return at most ``count`` images, evenly spread over the split."""
        return spread_over(self.split, count)

    def gallery(self, batch: Batch, sizes: Sequence[int], look: Look = likeliest_class) -> Gallery:
        """Quantize images with every method and ask the classifier; see :func:`make_gallery`.

        Args:
            batch: the images and their labels.
            sizes: the numbers of colours to show.
            look: makes a row of pixels and logits.
        """
        shown = batch.images, batch.labels, sizes
        return make_gallery(self.methods, self.classifier, *shown, device=self.device, look=look)


def evenly(total: int, count: int) -> list[int]:
    """Return numbers in 0..total-1, evenly spread.

    Args:
        total: number of choices.
        count: greatest length of the result.
    """
    return np.linspace(0, total - 1, min(count, total)).astype(int).tolist()


def typical(right: Sequence[np.ndarray], count: int) -> list[int]:
    """Return evenly spaced images that are recognised about as often as all images are.

    Of all evenly spaced choices, it is the one whose shares of right answers are nearest to those of the
    whole split, in the sum of absolute differences.

    Args:
        right: for each kind of picture, (n,) bool: whether it is recognised.
        count: greatest length of the result.

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


def spread_over(split: ImageSplit, count: int) -> Batch:
    """Return images that are evenly spread over a split.

    Args:
        split: the images.
        count: greatest number of images.
    """
    return split.__getitems__(evenly(len(split), count))
