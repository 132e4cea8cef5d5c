"""Figure that explains palette attention: classical image, changed pixels, final image, predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from colorcnn.evaluation.attention import Explanation, Step, explain
from colorcnn.evaluation.gallery import Gallery, Shown, evenly_spaced_images
from colorcnn.models import PaletteAttention
from colorcnn.paletted import from_bytes, to_bytes
from colorcnn.reporting.figures.gallery import gallery_picture
from colorcnn.reporting.markup import Picture

if TYPE_CHECKING:
    from colorcnn.data.datasets import ImageSplit

CAPTION = (
    "Evenly spaced images of the split. The classical quantizer gives each image its palette. Attention "
    "moves some pixels to another colour of the palette: row 3 shows them bright, with their share. Each "
    "colour then becomes the mean of its pixels. Below each image: the predicted class and its confidence, "
    "in red if it is wrong."
)
_DIM = 0.25  # brightness of the pixels that attention did not change


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
    """Draw palette attention step by step, on evenly spaced images of a split.

    Args:
        quantizer: the trained model.
        classifier: maps images (N, 3, H, W) in [0, 1] to logits (N, K).
        split: the images, with one label each.
        class_names: names of the classes, by number.
        num_colors: C.
        count: maximum number of images.
        device: device of classifier and quantizer.
        dark: True to draw for a dark page, too.
    """
    found = explain(quantizer, classifier, evenly_spaced_images(split, count), num_colors, device=device)
    gallery = attention_gallery(found, class_names)
    title = f"What attention changes, {num_colors} colours"
    return gallery_picture(gallery, class_names, title, CAPTION, dark=dark)


def attention_gallery(found: Explanation, class_names: Sequence[str]) -> Gallery:
    """Return an explanation as a gallery: a column for each image, a row for each step.

    Args:
        found: the explanation.
        class_names: names of the classes, by number.
    """

    def shown(step: Step) -> Shown:
        pairs = zip(step.predictions.tolist(), step.confidence.tolist())
        captions = [f"{100 * share:.0f} % {class_names[number]}" for number, share in pairs]
        return Shown(step.pixels, step.predictions, captions=captions)

    shares = [f"{100 * share:.0f} % changed" for share in found.changed.float().mean(dim=(1, 2)).tolist()]
    changed = Shown(changed_pixels(found), found.labels, captions=shares, classified=False)
    rows = {found.start: shown(found.classical), "changed": changed, "after attention": shown(found.final)}
    return Gallery(found.labels, shown(found.original), {found.num_colors: rows})


def changed_pixels(found: Explanation) -> Tensor:
    """Return the final images (N, 3, H, W) uint8, with unchanged pixels dark and grey."""
    pixels = from_bytes(found.final.pixels)
    grey = _DIM * pixels.mean(dim=1, keepdim=True).expand_as(pixels)
    return to_bytes(torch.where(found.changed[:, None], pixels, grey))
