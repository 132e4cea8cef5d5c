"""Figures of the scores of trainings over their steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colorcnn.reporting.figures.canvas import Margins, new_panels
from colorcnn.reporting.figures.style import styles, theme
from colorcnn.reporting.view import TrainingView

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL = (6.5, 4.3)
_MARGINS = Margins(left=0.68, right=0.3, top=0.35, bottom=0.6)


def training_curves(view: TrainingView, *, dark: bool = False) -> Figure:
    """Draw scores over the steps of trainings: a panel for each score, a curve for each training.

    Args:
        view: view of a record.
        dark: True to draw for a dark page.
    """
    figure, axes = new_panels(len(view.scores), 1, dark, _PANEL, _MARGINS)
    for panel, score in zip(axes.flat, view.scores):
        _draw(panel, view, score, dark)
    # One legend for all panels; the last score, often a validation score, has the fewest points.
    panel.legend(frameon=False, labelcolor=theme(dark).ink, fontsize=9.5)
    return figure


def _draw(axes: Axes, view: TrainingView, score: str, dark: bool) -> None:
    colors, style_of = theme(dark), styles(view.trainings, dark=dark)
    for name in view.trainings:
        curve, style = view.curve(name, score), style_of[name]
        spread = [view.std(name, score, step) or 0.0 for step in curve]
        axes.errorbar(
            list(curve), list(curve.values()), spread, label=name, color=style.color, marker=style.marker,
            linestyle=style.line, markersize=5, linewidth=1.8, capsize=3 if any(spread) else 0,
        )  # fmt: skip
    for text, value in view.guides.get(score, {}).items():
        axes.axhline(value, color=colors.muted, linewidth=1.2, linestyle=(0, (1, 1.5)), zorder=1)
        axes.annotate(
            text, (0.01, value), xycoords=("axes fraction", "data"), xytext=(0, 3),
            textcoords="offset points", color=colors.muted, fontsize=10,
        )  # fmt: skip
    axes.set_title(score + view.over_seeds, loc="left", color=colors.ink, fontsize=11, pad=8)
    axes.set_xlabel("training step", color=colors.ink, fontsize=11)
    axes.grid(axis="y", color=colors.grid, linewidth=0.8)
    axes.tick_params(colors=colors.muted, labelsize=10)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("bottom", "left"))
        spine.set_color(colors.muted)
