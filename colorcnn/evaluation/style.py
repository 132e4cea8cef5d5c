"""How figures look, light and dark: one colour and marker per method, told apart by colour-blind readers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from colorcnn.evaluation.naming import split_method


@dataclass(frozen=True)
class Theme:
    """Colours of a figure or page."""

    paper: str
    ink: str
    muted: str
    grid: str
    wrong: str


LIGHT = Theme(paper="#ffffff", ink="#1c2026", muted="#5d6570", grid="#e3e6ea", wrong="#c8102e")
DARK = Theme(paper="#14171b", ink="#e8eaed", muted="#a2aab5", grid="#2d323a", wrong="#ff5c6c")


def theme(dark: bool) -> Theme:
    """The light or the dark theme."""
    return DARK if dark else LIGHT


@dataclass(frozen=True)
class Style:
    """How one method is drawn."""

    color: str
    marker: str
    line: str
    hollow: bool


# (on light, on dark, marker): the hues of M. Okabe and K. Ito's palette (2008), which colour-blind readers
# tell apart, with the lightness that each background needs.
_HUES = (
    ("#d55e00", "#ff8f4a", "o"),
    ("#0072b2", "#5cb3f0", "s"),
    ("#00845f", "#33c79d", "^"),
    ("#b0568a", "#e79bc9", "D"),
    ("#8a6d00", "#f0c64c", "v"),
    ("#3d4a5c", "#b8c4d4", "P"),
    ("#7a4b2a", "#d3a27f", "<"),
    ("#2586bd", "#9bd6f7", "X"),
)
_FIXED = {"colorcnn-plus": 0, "median-cut": 1, "octree": 2, "colorcnn": 3, "max-coverage": 4}


def styles(methods: Iterable[str], *, dark: bool = False) -> dict[str, Style]:
    """Give each method its style.

    A method looks the same in every figure; dithering keeps its colour, dashed and hollow. Further weights
    of one method, and methods without a place of their own, take what is left in order; where there are more
    than colours, the further ones are dash-dotted and hollow.
    """
    methods = list(methods)
    heads = list(dict.fromkeys(_head(method) for method in methods))
    places: dict[tuple[str, str], int] = {}
    for head in heads:
        name = head[0]
        if name in _FIXED and _FIXED[name] not in places.values():
            places[head] = _FIXED[name]
    left = _free(places.values())
    for head in heads:
        if head not in places:
            places[head] = left.pop(0)
            left = left or list(range(len(_HUES)))
    again = {head for at, head in enumerate(heads) if places[head] in [places[one] for one in heads[:at]]}
    looks = {method: _style(places[_head(method)], method, dark) for method in methods}
    return {
        method: replace(look, line="-.", hollow=True) if _head(method) in again else look
        for method, look in looks.items()
    }


def _head(method: str) -> tuple[str, str]:
    name, weights, _ = split_method(method)
    return name, weights


def _free(taken: Iterable[int]) -> list[int]:
    used = {*taken, *_FIXED.values()}
    unnamed = [place for place in range(len(_HUES)) if place not in used]
    named = [place for place in range(len(_HUES)) if place not in {*taken, *unnamed}]
    return [*unnamed, *named]


def _style(place: int, method: str, dark: bool) -> Style:
    on_light, on_dark, marker = _HUES[place]
    dithered = bool(split_method(method)[2])
    return Style(on_dark if dark else on_light, marker, "--" if dithered else "-", dithered)
