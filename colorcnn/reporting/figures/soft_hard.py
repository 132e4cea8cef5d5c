"""Figures of the accuracy of soft images over the temperature of the assignment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from colorcnn.reporting.figures.curves import Curve, Point, draw_curves, label_ends, new_figure
from colorcnn.reporting.figures.style import styles, theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Metrics = Mapping[str, Any]

_ABREAST = 2
_HARD = "hard"


def soft_hard_curves(metrics: Metrics, *, dark: bool = False) -> Figure:
    """Accuracy of the soft image over a falling temperature, hard at the right; a panel for each size."""
    sizes = metrics["sizes"]
    columns = min(len(sizes), _ABREAST)
    figure, panels = new_figure(columns, dark, rows=math.ceil(len(sizes) / columns))
    for spare in panels[len(sizes) :]:
        spare.remove()
    for axes, size in zip(panels, sizes):
        curves = {name: curve for name in metrics["methods"] if (curve := _curve(metrics, name, str(size)))}
        looks = styles(curves, dark=dark)
        draw_curves(axes, curves, looks)
        ticks = [*_temperatures(metrics), _HARD]
        axes.set_xticks(range(len(ticks)), ticks)
        axes.set_xlim(-0.3, len(ticks) - 0.7)
        axes.set_xlabel("temperature of the soft image", color=theme(dark).ink, fontsize=11)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
        axes.set_title(f"accuracy, {size} colours", loc="left", color=theme(dark).ink, fontsize=11, pad=8)
        label_ends(axes, looks, curves)
    return figure


def _temperatures(metrics: Metrics) -> list[str]:
    return [f"{at:g}" for at in metrics["temperatures"]]


def _curve(metrics: Metrics, method: str, size: str) -> Curve:
    score = metrics["methods"][method]["scores"].get(size)
    if score is None:
        return []
    soft = [score["soft"][at]["accuracy"] for at in _temperatures(metrics)] if "soft" in score else []
    values = [*soft, score["accuracy"]]
    first = len(metrics["temperatures"]) + 1 - len(values)  # what is not learned has a hard image alone
    return [Point(first + place, value, value, value) for place, value in enumerate(values)]
