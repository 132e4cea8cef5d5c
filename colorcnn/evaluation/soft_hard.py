"""Accuracy on the soft images of a learned quantizer, to compare with its files.

``Score.soft`` holds accuracy on soft images (Eq 6) whose logits are divided by a temperature, and the entropy
of the assignment. As the temperature falls to 0, the soft image becomes the hard one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn
from tqdm import tqdm

from colorcnn.errors import UsageError
from colorcnn.evaluation.classifier_set import evaluating
from colorcnn.evaluation.scores import SoftScore
from colorcnn.losses import confidence_entropy
from colorcnn.models import LearnedQuantizer
from colorcnn.models.assignment import soft_palette, soft_render
from colorcnn.paletted import from_bytes

if TYPE_CHECKING:
    from colorcnn.data.datasets import Batch


def measure_soft(
    quantizer: LearnedQuantizer,
    classifier: nn.Module,
    batches: Iterable[Batch],
    sizes: Sequence[int],
    temperatures: Sequence[float],
    device: torch.device | str = "cpu",
    label: str = "soft images",
) -> dict[int, dict[str, SoftScore]]:
    """Measure accuracy on soft images, and the entropy of their assignments.

    Args:
        quantizer: a learned quantizer. Its backbone runs once per batch, for all sizes and temperatures.
        classifier: maps images (B, 3, H, W) in [0, 1] to logits (B, K).
        batches: uint8 images (B, 3, H, W) and labels (B,).
        sizes: the numbers of colours.
        temperatures: temperatures that the logits are divided by.
        device: device of quantizer and classifier, which are moved there.
        label: text before the progress bar.

    Returns:
        Number of colours -> temperature -> result.

    Raises:
        UsageError: the images have several labels.
    """
    device, total = torch.device(device), 0
    sums = {(size, at): torch.zeros(2, dtype=torch.float64) for size in sizes for at in temperatures}
    with evaluating([quantizer, classifier], device):
        for batch in tqdm(batches, desc=label, disable=None):
            if batch.labels.ndim > 1:
                raise UsageError("Soft images need one label per image: use another data set.")
            images, labels = from_bytes(batch.images.to(device)), batch.labels.to(device)
            features = quantizer.encode(images)
            for (size, at), found in sums.items():
                assignment = quantizer.assign(quantizer.logits(features, size) / at)
                seen = soft_render(soft_palette(images, assignment), assignment)
                found[0] += (classifier(seen).argmax(dim=1) == labels).sum().cpu()
                found[1] += confidence_entropy(assignment).double().cpu() * len(images)
            total += len(images)
    result: dict[int, dict[str, SoftScore]] = {size: {} for size in sizes}
    for (size, at), found in sums.items():
        result[size][f"{at:g}"] = SoftScore(*(found / total).tolist())
    return result
