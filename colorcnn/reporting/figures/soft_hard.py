"""Figures of the accuracy of soft images over the temperature of the assignment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colorcnn.reporting.figures.canvas import new_figure
from colorcnn.reporting.figures.curves import Curve, Point, draw_curves, label_ends
from colorcnn.reporting.figures.style import styles, theme
from colorcnn.reporting.view import RecordView

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def soft_hard_curves(view: RecordView, *, dark: bool = False) -> Figure:
    """Draw accuracy on soft images over a falling temperature, a panel for each number of colours.

    The accuracy on the files (hard) is drawn at the right end.

    Args:
        view: view of a record with temperatures.
        dark: True to draw for a dark page.
    """
    figure, panels = new_figure(len(view.sizes), dark)
    for axes, size in zip(panels, view.sizes):
        curves = {name: curve for name in view.methods if (curve := _curve(view, name, size))}
        style_of = styles(curves, dark=dark)
        draw_curves(axes, curves, style_of)
        ticks = [*view.temperatures, "hard"]
        axes.set_xticks(range(len(ticks)), ticks)
        axes.set_xlim(-0.3, len(ticks) - 0.7)
        axes.set_xlabel("temperature of the soft image", color=theme(dark).ink, fontsize=11)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
        axes.set_title(f"accuracy, {size} colours", loc="left", color=theme(dark).ink, fontsize=11, pad=8)
        label_ends(axes, style_of, curves)
    return figure


def _curve(view: RecordView, method: str, size: int) -> Curve:
    score = view.score(method, size)
    if score is None:
        return []
    values = [*(score.soft[at].accuracy for at in view.temperatures if score.soft), score.accuracy]
    first = len(view.temperatures) + 1 - len(values)  # a classical method has no soft images
    return [Point(x, value, value, value) for x, value in enumerate(values, first)]
