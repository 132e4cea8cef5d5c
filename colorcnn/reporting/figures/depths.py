"""Figures of images at every number of colours, and of images with several labels or masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from colorcnn.evaluation.gallery import Gallery, MakeRow, PictureSource, Shown, predicted_class
from colorcnn.paletted import from_bytes, to_bytes
from colorcnn.recognition import IGNORED, Masks, mean_iou, recognition_of
from colorcnn.reporting.figures.gallery import CAPTION, ORIGINAL, gallery_picture
from colorcnn.reporting.markup import Picture
from colorcnn.reporting.naming import PICTURES

DEPTHS_CAPTION = (
    "Evenly spaced images of the split, at every number of colours. Below each image: the predicted class. A "
    "red frame with a cross: the prediction is wrong."
)
_TINT = 0.5  # opacity of a mask's colour


def depths_picture(
    source: PictureSource,
    sizes: Sequence[int],
    *,
    count: int = 2,
    make_row: MakeRow = predicted_class,
    title: str = PICTURES["depths"],
    dark: bool = True,
) -> Picture:
    """Draw a few images at every number of colours (Fig 2, 11, 15).

    The figure has a column for each number of colours and a section for each image.

    Args:
        source: methods, classifier and images.
        sizes: the numbers of colours.
        count: maximum number of images.
        make_row: returns the row for pixels and logits, for example with activation maps.
        title: heading of the figure.
        dark: True to draw for a dark page, too.
    """
    gallery = source.gallery(source.evenly_spaced(count), sizes, make_row)
    transposed = by_size(gallery, sizes, source.class_names)
    return gallery_picture(transposed, source.class_names, title, DEPTHS_CAPTION, dark=dark)


def by_size(gallery: Gallery, sizes: Sequence[int], class_names: Sequence[str]) -> Gallery:
    """Transpose a gallery: images become sections, and numbers of colours become columns.

    Args:
        gallery: a gallery with a column for each image. All images have one size.
        sizes: the numbers of colours, in the order of the columns.
        class_names: names of the classes, by number.
    """
    methods = list(dict.fromkeys(name for row in gallery.rows.values() for name in row))
    sections: dict[int | str, dict[str, Shown]] = {}
    for image, label in enumerate(gallery.labels.tolist()):
        title = f"Image {image + 1}: {class_names[label]}"
        original = [gallery.original, *[None] * (len(sizes) - 1)]
        sections[title] = {ORIGINAL: _column(original, image, label)}
        for method in methods:
            shown = [gallery.rows.get(size, {}).get(method) for size in sizes]
            sections[title][method] = _column(shown, image, label)
    heads = [f"{size} colour{'s' * (size != 1)}" for size in sizes]
    return Gallery(gallery.labels, None, sections, heads)


def _column(shown: Sequence[Shown | None], image: int, label: int) -> Shown:
    """Return one image of several rows. Missing rows leave a gap."""
    some = next(row for row in shown if row is not None)
    present = torch.tensor([row is not None for row in shown])
    rows = [some if row is None else row for row in shown]
    predictions = torch.stack([row.predictions[image] for row in rows])
    confidence = None
    if some.confidence is not None:
        confidence = torch.stack([row.confidence[image] for row in rows if row.confidence is not None])
    pixels = torch.stack([row.pixels[image] for row in rows])
    return Shown(pixels, predictions, confidence, right=predictions == label, present=present)


def labels_picture(
    source: PictureSource,
    sizes: Sequence[int],
    *,
    count: int,
    dark: bool = True,
) -> Picture:
    """Draw images with several labels, or with masks, and the predictions (Fig 13).

    Args:
        source: methods, classifier and images.
        sizes: the numbers of colours to show.
        count: maximum number of images.
        dark: True to draw for a dark page, too.
    """
    batch, class_names = source.evenly_spaced(count), source.class_names
    masks = batch.labels.ndim == 3

    def make_row(pixels: Tensor, logits: Tensor) -> Shown:
        right = recognition_of(batch.labels).correct(logits, batch.labels)
        if masks:
            found = Masks.confusion(logits, batch.labels)
            captions = [f"IoU {100 * float(mean_iou(counts)):.0f} %" for counts in found]
            return Shown(tinted(pixels, logits.argmax(dim=1)), right.long(), captions=captions, right=right)
        return Shown(pixels, right.long(), captions=_names(logits > 0, class_names), right=right)

    gallery = source.gallery(batch, sizes, make_row)
    heads = [str(name) for name in range(1, len(batch.labels) + 1)]
    if not masks:
        heads = _names(batch.labels > 0, class_names)
    gallery = replace(gallery, heads=heads)
    caption = _MASKS_CAPTION if masks else CAPTION.replace(" class", " labels")
    return gallery_picture(gallery, class_names, PICTURES["grid"], caption, dark=dark)


_MASKS_CAPTION = (
    "Evenly spaced images of the split, tinted with the predicted masks. Below each image: its mean IoU. A "
    "red frame with a cross: the mean IoU is below one half."
)


def tinted(pixels: Tensor, masks: Tensor) -> Tensor:
    """Tint images with the colours of classes. Class 0, the background, is not tinted.

    Args:
        pixels: (N, 3, H, W) uint8.
        masks: (N, H, W) class numbers.

    Returns:
        (N, 3, H, W) uint8.
    """
    from matplotlib import colormaps

    palette = torch.tensor(colormaps["tab20"].colors, dtype=torch.float32)  # type: ignore[attr-defined]
    colors = palette[masks.long() % len(palette)].permute(0, 3, 1, 2)
    shown = from_bytes(pixels)
    covered = ((masks > 0) & (masks != IGNORED))[:, None]
    return to_bytes(torch.where(covered, (1 - _TINT) * shown + _TINT * colors, shown))


def _names(present: Tensor, class_names: Sequence[str]) -> list[str]:
    """Return the names of each image's labels, given as (N, K) bool, in one text."""
    labels = [row.nonzero().flatten().tolist() for row in present]
    return [", ".join(class_names[label] for label in found) or "none" for found in labels]
