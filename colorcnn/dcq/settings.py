"""Settings of dataset quantization: every option of the paper's ablations, and their checks."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from colorcnn.dcq.attention import ATTENTIONS
from colorcnn.dcq.features import GIVEN, LAYERS, PIXEL_FEATURES
from colorcnn.dcq.refine import Refinement
from colorcnn.errors import UsageError, unknown_name
from colorcnn.quantizers.spaces import check_space

PALETTES = ("shared", "own", "super")
_MOST_SMOOTHING = 1e6  # larger than any squared colour distance
_MOST_RATE = 1e4
_MODULE = re.compile(r"[A-Za-z_]\w*(\.\w+)+|layer\d+")


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of a store. Defaults follow the paper where it gives values.

    Attributes:
        bits: q in 1..8; palettes have 2**q colours.
        palettes: ``shared`` (one palette per cluster of images), ``own`` (one per image), or ``super`` (one
            per image, with colours from one larger palette).
        clusters: number of clusters.
        features: the features that are clustered: a layer of the classifier (``shallow``, ``middle1``,
            ``middle2``, ``final``, or the name of a module), one of
            :data:`colorcnn.dcq.features.PIXEL_FEATURES`, ``label``, or ``random``.
        pool: side length that feature maps are averaged to; 1 gives mean and standard deviation, 0 keeps
            every value.
        standardise: True to scale features to mean 0 and variance 1.
        attention: map that chooses a palette's pixels, one of :data:`colorcnn.dcq.attention.ATTENTIONS`.
        attention_layer: the layer that attention is computed at.
        predicted: True to use attention for the predicted class instead of the image's label.
        kept: share of the pixels to keep, by descending attention, in (0, 1].
        unique: True to count every distinct colour once in a palette's design.
        pixels: maximum number of pixels that a palette is designed on.
        method: a quantizer that designs the palettes; None is the paper's k-means in ``space``.
        space: colour space of distances, except in methods that have their own.
        super_colors: number of colours of the larger palette of ``super``, 1..256.
        refine: True to refine shared palettes so that edges are kept.
        refinement: options of the refinement.
        smoothing: penalty for each different neighbour, in squared colour distance, see
            :func:`colorcnn.dcq.smooth.smooth`; 0 gives every pixel its nearest colour.
        seed: seed of all random draws.
    """

    bits: int = 2
    palettes: str = "shared"
    clusters: int = 20
    features: str = "shallow"
    pool: int = 4
    standardise: bool = False
    attention: str = "gradcam++"
    attention_layer: str = "final"
    predicted: bool = False
    kept: float = 0.5
    unique: bool = False
    pixels: int = 1_000_000
    method: str | None = None
    space: str = "cielab"
    super_colors: int = 256
    refine: bool = True
    refinement: Refinement = dataclasses.field(default_factory=Refinement)
    smoothing: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise UsageError for an invalid value."""
        for name, low, high in (
            ("bits", 1, 8), ("clusters", 1, 65_536), ("pool", 0, 1024), ("pixels", 1, 10**8),
            ("super_colors", 1, 256), ("seed", 0, 2**32 - 1),
        ):  # fmt: skip
            if not low <= getattr(self, name) <= high:
                raise UsageError(
                    f"{name.replace('_', '-')} is {getattr(self, name)}: choose a whole number from {low} "
                    f"to {high}."
                )
        if not 0 < self.kept <= 1:
            raise UsageError(f"The kept share is {self.kept}: choose a number above 0, at most 1.")
        if not 0 <= self.smoothing <= _MOST_SMOOTHING:
            raise UsageError(f"The smoothing is {self.smoothing}: choose a number from 0 to a million.")
        if self.palettes not in PALETTES:
            raise unknown_name("kind of palettes", self.palettes, PALETTES)
        if self.attention not in ATTENTIONS:
            raise unknown_name("attention", self.attention, ATTENTIONS)
        for name, value in (
            ("learning rate", self.refinement.learning_rate), ("temperature", self.refinement.temperature),
        ):  # fmt: skip
            if not 0 < value <= _MOST_RATE:
                raise UsageError(
                    f"The refinement's {name} is {value}: choose a number above 0, at most {_MOST_RATE:g}."
                )
        if not self.refinement.color_weight <= _MOST_RATE:
            raise UsageError(
                f"The refinement's colour weight is {self.refinement.color_weight}: "
                f"choose a number from 0 to {_MOST_RATE:g}."
            )
        if self.refinement.steps < 1 or self.refinement.batch < 1 or self.refinement.color_weight < 0:
            raise UsageError("Refinement needs at least one step and one image, and a weight of at least 0.")
        check_space(self.space)
        if self.palettes == "shared" and self.refine and self.space != "cielab":
            raise UsageError(
                "Refinement works in CIELAB",
                "use that space, or switch the refinement off",
                code="refinement-space",
            )
        known = (*LAYERS, *PIXEL_FEATURES, *GIVEN)
        if self.features not in known and not _MODULE.fullmatch(self.features):
            raise unknown_name("features", self.features, [*known, "the name of a module such as features.3"])

    @property
    def num_colors(self) -> int:
        """Number of colours per palette, K."""
        return 1 << self.bits

    @property
    def layer(self) -> str | None:
        """Layer of the features; None if they need no classifier."""
        needless = self.palettes != "shared" or self.features in PIXEL_FEATURES or self.features in GIVEN
        return None if needless else self.features

    @property
    def attends(self) -> bool:
        """True if attention chooses the pixels of shared palettes."""
        return self.palettes == "shared" and self.attention != "none"

    def without_classifier(self) -> tuple[Settings, list[str]]:
        """Return the settings for data without a classifier, and a note for each stage that changes."""
        notes: list[str] = []
        changes: dict[str, Any] = {}
        if self.layer is not None:
            changes["features"] = "statistics"
            notes.append(f"no classifier: clusters use pixel statistics instead of the layer {self.features}")
        if self.attends:
            changes["attention"] = "none"
            notes.append("no classifier: palettes use all pixels, because attention needs a classifier")
        return dataclasses.replace(self, **changes), notes

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return dataclasses.asdict(self)


RECIPES: dict[str, dict[str, Any]] = {
    "paper": {},
    "pixels": {
        "features": "statistics",
        "attention": "none",
        "refinement": Refinement(color_weight=1.0),
    },
    "super": {"palettes": "super", "smoothing": 40.0},
}
"""Recipe name -> settings that differ from the defaults. ``pixels`` clusters pixel statistics and refines
palettes by edge and colour error. ``super`` gives each image a palette from one larger palette, and smooths
index maps. Neither needs a classifier."""

DEFAULT_RECIPE = "super"
"""Default recipe of the command. No recipe of ``experiments/dcq/dcq-recipes.yaml`` is more accurate at equal
bytes."""

_SHARED = (
    "clusters", "features", "pool", "standardise", "attention", "attention_layer", "predicted", "kept",
    "unique", "pixels", "refine", "refinement",
)  # fmt: skip
"""Options that have an effect on shared palettes only."""


def settings_of(name: str, given: Mapping[str, Any]) -> tuple[Settings, list[str]]:
    """Return the settings of a recipe with the user's changes.

    Args:
        name: name of the recipe.
        given: the changes by the names of :class:`Settings`; ``refinement`` is a mapping. With a ``method``,
            ``palettes`` is ``own`` unless it is given.

    Returns:
        The settings, and the names of changes that have no effect.

    Raises:
        UsageError: a name is unknown, or a value is invalid.
    """
    base = recipe(name)
    changes = dict(given)
    _check_names("setting", changes, base)
    if changes.get("method") is not None and base.palettes == "shared":
        changes.setdefault("palettes", "own")
    refinement = changes.pop("refinement", None) or {}
    _check_names("setting of the refinement", refinement, base.refinement)
    if refinement:
        changes["refinement"] = dataclasses.replace(base.refinement, **refinement)
    settings = recipe(name, **changes)
    _check_method(settings)
    unused = _unused(settings)
    return settings, [key for key in given if key in unused]


def _check_method(settings: Settings) -> None:
    """Raise UsageError if the settings would discard the index maps of a method."""
    from colorcnn.methods import LEARNED_METHODS, OWN, parse_method

    if settings.method is None:
        return
    method = parse_method(settings.method)
    if method.name == OWN:
        raise UsageError(
            f"{settings.method} is code outside of colorcnn, which no store can describe: use another one."
        )
    if method.dither and settings.palettes != "own":
        raise UsageError(
            f"Dithering has no effect with {settings.palettes} palettes: remove +{method.dither} from "
            f"{settings.method}."
        )
    if (
        settings.smoothing
        and settings.palettes == "own"
        and (method.dither or method.name in LEARNED_METHODS)
    ):
        raise UsageError(
            f"Smoothing would undo the index maps of {settings.method}",
            "set smoothing to 0",
            code="smoothing",
        )


def _unused(settings: Settings) -> set[str]:
    """Return the options that have no effect with these settings."""
    found = set() if settings.palettes == "super" else {"super_colors"}
    if not settings.refine:
        found.add("refinement")
    if settings.palettes != "shared":
        return found.union(_SHARED)
    if settings.layer is None:
        found.add("pool")
    if settings.features in GIVEN:
        found.add("standardise")
    if settings.features == "label":
        found.add("clusters")
    if settings.attention in ("none", "rise"):
        found.add("attention_layer")
    if settings.attention == "none":
        found.update(("predicted", "kept"))
    if settings.method is not None:
        found.add("unique")
    return found


def implied_recipe(given: Mapping[str, Any], *, classifier: bool = False) -> tuple[str, str]:
    """Return :data:`DEFAULT_RECIPE`, or ``paper`` if an option that only it uses is given.

    Args:
        given: the user's options, as for :func:`settings_of`.
        classifier: True if the user gives a classifier.

    Returns:
        The recipe, and the option that implies it (empty for the default).
    """
    kind = given.get("palettes")
    asks = ["palettes"] * (kind not in (None, "super")) + ["method"] * ("method" in given and kind is None)
    asks += [name for name in _SHARED if name in given] + ["classifier"] * classifier
    return ("paper", asks[0]) if asks else (DEFAULT_RECIPE, "")


def _check_names(what: str, given: Mapping[str, Any], known: Any) -> None:
    names = [field.name for field in dataclasses.fields(known)]
    for name in given:
        if name not in names:
            raise unknown_name(what, name, names)


def recipe(name: str, **changes: Any) -> Settings:
    """Return the settings of a recipe, with changes.

    Raises:
        UsageError: the recipe is unknown, or a value is invalid.
    """
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    return Settings(**{**RECIPES[name], **changes})
