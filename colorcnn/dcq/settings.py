"""Settings of dataset quantization: every choice of the paper's ablations, checked."""

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
_MOST_SMOOTHING = 1e6  # more than any two colours are apart
_MOST_RATE = 1e4
_MODULE = re.compile(r"[A-Za-z_]\w*(\.\w+)+|layer\d+")


@dataclasses.dataclass(frozen=True)
class Settings:
    """The paper's choices, where it makes them, are the defaults.

    Attributes:
        bits: q; palettes have 2**q colours, q in 1..8.
        palettes: ``shared`` by the images of a cluster, ``own`` of each image, or ``super``: own ones whose
            colours are all taken from one larger palette.
        clusters: how many groups of images share a palette.
        features: what the clusters are made of: a layer of the classifier (``shallow``, ``middle1``,
            ``middle2``, ``final``, or the name of a module), one of
            :data:`colorcnn.dcq.features.PIXEL_FEATURES`, ``label``, or ``random``.
        pool: the side feature maps are averaged to; 1 gives mean and deviation, 0 keeps them whole.
        standardise: bring features to mean 0 and variance 1.
        attention: where a palette's pixels are taken from, of :data:`colorcnn.dcq.attention.ATTENTIONS`.
        attention_layer: the layer it is computed at.
        predicted: attention is for the predicted class in place of the image's label.
        kept: share of the pixels attended to that are kept, in (0, 1].
        unique: a colour counts once in a palette's design, however often it occurs.
        pixels: the most pixels a palette is designed on.
        method: a quantizer that designs the palettes; None is the paper's k-means in ``space``.
        space: where colours are compared, but by methods that choose for themselves.
        super_colors: colours of the larger palette of ``super``, 1..256.
        refine: move the palettes' colours so that edges survive.
        refinement: how.
        smoothing: the squared colour distance that a pixel gives up for each neighbour it is like, see
            :func:`colorcnn.dcq.smooth.smooth`; 0 gives every pixel its nearest colour.
        seed: of everything that is drawn.
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
        for name, least, most in (
            ("bits", 1, 8), ("clusters", 1, 65_536), ("pool", 0, 1024), ("pixels", 1, 10**8),
            ("super_colors", 1, 256), ("seed", 0, 2**32 - 1),
        ):  # fmt: skip
            if not least <= getattr(self, name) <= most:
                raise UsageError(
                    f"{name.replace('_', '-')} is {getattr(self, name)}: choose a whole number from {least} "
                    f"to {most}."
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
                "choose that space, or leave the refinement out",
                code="refinement-space",
            )
        known = (*LAYERS, *PIXEL_FEATURES, *GIVEN)
        if self.features not in known and not _MODULE.fullmatch(self.features):
            raise unknown_name("features", self.features, [*known, "the name of a module such as features.3"])

    @property
    def num_colors(self) -> int:
        """K, colours of a palette."""
        return 1 << self.bits

    @property
    def layer(self) -> str | None:
        """The layer features come from; None where they need no classifier."""
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
            notes.append(
                f"no classifier: clusters are made of pixel statistics, not of its layer {self.features}"
            )
        if self.attends:
            changes["attention"] = "none"
            notes.append("no classifier: palettes are made of all pixels, not of those it attends to")
        return dataclasses.replace(self, **changes), notes

    def to_json(self) -> dict[str, Any]:
        """The settings as JSON values."""
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
"""By name, what differs from the paper's choices: clusters of pixel statistics with palettes refined by
edges and colour errors alike, or a palette for each image out of one larger palette, with smoothed index
maps. Neither needs a classifier."""

DEFAULT_RECIPE = "super"
"""The command's, of those in ``experiments/dcq/dcq-recipes.yaml`` none is more accurate at equal bytes."""

_SHARED = (
    "clusters", "features", "pool", "standardise", "attention", "attention_layer", "predicted", "kept",
    "unique", "pixels", "refine", "refinement",
)  # fmt: skip
"""Options that palettes which are not shared by clusters know nothing of."""


def described(name: str, given: Mapping[str, Any]) -> tuple[Settings, list[str]]:
    """The settings that a recipe and a user's choices come to.

    Args:
        name: of the recipe.
        given: the choices by the names of :class:`Settings`, ``refinement`` being a mapping of its own. A
            ``method`` quantizes each image by itself unless ``palettes`` says otherwise.

    Returns:
        The settings, and those of the choices that change nothing with them.

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
    """Refuse what a method puts into its index maps where other maps take their place."""
    from colorcnn.methods import LEARNED_METHODS, parse_method

    if settings.method is None:
        return
    method = parse_method(settings.method)
    if method.dither and settings.palettes != "own":
        raise UsageError(
            f"{settings.palettes} palettes take no index maps from {settings.method}: "
            f"leave +{method.dither} out."
        )
    if (
        settings.smoothing
        and settings.palettes == "own"
        and (method.dither or method.name in LEARNED_METHODS)
    ):
        raise UsageError(
            f"Smoothing undoes the index maps of {settings.method}",
            "take it without (smoothing 0)",
            code="smoothing",
        )


def _unused(settings: Settings) -> set[str]:
    """The options that change nothing with these settings."""
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


def recipe_meant(given: Mapping[str, Any], *, classifier: bool = False) -> tuple[str, str]:
    """The recipe of a user who names none: :data:`DEFAULT_RECIPE`, or the paper's where a choice asks for it.

    Args:
        given: the choices, as for :func:`described`.
        classifier: whether one is given, too.

    Returns:
        The recipe, and the choice that asked for it, or nothing.
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
    """The settings of a recipe, with some of them changed.

    Raises:
        UsageError: there is no recipe of this name, or a value is invalid.
    """
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    return Settings(**{**RECIPES[name], **changes})
