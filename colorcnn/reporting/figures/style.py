"""Colours and markers of figures, for light and dark pages and for colour-blind readers."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from colorcnn.quantizers.spaces import enter
from colorcnn.reporting.naming import split_method

if TYPE_CHECKING:
    from matplotlib.typing import ColorType


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


def readable(paper: ColorType, inks: Iterable[str]) -> str:
    """Return the text colour with the highest contrast to a background, in lightness (CIELAB's L).

    Args:
        paper: the colour of the background.
        inks: the text colours to choose from.
    """
    return max(inks, key=lambda ink: abs(_lightness(ink) - _lightness(paper)))


def _lightness(color: ColorType) -> float:
    from matplotlib.colors import to_rgb

    return float(enter(255 * np.array(to_rgb(color))[:, None], "cielab")[0, 0])


def theme(dark: bool) -> Theme:
    """Return the light or the dark theme."""
    return DARK if dark else LIGHT


@dataclass(frozen=True)
class Style:
    """Colour, marker and line of one method."""

    color: str
    marker: str
    line: str
    hollow: bool


# (on light, on dark, marker): the hues of M. Okabe and K. Ito's palette (2008), which colour-blind readers
# can distinguish, with the lightness that each background needs.
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
_NEXT_MARKER = 3  # offset of the marker if a hue repeats
_FIXED = {
    **{"colorcnn-plus": 0, "median-cut": 1, "octree": 2, "colorcnn": 3, "max-coverage": 4, "k-means": 5},
    **{
        "wu": 6,
        "palette-attention": 7,
        "variance-cut": 8,
        "stochastic": 9,
        "jpeg": 10,
        "webp": 11,
        "png": 12,
        "avif": 13,
        "jpeg-xl": 14,
    },
}
_on_page: ContextVar[tuple[str, ...]] = ContextVar("methods on the page", default=())


@contextmanager
def one_page(methods: Iterable[str]) -> Iterator[None]:
    """Context in which all figures use the same style for a method.

    Args:
        methods: names of all methods on the page.
    """
    token = _on_page.set(tuple(methods))
    try:
        yield
    finally:
        _on_page.reset(token)


def styles(methods: Iterable[str], *, dark: bool = False) -> dict[str, Style]:
    """Return the style of each method.

    A method has the same style in every figure. With dithering it keeps its colour, with dashed lines and
    hollow markers. Other methods, and other weights of a method, get the remaining colours in order. After
    all colours are used, they repeat with dash-dotted lines and other markers.

    Args:
        methods: names of the methods, in the order of the figure.
        dark: True to draw for a dark page.
    """
    methods = list(methods)
    heads = list(dict.fromkeys(_head(method) for method in (*_on_page.get(), *methods)))
    places: dict[tuple[str, str], int] = {}
    for head in heads:
        name = head[0]
        if name in _FIXED and _FIXED[name] not in places.values():
            places[head] = _FIXED[name]
    left = itertools.chain(_free(places.values()), itertools.count(len(_HUES)))
    for head in heads:
        if head not in places:
            places[head] = next(place for place in left if place not in places.values())
    return {method: _style(places[_head(method)], method, dark) for method in methods}


def _head(method: str) -> tuple[str, str]:
    name, weights, _ = split_method(method)
    return name, weights


def _free(taken: Iterable[int]) -> list[int]:
    used = {*taken, *_FIXED.values()}
    unnamed = [place for place in range(len(_HUES)) if place not in used]
    named = [place for place in range(len(_HUES)) if place not in {*taken, *unnamed}]
    return [*unnamed, *named]


def _style(place: int, method: str, dark: bool) -> Style:
    again, hue = divmod(place, len(_HUES))
    on_light, on_dark, _ = _HUES[hue]
    marker = _HUES[(hue + _NEXT_MARKER * again) % len(_HUES)][2]
    dithered = bool(split_method(method)[2])
    line = "--" if dithered else "-." if again else "-"
    return Style(on_dark if dark else on_light, marker, line, dithered)
