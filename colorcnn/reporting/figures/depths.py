"""Images at every number of colours, and images of tasks with several labels or masks (Fig 2, 11, 13, 15)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from colorcnn.evaluation.gallery import Gallery, Look, PictureSource, Shown, likeliest_class
from colorcnn.paletted import from_bytes, to_bytes
from colorcnn.recognition import IGNORED, Masks, mean_iou, recognition_of
from colorcnn.reporting.figures.gallery import CAPTION, ORIGINAL, gallery_picture
from colorcnn.reporting.markup import Picture
from colorcnn.reporting.naming import PICTURES

DEPTHS_CAPTION = (
    "Each image at every number of colours. Images spread evenly over the split, not chosen. Below each "
    "picture the answer of the classifier, framed and crossed in red where it is wrong."
)
_TINT = 0.5  # share of a mask's colour in an overlay


def depths_picture(
    source: PictureSource,
    sizes: Sequence[int],
    *,
    count: int = 2,
    look: Look = likeliest_class,
    title: str = PICTURES["depths"],
    dark: bool = True,
) -> Picture:
    """Draw a few images at every number of colours: a column for each number, a section for each image.

    Args:
        source: methods, classifier and images.
        sizes: the numbers of colours.
        count: how many images, at most.
        look: makes a row of pixels and logits; activation maps are one use.
        title: heading of the picture.
        dark: draw for a dark page, too.
    """
    gallery = source.gallery(source.spread(count), sizes, look)
    turned = by_size(gallery, sizes, source.class_names)
    return gallery_picture(turned, source.class_names, title, DEPTHS_CAPTION, dark=dark)


def by_size(gallery: Gallery, sizes: Sequence[int], class_names: Sequence[str]) -> Gallery:
    """Turn a gallery: its images become sections, and its numbers of colours become columns.

    Args:
        gallery: has a column for each image; all of its pictures have one size.
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
    """Gather one image out of several rows; rows that do not exist leave a gap."""
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
    """Draw images with several labels, or with masks, and the answers of the classifier (Fig 13).

    Args:
        source: methods, classifier and images.
        sizes: the numbers of colours to show.
        count: how many images, at most.
        dark: draw for a dark page, too.
    """
    batch, class_names = source.spread(count), source.class_names
    masks = batch.labels.ndim == 3

    def look(pixels: Tensor, logits: Tensor) -> Shown:
        right = recognition_of(batch.labels).correct(logits, batch.labels)
        if masks:
            found = Masks.confusion(logits, batch.labels)
            captions = [f"IoU {100 * float(mean_iou(counts)):.0f} %" for counts in found]
            return Shown(tinted(pixels, logits.argmax(dim=1)), right.long(), captions=captions, right=right)
        return Shown(pixels, right.long(), captions=_names(logits > 0, class_names), right=right)

    gallery = source.gallery(batch, sizes, look)
    heads = [str(name) for name in range(1, len(batch.labels) + 1)]
    if not masks:
        heads = _names(batch.labels > 0, class_names)
    gallery = replace(gallery, heads=heads)
    caption = CAPTION.replace("its class", "its labels") if not masks else _MASKS_CAPTION
    return gallery_picture(gallery, class_names, PICTURES["grid"], caption, dark=dark)


_MASKS_CAPTION = (
    "The masks that the segmentation network finds, as tints over the pictures. Below each picture its "
    "mean IoU, framed and crossed in red where it is below one half. Images spread evenly over the split, "
    "not chosen."
)


def tinted(pixels: Tensor, masks: Tensor) -> Tensor:
    """Lay the colours of classes over images; class 0, the background, keeps the image.

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
    """Return the names of each image's labels, (N, K) bool, in a line."""
    labels = [row.nonzero().flatten().tolist() for row in present]
    return [", ".join(class_names[label] for label in found) or "none" for found in labels]
