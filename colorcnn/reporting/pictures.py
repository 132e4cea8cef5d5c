"""Figures of an evaluation that show some images, quantized with each method."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from colorcnn.evaluation.gallery import PictureSource, SoftImages
from colorcnn.evaluation.loaded import LoadedEvaluation
from colorcnn.models import PaletteAttention
from colorcnn.reporting.figures.attention import attention_picture
from colorcnn.reporting.figures.cam import CAPTION, map_rows
from colorcnn.reporting.figures.depths import depths_picture, labels_picture
from colorcnn.reporting.figures.gallery import grid_picture
from colorcnn.reporting.markup import Picture
from colorcnn.reporting.naming import PICTURES

_SHOWN_IMAGES = 8
_SHOWN_SIZES = 2


def _source(loaded: LoadedEvaluation) -> PictureSource:
    return PictureSource(
        loaded.methods, loaded.classifier, loaded.split, loaded.data.class_names, loaded.config.device
    )


def draw_soft_pictures(loaded: LoadedEvaluation) -> dict[str, Picture]:
    """Draw the soft images of learned quantizers beside the pixels of their files (Fig 7).

    Args:
        loaded: the loaded evaluation.

    Returns:
        The figure as ``soft``; empty without learned quantizers.
    """
    rows: dict[str, Any] = {}
    for name, method in loaded.methods.items():
        if hasattr(method, "soft"):
            rows |= {f"{name} (soft image)": SoftImages(method), name: method}
    if not rows or loaded.data.multi_label or loaded.data.masks:
        return {}
    source = replace(_source(loaded), methods=rows)
    sizes, title = loaded.config.colors[:_SHOWN_SIZES], PICTURES["soft"]
    return {"soft": grid_picture(source, sizes, count=_SHOWN_IMAGES, title=title, dark=False)}


def draw_pictures(loaded: LoadedEvaluation, *, cam: bool, dark: bool = True) -> dict[str, Picture]:
    """Draw some images, quantized with each method, and the predictions.

    Args:
        loaded: the loaded evaluation.
        cam: True to draw activation maps, too.
        dark: True to draw for a dark page, too.

    Returns:
        Name -> figure. ``grid``: some images with the fewest colours. ``depths``: two images at every number
        of colours. ``attention``: the steps of the first palette attention. ``cam`` and ``cam-depths``:
        activation maps of the images of ``grid`` and ``depths``. Images with several labels or masks have
        only ``grid``. Without methods the result is empty.
    """
    if not loaded.methods:
        return {}
    source, colors = _source(loaded), loaded.config.colors
    few = colors[:_SHOWN_SIZES]
    if loaded.data.multi_label or loaded.data.masks:
        return {"grid": labels_picture(source, few, count=_SHOWN_IMAGES, dark=dark)}
    found = {"grid": grid_picture(source, few, count=_SHOWN_IMAGES, dark=dark)}
    if len(colors) > _SHOWN_SIZES:
        found["depths"] = depths_picture(source, colors, dark=dark)
    learned = [method for method in loaded.methods.values() if isinstance(method, PaletteAttention)]
    if learned:
        found["attention"] = attention_picture(
            *(learned[0], source.classifier, source.split, source.class_names, min(colors)),
            count=_SHOWN_IMAGES,
            device=source.device,
            dark=dark,
        )
    if cam:
        rows, title = map_rows(source, _SHOWN_IMAGES), PICTURES["cam"]
        found["cam"] = grid_picture(
            source, [min(colors)], count=_SHOWN_IMAGES, make_row=rows, title=title, caption=CAPTION, dark=dark
        )
        if len(colors) > _SHOWN_SIZES:
            rows, title = map_rows(source, 1), PICTURES["cam-depths"]
            found["cam-depths"] = depths_picture(
                source, colors, count=1, make_row=rows, title=title, dark=dark
            )
    return found
