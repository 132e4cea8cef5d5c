"""What a learned quantizer loses when its soft assignment becomes the hard one of a file.

The metrics are those of an evaluation; a score of a learned quantizer has, beside ``accuracy``, ``soft``:
what the classifier recognises of the soft image (Eq 6) with scores divided by a temperature, and the entropy
of the assignment there. As the temperature falls to 0, the soft image becomes the hard one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from tqdm import tqdm

from colorcnn.errors import UsageError
from colorcnn.evaluation.figures import Curve, Point, draw_curves, label_ends, new_figure
from colorcnn.evaluation.judging import evaluating
from colorcnn.evaluation.markdown import markdown_table, percent
from colorcnn.evaluation.naming import display_names
from colorcnn.evaluation.style import styles, theme
from colorcnn.losses import confidence_entropy
from colorcnn.models import LearnedQuantizer
from colorcnn.models.assignment import soft_palette, soft_render
from colorcnn.paletted import from_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from colorcnn.data.datasets import Batch

Metrics = Mapping[str, Any]

_ABREAST = 2
_HARD = "hard"


def measure_soft(
    quantizer: LearnedQuantizer,
    classifier: nn.Module,
    batches: Iterable[Batch],
    sizes: Sequence[int],
    temperatures: Sequence[float],
    device: torch.device | str = "cpu",
    label: str = "soft images",
) -> dict[str, dict[str, dict[str, float]]]:
    """Accuracy of soft images, and the entropy of their assignments.

    Args:
        quantizer: a ColorCNN or ColorCNN+; one pass through its backbone serves all sizes and temperatures.
        classifier: images (B, 3, H, W) in [0, 1] -> logits.
        batches: uint8 images (B, 3, H, W) and labels (B,).
        sizes: the numbers of colours.
        temperatures: what the scores are divided by.
        device: where both run; they are moved there.
        label: what the progress bar says.

    Returns:
        size -> temperature -> ``accuracy`` in [0, 1] and ``entropy`` in nats a pixel.

    Raises:
        UsageError: the images have several labels.
    """
    device, total = torch.device(device), 0
    sums = {(size, at): torch.zeros(2, dtype=torch.float64) for size in sizes for at in temperatures}
    with evaluating([quantizer, classifier], device):
        for batch in tqdm(batches, desc=label, disable=None):
            if batch.labels.ndim > 1:
                raise UsageError("Soft images are compared for one label each: name another data set.")
            images, labels = from_bytes(batch.images.to(device)), batch.labels.to(device)
            features = quantizer.encode(images)
            for (size, at), found in sums.items():
                assignment = quantizer.assign(quantizer.logits(features, size) / at)
                seen = soft_render(soft_palette(images, assignment), assignment)
                found[0] += (classifier(seen).argmax(dim=1) == labels).sum().cpu()
                found[1] += confidence_entropy(assignment).double().cpu() * len(images)
            total += len(images)
    result: dict[str, dict[str, dict[str, float]]] = {str(size): {} for size in sizes}
    for (size, at), found in sums.items():
        accuracy, entropy = (found / total).tolist()
        result[str(size)][f"{at:g}"] = {"accuracy": accuracy, "entropy": entropy}
    return result


def soft_hard_curves(metrics: Metrics, *, dark: bool = False) -> Figure:
    """Accuracy of the soft image over a falling temperature, hard at the right; a panel for each size."""
    sizes = metrics["sizes"]
    columns = min(len(sizes), _ABREAST)
    figure, panels = new_figure(columns, dark, rows=math.ceil(len(sizes) / columns))
    for spare in panels[len(sizes) :]:
        spare.remove()
    for axes, size in zip(panels, sizes):
        curves = {name: curve for name in metrics["methods"] if (curve := _curve(metrics, name, str(size)))}
        looks = styles(curves, dark=dark)
        draw_curves(axes, curves, looks)
        ticks = [*_temperatures(metrics), _HARD]
        axes.set_xticks(range(len(ticks)), ticks)
        axes.set_xlim(-0.3, len(ticks) - 0.7)
        axes.set_xlabel("temperature of the soft image", color=theme(dark).ink, fontsize=11)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
        axes.set_title(f"accuracy, {size} colours", loc="left", color=theme(dark).ink, fontsize=11, pad=8)
        label_ends(axes, looks, curves)
    return figure


def _temperatures(metrics: Metrics) -> list[str]:
    return [f"{at:g}" for at in metrics["temperatures"]]


def _curve(metrics: Metrics, method: str, size: str) -> Curve:
    score = metrics["methods"][method]["scores"].get(size)
    if score is None:
        return []
    soft = [score["soft"][at]["accuracy"] for at in _temperatures(metrics)] if "soft" in score else []
    values = [*soft, score["accuracy"]]
    first = len(metrics["temperatures"]) + 1 - len(values)  # what is not learned has a hard image alone
    return [Point(first + place, value, value, value) for place, value in enumerate(values)]


def soft_hard_table(metrics: Metrics) -> str:
    """Hard accuracy and colours used of each method; of learned ones soft accuracy and entropy, too."""
    names, sizes = display_names(metrics["methods"]), [str(size) for size in metrics["sizes"]]
    columns, spreads = [f"{size} colours" for size in sizes], metrics.get("std", {}).get("methods", {})
    hard, soft = [], []
    for method, result in metrics["methods"].items():
        spread = spreads.get(method, {}).get("scores", {})
        cells = [_cell(result["scores"], spread, size) for size in sizes]
        hard.append([names[method], *cells])
        for at in _temperatures(metrics):
            cells = [_cell(result["scores"], spread, size, at) for size in sizes]
            if any(cells):
                soft.append([f"{names[method]}, T = {at}", *cells])
    tables = [markdown_table(["accuracy of files %, colours used", *columns], hard)]
    if soft:
        tables.append(markdown_table(["accuracy of soft images %, entropy in nats", *columns], soft))
    return "\n".join(tables)


def _cell(scores: Metrics, spread: Metrics, size: str, temperature: str = "") -> str:
    """Accuracy with its spread and colours used, or of the soft image and its entropy; empty without any."""
    score, wide = scores.get(size, {}), spread.get(size, {})
    if temperature:
        score, wide = (each.get("soft", {}).get(temperature, {}) for each in (score, wide))
    if not score:
        return ""
    further = f"{score['entropy']:.2f}" if temperature else f"{score['colors']['mean']:.1f}"
    return f"{percent(score['accuracy'], wide.get('accuracy'))}, {further}"
