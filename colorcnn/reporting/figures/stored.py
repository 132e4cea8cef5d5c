"""Figures of classifiers trained on stored training sets: accuracy on originals over the cost of the sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from colorcnn.reporting.figures.curves import draw_accuracy, draw_curves, finish, method_curves, new_figure
from colorcnn.reporting.figures.style import styles, theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Metrics = Mapping[str, Any]

_LEVELS = 255


def stored_curves(metrics: Metrics, *, dark: bool = False) -> Figure:
    """Accuracy over the number of colours, and over the coded bytes per image."""
    figure, (left, right) = new_figure(2, dark)
    draw_accuracy(left, metrics, dark)
    _draw_bytes(right, metrics, dark)
    return figure


def stored_causes(metrics: Metrics, *, dark: bool = False) -> Figure:
    """Accuracy over the error of what is stored, and over how differently its images render one colour."""
    figure, panels = new_figure(2, dark)
    lossy = {
        name: {"scores": {size: score for size, score in result["scores"].items() if score.get("mse")}}
        for name, result in metrics["methods"].items()
    }
    causes: dict[str, Callable[[int, Metrics], float]] = {
        "error, levels of 255": lambda size, score: _LEVELS * score["mse"] ** 0.5,
        "inconsistency, levels of 255": lambda size, score: _LEVELS * score["inconsistency"],
    }
    for axes, (label, value) in zip(panels, causes.items()):
        _draw_over(axes, {**metrics, "methods": lossy}, value, label, dark)
    return figure


def _draw_bytes(axes: Axes, metrics: Metrics, dark: bool) -> None:
    label = "coded bytes per image of the whole training set"
    _draw_over(axes, metrics, lambda size, score: score["bytes"]["coded"], label, dark, _scale_bytes)


def _draw_over(
    axes: Axes,
    metrics: Metrics,
    value: Callable[[int, Metrics], float],
    label: str,
    dark: bool,
    scale: Callable[[Axes], None] = lambda axes: None,
) -> None:
    """Draw every method's accuracy over a value of its scores; ``scale`` lays out that axis."""
    found = {name: sorted(curve) for name, curve in method_curves(metrics, value).items()}
    looks = styles(found, dark=dark)
    draw_curves(axes, found, looks)
    scale(axes)
    axes.set_xlabel(label, color=theme(dark).ink, fontsize=11)
    finish(axes, metrics, looks, found, theme(dark))


def _scale_bytes(axes: Axes) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.set_xscale("log", base=2)
    low, high = axes.get_xlim()
    ticks = [step * 10**power for power in range(7) for step in (1, 2, 5)]
    shown = [tick for tick in ticks if low <= tick <= high]
    if len(shown) < 2:  # too narrow for two ticks
        axes.set_xlim(low / 2, high * 2)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.xaxis.set_minor_locator(NullLocator())
