"""Figures of classifiers trained on stored training sets: accuracy on originals over the cost of the sets."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from colorcnn.reporting.figures.canvas import log_axis, new_figure
from colorcnn.reporting.figures.curves import draw_accuracy, draw_curves, finish, method_curves
from colorcnn.reporting.figures.style import styles, theme
from colorcnn.reporting.view import RecordView, Stored

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEVELS = 255


def stored_curves(view: RecordView, *, dark: bool = False) -> Figure:
    """Draw accuracy over the number of colours, and over the coded bytes per image.

    Args:
        view: view of a record.
        dark: True to draw for a dark page.
    """
    figure, (left, right) = new_figure(2, dark)
    draw_accuracy(left, view, dark)
    label = "coded bytes per image of the whole training set"
    _draw_over(right, view, lambda stored: stored.coded, label, dark)
    return figure


def stored_errors(view: RecordView, *, dark: bool = False) -> Figure:
    """Draw accuracy over the error of lossy sets, and over their inconsistency.

    Args:
        view: view of a record.
        dark: True to draw for a dark page.
    """
    figure, panels = new_figure(2, dark)
    errors: dict[str, Callable[[Stored], float]] = {
        "error, levels of 255": lambda stored: _LEVELS * stored.mse**0.5,
        "inconsistency, levels of 255": lambda stored: _LEVELS * stored.inconsistency,
    }
    for axes, (label, error) in zip(panels, errors.items()):
        _draw_over(axes, view, error, label, dark, lossy=True)
    return figure


def _draw_over(
    axes: Axes,
    view: RecordView,
    value: Callable[[Stored], float],
    label: str,
    dark: bool,
    lossy: bool = False,
) -> None:
    """Draw the accuracy of each method over bytes, or over an error of its ``lossy`` sets."""

    def x_of(method: str, size: int) -> float | None:
        stored = view.stored(method, size)
        return value(stored) if stored and (stored.mse > 0 or not lossy) else None

    found = {name: sorted(curve) for name, curve in method_curves(view, x_of).items()}
    style_of = styles(found, dark=dark)
    draw_curves(axes, found, style_of)
    if not lossy:
        log_axis(axes, [step * 10**power for power in range(7) for step in (1, 2, 5)], ",g")
    axes.set_xlabel(label, color=theme(dark).ink, fontsize=11)
    finish(axes, view, style_of, found, theme(dark))
