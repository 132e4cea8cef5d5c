"""Figures of accuracy under attack."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from colorcnn.evaluation.codecs import LOSSLESS
from colorcnn.reporting.figures.curves import Curve, draw_curves, label_ends, new_figure, point
from colorcnn.reporting.figures.style import Style, styles, theme
from colorcnn.reporting.naming import attack_title, codec_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Metrics = Mapping[str, Any]

BARE = "no defence"
_ABREAST = 2  # panels of attacks


def robustness_curves(metrics: Metrics, num_colors: int, *, dark: bool = False) -> Figure:
    """Accuracy over the strength of an attack, a panel for each: every method, and the bare classifier.

    Of a codec's qualities the middle one is drawn; tables hold them all.

    Args:
        metrics: of a record, with ``attacks``.
        num_colors: methods without a score there are left out.
        dark: for a dark page.
    """
    results = metrics["attacks"]["results"]
    spreads = metrics.get("std", {}).get("attacks", {}).get("results", {})
    columns = min(len(results), _ABREAST)
    figure, panels = new_figure(columns, dark, rows=math.ceil(len(results) / columns))
    for spare in panels[len(results) :]:
        spare.remove()
    for axes, (attack, result) in zip(panels, results.items()):
        _draw_attack(axes, result, spreads.get(attack, {}), num_colors, dark)
        title = f"accuracy under {attack_title(attack)}"
        axes.set_title(title, loc="left", color=theme(dark).ink, fontsize=11, pad=8)
    return figure


def _draw_attack(axes: Axes, result: Metrics, spread: Metrics, num_colors: int, dark: bool) -> None:
    colors, size = theme(dark), str(num_colors)
    curves = {}
    for name, cells in result.get("methods", {}).items():
        if size in cells:
            curves[name] = _curve(cells[size], spread.get("methods", {}).get(name, {}).get(size, {}))
    drawn = _some_codecs(result.get("codecs", {}))
    for name in drawn:
        curves[name] = _curve(result["codecs"][name], spread.get("codecs", {}).get(name, {}))
    looks = styles(curves, dark=dark)
    looks[BARE] = Style(colors.muted, "o", "--", True)
    curves[BARE] = _curve(result["original"], spread.get("original", {}))
    draw_curves(axes, curves, looks)
    epsilons = [place.x for place in curves[BARE]]
    axes.set_xticks(epsilons)
    axes.set_xlim(-0.04 * epsilons[-1], 1.04 * epsilons[-1])
    axes.set_xlabel("largest change of a value, of 255", color=colors.ink, fontsize=11)
    axes.set_ylim(0, 102)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
    label_ends(axes, looks, curves, {name: codec_name(name) for name in drawn})


def _some_codecs(codecs: Iterable[str]) -> list[str]:
    """The middle one of each lossy format; a lossless file is no defence."""
    formats: dict[str, list[str]] = {}
    for codec in codecs:
        name = codec.partition(":")[0]
        if name not in LOSSLESS:
            formats.setdefault(name, []).append(codec)
    return [qualities[len(qualities) // 2] for qualities in formats.values()]


def _curve(cells: Metrics, spread: Metrics) -> Curve:
    return sorted(point(float(epsilon), cell, spread.get(epsilon)) for epsilon, cell in cells.items())
