"""Pictures of an evaluation: some images through its methods."""

from __future__ import annotations

from typing import Any

from colorcnn.evaluation.loaded import LoadedEvaluation
from colorcnn.reporting.figures.cam import cam_picture
from colorcnn.reporting.figures.gallery import grid_picture
from colorcnn.reporting.markup import Picture

_SHOWN_IMAGES = 8
_SHOWN_SIZES = 2


def draw_pictures(loaded: LoadedEvaluation, *, cam: bool, dark: bool = True) -> dict[str, Picture]:
    """Draw some images through the methods: ``grid``, the results, and ``cam``, where the classifier looks.

    There are none of images with several labels or masks, and without methods.

    Args:
        loaded: the evaluation, loaded.
        cam: draw activation maps, too, with the fewest colours.
        dark: draw for a dark page, too.
    """
    if loaded.data.multi_label or loaded.data.masks or not loaded.methods:
        return {}
    names, sizes = loaded.data.class_names, loaded.config.colors[:_SHOWN_SIZES]
    options: dict[str, Any] = {"count": _SHOWN_IMAGES, "device": loaded.config.device, "dark": dark}
    asked = loaded.methods, loaded.classifier, loaded.split, names
    found = {"grid": grid_picture(*asked, sizes, **options)}
    if cam:
        found["cam"] = cam_picture(*asked, [min(sizes)], **options)
    return found
