"""The figure that explains palette attention: classical image, changed pixels, final image, answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from colorcnn.evaluation.attention import Explanation, Step, explain
from colorcnn.evaluation.gallery import spread_over
from colorcnn.models import PaletteAttention
from colorcnn.paletted import from_bytes, to_bytes
from colorcnn.reporting.figures.curves import new_canvas, to_png
from colorcnn.reporting.figures.gallery import CELL, enlarge, write_text
from colorcnn.reporting.figures.style import theme
from colorcnn.reporting.markup import Picture
from colorcnn.reporting.naming import display_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from colorcnn.data.datasets import ImageSplit

CAPTION = (
    "Images spread evenly over the split, not chosen. The classical quantizer gives each image its palette; "
    "attention gives some pixels another colour of it (bright in the third row, with their share), and the "
    "palette becomes the mean colour of each index. Below a picture the answer of the classifier and its "
    "confidence, red where it is wrong."
)
_GAP, _EDGE, _BELOW, _MARGIN, _HEAD = 30, 24, 56, 330, 76
_DPI = 200
_DIM = 0.25  # brightness of the pixels that attention left alone


def attention_picture(
    quantizer: PaletteAttention,
    classifier: nn.Module,
    split: ImageSplit,
    class_names: Sequence[str],
    num_colors: int,
    *,
    count: int,
    device: torch.device | str = "cpu",
    dark: bool = True,
) -> Picture:
    """Explain palette attention on images spread evenly over a split; light and dark.

    Args:
        quantizer: the trained model.
        classifier: maps images (N, 3, H, W) in [0, 1] to logits (N, K).
        split: where the images are from; one label each.
        class_names: names of the classes, by number.
        num_colors: C.
        count: how many images, at most.
        device: where classifier and quantizer run.
        dark: draw for a dark page, too.
    """
    found = explain(quantizer, classifier, spread_over(split, count), num_colors, device=device)
    light = to_png(attention_figure(found, class_names))
    night = to_png(attention_figure(found, class_names, dark=True)) if dark else None
    alt = "Rows of pictures: originals, classical images, the pixels that attention changed, final images."
    title = f"What attention changes, {num_colors} colours"
    return Picture(title, light, night, CAPTION, alt, wide=True)


def attention_figure(found: Explanation, class_names: Sequence[str], *, dark: bool = False) -> Figure:
    """Draw an explanation: a column for each image, a row for each step.

    Args:
        found: the steps.
        class_names: names of the classes, by number.
        dark: for a dark page.
    """
    colors, count = theme(dark), len(found.labels)
    cell = min(max(CELL, *found.original.pixels.shape[2:]), 2 * CELL)
    width = _MARGIN + count * (cell + _GAP)
    height = _HEAD + 4 * (cell + _BELOW)
    figure = new_canvas(width / _DPI, height / _DPI, dark, _DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    start = display_names([found.start])[found.start]
    shares = [f"{100 * float(share):.0f} % of pixels" for share in found.changed.float().mean(dim=(1, 2))]
    rows = [
        ("Original", found.original.pixels, _answers(found.original, class_names)),
        (
            f"{start}, {found.num_colors} colours",
            found.classical.pixels,
            _answers(found.classical, class_names),
        ),
        ("changed", changed_pixels(found), shares),
        ("after attention", found.final.pixels, _answers(found.final, class_names)),
    ]
    steps = [found.original, found.classical, None, found.final]
    for column, label in enumerate(found.labels.tolist()):
        middle = _MARGIN + column * (cell + _GAP) + cell / 2
        write_text(axes, middle, _HEAD - 24, class_names[label], 9.5, colors.ink, bold=True)
    for place, ((name, pixels, texts), step) in enumerate(zip(rows, steps)):
        top = _HEAD + place * (cell + _BELOW)
        write_text(axes, _EDGE, top + cell / 2, name, 11, colors.ink, align="left")
        for column, text in enumerate(texts):
            left = _MARGIN + column * (cell + _GAP)
            large = enlarge(pixels[column].permute(1, 2, 0).numpy(), cell)
            extent = (left, left + large.shape[1], top + large.shape[0], top)
            axes.imshow(large, extent=extent, interpolation="none", aspect="auto")
            wrong = step is not None and bool(step.predictions[column] != found.labels[column])
            ink = colors.wrong if wrong else colors.muted
            write_text(
                axes, left + cell / 2, top + cell + 22, f"✗ {text}" if wrong else text, 8, ink, bold=wrong
            )
    axes.set(xlim=(0, width), ylim=(height, 0))
    return figure


def changed_pixels(found: Explanation) -> Tensor:
    """Return the final images (N, 3, H, W) uint8, dark and grey where attention changed nothing."""
    pixels = from_bytes(found.final.pixels)
    grey = _DIM * pixels.mean(dim=1, keepdim=True).expand_as(pixels)
    return to_bytes(torch.where(found.changed[:, None], pixels, grey))


def _answers(step: Step, class_names: Sequence[str]) -> list[str]:
    pairs = zip(step.predictions.tolist(), step.confidence.tolist())
    return [f"{class_names[number]}, {100 * share:.0f} %" for number, share in pairs]
