"""Steps of palette attention on a few images: the classical start, the changed pixels, the final image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from colorcnn.evaluation.classifier_set import evaluating, predict
from colorcnn.models import PaletteAttention
from colorcnn.models.assignment import hard_palette
from colorcnn.paletted import Paletted, from_bytes
from colorcnn.quantizers import QUANTIZERS

if TYPE_CHECKING:
    from colorcnn.data.datasets import Batch


@dataclass(frozen=True)
class Step:
    """The images after one step, and the classifier's predictions.

    Attributes:
        pixels: (N, 3, H, W) uint8.
        predictions: (N,) int64 class numbers.
        confidence: (N,) probability of the predicted class.
    """

    pixels: Tensor
    predictions: Tensor
    confidence: Tensor


@dataclass(frozen=True)
class Explanation:
    """Palette attention step by step.

    Attributes:
        num_colors: C.
        start: name of the classical quantizer.
        labels: (N,) int64 true class numbers.
        original: the images in full colour.
        classical: their index maps before attention, with the mean colour of each index.
        final: the result.
        changed: (N, H, W) bool, the pixels whose index attention changed.
    """

    num_colors: int
    start: str
    labels: Tensor
    original: Step
    classical: Step
    final: Step
    changed: Tensor


def explain(
    quantizer: PaletteAttention,
    classifier: nn.Module,
    batch: Batch,
    num_colors: int,
    *,
    device: torch.device | str = "cpu",
) -> Explanation:
    """Quantize a few images with and without palette attention, and classify all of them.

    Args:
        quantizer: the trained model.
        classifier: maps images (N, 3, H, W) in [0, 1] to logits (N, K).
        batch: uint8 images (N, 3, H, W) and labels (N,).
        num_colors: C.
        device: device of classifier and quantizer.
    """
    device = torch.device(device)
    images = from_bytes(batch.images)
    indices = QUANTIZERS[quantizer.start]()(batch.images, num_colors).indices
    classical = Paletted(indices, hard_palette(images, indices, num_colors))
    with evaluating([quantizer, classifier], device):
        final = quantizer.quantize(images.to(device), num_colors).to("cpu")

        def step(pixels: Tensor) -> Step:
            confidence, found = predict(classifier, pixels, device).softmax(dim=1).cpu().max(dim=1)
            return Step(pixels, found, confidence)

        return Explanation(
            num_colors=num_colors,
            start=quantizer.start,
            labels=batch.labels,
            original=step(batch.images),
            classical=step(classical.render(torch.uint8)),
            final=step(final.render(torch.uint8)),
            changed=final.indices != indices,
        )
