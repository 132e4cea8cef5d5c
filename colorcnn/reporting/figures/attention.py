"""The figure that explains palette attention: classical image, changed pixels, final image, answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from colorcnn.evaluation.attention import Explanation, Step, explain
from colorcnn.evaluation.gallery import Gallery, Shown, spread_over
from colorcnn.models import PaletteAttention
from colorcnn.paletted import from_bytes, to_bytes
from colorcnn.reporting.figures.gallery import gallery_picture
from colorcnn.reporting.markup import Picture

if TYPE_CHECKING:
    from colorcnn.data.datasets import ImageSplit

CAPTION = (
    "Images spread evenly over the split, not chosen. The classical quantizer gives each image its palette; "
    "attention gives some pixels another colour of it (bright in the third row, with their share), and the "
    "palette becomes the mean colour of each index. Below a picture the answer of the classifier and its "
    "confidence, red where it is wrong."
)
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
    gallery = attention_gallery(found, class_names)
    title = f"What attention changes, {num_colors} colours"
    return gallery_picture(gallery, class_names, title, CAPTION, dark=dark)


def attention_gallery(found: Explanation, class_names: Sequence[str]) -> Gallery:
    """Return an explanation as a gallery: a column for each image, a row for each step.

    Args:
        found: the steps.
        class_names: names of the classes, by number.
    """

    def shown(step: Step) -> Shown:
        pairs = zip(step.predictions.tolist(), step.confidence.tolist())
        answers = [f"{100 * share:.0f} % {class_names[number]}" for number, share in pairs]
        return Shown(step.pixels, step.predictions, captions=answers)

    shares = [f"{100 * share:.0f} % changed" for share in found.changed.float().mean(dim=(1, 2)).tolist()]
    changed = Shown(changed_pixels(found), found.labels, captions=shares, judged=False)
    rows = {found.start: shown(found.classical), "changed": changed, "after attention": shown(found.final)}
    return Gallery(found.labels, shown(found.original), {found.num_colors: rows})


def changed_pixels(found: Explanation) -> Tensor:
    """Return the final images (N, 3, H, W) uint8, dark and grey where attention changed nothing."""
    pixels = from_bytes(found.final.pixels)
    grey = _DIM * pixels.mean(dim=1, keepdim=True).expand_as(pixels)
    return to_bytes(torch.where(found.changed[:, None], pixels, grey))
