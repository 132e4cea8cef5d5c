"""Figures of the accuracy of soft images over the temperature of the assignment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colorcnn.reporting.figures.canvas import new_figure
from colorcnn.reporting.figures.curves import Curve, Point, draw_curves, label_ends
from colorcnn.reporting.figures.style import styles, theme
from colorcnn.reporting.view import Metrics, RecordView

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def soft_hard_curves(metrics: Metrics, *, dark: bool = False) -> Figure:
    """Draw accuracy of soft images over a falling temperature, hard at the right; a panel for each size.

    Args:
        metrics: of a record with temperatures.
        dark: for a dark page.
    """
    view = RecordView(metrics)
    figure, panels = new_figure(len(view.sizes), dark)
    for axes, size in zip(panels, view.sizes):
        curves = {name: curve for name in view.methods if (curve := _curve(view, name, size))}
        looks = styles(curves, dark=dark)
        draw_curves(axes, curves, looks)
        ticks = [*view.temperatures, "hard"]
        axes.set_xticks(range(len(ticks)), ticks)
        axes.set_xlim(-0.3, len(ticks) - 0.7)
        axes.set_xlabel("temperature of the soft image", color=theme(dark).ink, fontsize=11)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
        axes.set_title(f"accuracy, {size} colours", loc="left", color=theme(dark).ink, fontsize=11, pad=8)
        label_ends(axes, looks, curves)
    return figure


def _curve(view: RecordView, method: str, size: int) -> Curve:
    score = view.score(method, size)
    if score is None:
        return []
    values = [*(score.soft[at].accuracy for at in view.temperatures if score.soft), score.accuracy]
    first = len(view.temperatures) + 1 - len(values)  # a classical method has a hard image alone
    return [Point(first + place, value, value, value) for place, value in enumerate(values)]
