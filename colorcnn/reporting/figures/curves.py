"""Curves of an evaluation, drawn with matplotlib without a display."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from colorcnn.reporting.figures.style import Style, Theme, styles, theme
from colorcnn.reporting.naming import display_names, family, split_method

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Metrics = Mapping[str, Any]
"""What :meth:`colorcnn.evaluation.scores.Evaluation.to_json` returns; records keep it as their metrics."""

_SIZE = (6.5, 4.3)
_LEFT, _RIGHT = 0.68, 2.16  # inches beside a panel, for numbers and for the names of the curves
_ABOVE, _BELOW = 0.08, 0.17  # of a panel's height, for its title and its axis
_LABEL_GAP = 0.062  # of the height of the axes: a line of text
_FAR = 0.6  # of the width of the axes: curves that end before it are named where they end
_NAME_WIDTH = 0.4  # of the width of the axes
_NAME_SIZE, _LONGEST = 9.5, 26  # points, and how many letters of that size there is room for
_PERCENT = 100


def accuracy_curve(metrics: Metrics, *, dark: bool = False) -> Figure:
    """Accuracy over the number of colours, each method with a band: its 95 % interval, or its spread.

    The spread is the standard deviation over seeds, where the metrics were gathered over several. Where the
    metrics hold a published table, its numbers are drawn as thin dotted lines.
    """
    figure, (axes,) = new_figure(1, dark)
    draw_accuracy(axes, metrics, dark)
    return figure


def rate_curve(metrics: Metrics, *, dark: bool = False) -> Figure:
    """Accuracy over the bits per pixel of whole files, each method with its 95 % interval as a band.

    Quantizers cost what their indexed PNG files cost; a codec is a dotted line over its qualities.
    """
    figure, (axes,) = new_figure(1, dark)
    _draw_rate(axes, metrics, dark)
    return figure


def both_curves(metrics: Metrics, *, dark: bool = False) -> Figure:
    """:func:`accuracy_curve` and :func:`rate_curve` side by side."""
    figure, (left, right) = new_figure(2, dark)
    draw_accuracy(left, metrics, dark)
    _draw_rate(right, metrics, dark)
    return figure


def to_png(figure: Figure) -> bytes:
    """A figure as a PNG file, the same bytes for the same figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi="figure", metadata={"Software": None})
    return buffer.getvalue()


def to_svg(figure: Figure) -> bytes:
    """A figure as an SVG file whose text needs no fonts, the same bytes for the same figure."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    with mpl.rc_context({"svg.fonttype": "path", "svg.hashsalt": "colorcnn"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def new_canvas(width: float, height: float, dark: bool, dpi: float = 200) -> Figure:
    """An empty figure of so many inches that draws with Agg and touches no global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=dpi, facecolor=theme(dark).paper)
    FigureCanvasAgg(figure)
    return figure


def new_figure(columns: int, dark: bool, rows: int = 1) -> tuple[Figure, Sequence[Axes]]:
    """A figure of so many panels, row by row, each with room for the names of its curves at the right."""
    width, height = _SIZE
    figure = new_canvas(columns * width, rows * height, dark)
    colors = theme(dark)
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    panel_width = width - _LEFT - _RIGHT
    figure.subplots_adjust(
        left=_LEFT / width / columns,
        right=1 - _RIGHT / width / columns,
        top=1 - _ABOVE / rows,
        bottom=_BELOW / rows,
        wspace=(_LEFT + _RIGHT) / panel_width,
        hspace=(_ABOVE + _BELOW) / (1 - _ABOVE - _BELOW),
    )
    for panel in axes:
        panel.set_facecolor(colors.paper)
        panel.grid(axis="y", color=colors.grid, linewidth=0.8)
        panel.set_axisbelow(True)
        panel.tick_params(colors=colors.muted, labelsize=10, length=0)
        for side, spine in panel.spines.items():
            spine.set_visible(side == "bottom")
            spine.set_color(colors.muted)
    return figure, list(axes)


class Point(NamedTuple):
    """A point of a curve: its place on the horizontal axis, an accuracy, and the ends of its band."""

    x: float
    accuracy: float
    low: float
    high: float


Curve = Sequence[Point]
"""From left to right."""


def point(x: float, score: Metrics, spread: Metrics | None = None) -> Point:
    """A score of a record, with a band: mean ± std where there is a spread over seeds, else its interval."""
    mean = score["accuracy"]
    if spread:
        return Point(x, mean, mean - spread["accuracy"], mean + spread["accuracy"])
    return Point(x, mean, *score["interval"])


def draw_accuracy(axes: Axes, metrics: Metrics, dark: bool) -> None:
    """Draw accuracy over the number of colours."""
    looks = styles(metrics["methods"], dark=dark)
    sizes = sorted(metrics["sizes"])
    curves = method_curves(metrics, lambda size, score: math.log2(size))
    draw_curves(axes, curves, looks)
    _draw_published(axes, metrics, looks, theme(dark))
    axes.set_xticks([math.log2(size) for size in _thinned(sizes)], map(_tick, _thinned(sizes)))
    low, high = math.log2(sizes[0]), math.log2(sizes[-1])
    room = max(0.04 * (high - low), 0.15)
    axes.set_xlim(low - room, high + room)
    axes.set_xlabel("colours in an image", color=theme(dark).ink, fontsize=11)
    finish(axes, metrics, looks, curves, theme(dark))


def _draw_rate(axes: Axes, metrics: Metrics, dark: bool) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

    curves = method_curves(metrics, lambda size, score: score["png_bpp"])
    coded = _codec_curves(metrics)
    looks = styles([*metrics["methods"], *coded], dark=dark)
    looks |= {name: replace(looks[name], line=":") for name in coded}
    curves |= coded
    draw_curves(axes, curves, looks)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator([2.0**power for power in range(-6, 7)]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    low, high = axes.get_xlim()
    if high < 2 * low:  # too narrow for two ticks
        axes.set_xlim(low / 1.5, high * 1.5)
    kind = "whole" if coded else "PNG"
    axes.set_xlabel(f"bits per pixel of the {kind} files", color=theme(dark).ink, fontsize=11)
    finish(axes, metrics, looks, curves, theme(dark))


def method_curves(metrics: Metrics, place: Callable[[int, Metrics], float]) -> dict[str, Curve]:
    """A curve for each method: ``place`` of the number of colours and the score is the horizontal axis."""
    spreads = metrics.get("std", {}).get("methods", {})
    curves: dict[str, Curve] = {}
    for method, result in metrics["methods"].items():
        spread = spreads.get(method, {}).get("scores", {})
        scores = sorted((int(size), score) for size, score in result["scores"].items())
        if scores:
            curves[method] = [
                point(place(size, score), score, spread.get(str(size))) for size, score in scores
            ]
    return curves


def _codec_curves(metrics: Metrics) -> dict[str, Curve]:
    """A curve per format over the size of its files."""
    curves: dict[str, list[Point]] = {}
    for codec, score in metrics.get("codecs", {}).items():
        spread = metrics.get("std", {}).get("codecs", {}).get(codec)
        curves.setdefault(split_method(codec)[0], []).append(point(score["file_bpp"], score, spread))
    return {name: sorted(points) for name, points in curves.items()}


def draw_curves(axes: Axes, curves: Mapping[str, Curve], looks: Mapping[str, Style]) -> None:
    """Draw accuracies in percent, each curve with its band."""
    # The first method lies on top: it is the one that was asked for first.
    for layer, (name, curve) in enumerate(curves.items()):
        look = looks[name]
        x, y, low, high = np.array(curve).T * [[1], [_PERCENT], [_PERCENT], [_PERCENT]]
        order = 3 + 1 / (1 + layer)
        axes.fill_between(x, low, high, color=look.color, alpha=0.16, linewidth=0, zorder=2)
        axes.plot(
            x, y, look.line, color=look.color, marker=look.marker, markersize=6, linewidth=2, zorder=order,
            markerfacecolor=axes.get_facecolor() if look.hollow else look.color, markeredgewidth=1.4,
        )  # fmt: skip


def _draw_published(axes: Axes, metrics: Metrics, looks: Mapping[str, Style], colors: Theme) -> None:
    curves = metrics.get("published", {}).get("accuracy", {})
    drawn = False
    for method, look in looks.items():
        points = sorted((int(size), value) for size, value in curves.get(family(method), {}).items())
        points = [(size, value) for size, value in points if size in metrics["sizes"]]
        if points:
            x = [math.log2(size) for size, _ in points]
            axes.plot(x, [_PERCENT * value for _, value in points], ":", color=look.color, linewidth=1.4)
            drawn = True
    if drawn:
        axes.text(
            0.99, 0.02, "dotted: published", transform=axes.transAxes, ha="right", va="bottom",
            color=colors.muted, fontsize=9.5,
        )  # fmt: skip


def finish(
    axes: Axes,
    metrics: Metrics,
    looks: Mapping[str, Style],
    curves: Mapping[str, Curve],
    colors: Theme,
) -> None:
    """Scale the accuracy axis, draw the line of full colour, and name the curves at their ends."""
    full = _PERCENT * metrics["original"]["accuracy"]
    lines = [float(value) for line in axes.get_lines() for value in np.asarray(line.get_ydata())]
    lowest, highest = min([full, *lines]), max([full, *lines])
    bottom = max(0, 10 * math.floor((lowest - 3) / 10))
    axes.set_ylim(bottom, min(102, max(highest, bottom + 10) + 0.08 * max(highest - bottom, 10)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
    axes.axhline(full, color=colors.muted, linewidth=1.2, linestyle=(0, (1, 1.5)), zorder=1)
    axes.annotate(
        f"full colour {full:.1f} %", (0.01, full), xycoords=("axes fraction", "data"), xytext=(0, 4),
        textcoords="offset points", color=colors.muted, fontsize=10,
    )  # fmt: skip
    axes.set_title(f"accuracy, {band_of(metrics)}", loc="left", color=colors.ink, fontsize=11, pad=8)
    label_ends(axes, looks, curves)


def band_of(metrics: Metrics) -> str:
    """What the bands of the curves tell."""
    return f"mean ± std of {len(metrics['per_seed'])} seeds" if "std" in metrics else "with its 95 % interval"


def label_ends(
    axes: Axes,
    looks: Mapping[str, Style],
    curves: Mapping[str, Curve],
    names: Mapping[str, str] | None = None,
) -> None:
    """Write each method's name at the right, near the end of its curve; beside the end where that is far."""
    ends = {name: (curve[-1].x, _PERCENT * curve[-1].accuracy) for name, curve in curves.items()}
    names = fitted({**display_names(ends), **(names or {})})
    to_axes = axes.transData + axes.transAxes.inverted()
    places = {method: (*to_axes.transform(end),) for method, end in ends.items()}
    inside = [method for method, (x, _) in places.items() if x < _FAR and not _crowded(method, places)]
    methods = sorted(ends.keys() - inside, key=lambda method: places[method][1])
    for method in inside:
        axes.annotate(
            names[method], ends[method], xytext=(9, 0), textcoords="offset points", fontsize=_NAME_SIZE,
            va="center_baseline", color=looks[method].color, zorder=6,
            bbox={"facecolor": axes.get_facecolor(), "edgecolor": "none", "alpha": 0.8, "pad": 1},
        )  # fmt: skip
    for method, level in zip(methods, spread([places[method][1] for method in methods], _LABEL_GAP)):
        look = looks[method]
        axes.annotate(
            "", ends[method], xytext=(1.06, level), textcoords="axes fraction", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": look.color, "linewidth": 0.8, "alpha": 0.6,
                        "shrinkA": 0, "shrinkB": 5},
        )  # fmt: skip
        axes.plot(
            1.06, level, look.marker, transform=axes.transAxes, clip_on=False, color=look.color, markersize=6,
            markerfacecolor=axes.get_facecolor() if look.hollow else look.color, markeredgewidth=1.4,
        )  # fmt: skip
        axes.text(
            1.09, level, names[method], transform=axes.transAxes, color=look.color, fontsize=_NAME_SIZE,
            va="center_baseline",
        )  # fmt: skip


def fitted(names: Mapping[str, str]) -> dict[str, str]:
    """Names for the room beside a panel: a long one of a variant is told without the method it varies."""
    variants = {key: name[max(0, name.find(" (")) :].strip() for key, name in names.items()}
    seen = Counter(variants.values())
    told = {
        key: variants[key] if len(name) > _LONGEST and seen[variants[key]] == 1 else name
        for key, name in names.items()
    }
    return {key: shortened(name) for key, name in told.items()}


def _crowded(method: str, places: Mapping[str, tuple[float, ...]]) -> bool:
    """Whether a name beside the end of its curve would lie over the end or the name of another."""
    x, y = places[method]
    others = [place for name, place in places.items() if name != method]
    return any(-_NAME_WIDTH < left - x < _NAME_WIDTH and abs(up - y) < _LABEL_GAP for left, up in others)


def spread(wished: Sequence[float], gap: float) -> list[float]:
    """Move ascending positions in [0, 1] apart by at least ``gap``, as little as possible in square.

    With the gaps taken out, that is isotonic regression within what room is left.
    """
    from sklearn.isotonic import isotonic_regression

    if not wished:
        return []
    steps = gap * np.arange(len(wished))
    room = max(0.0, 1 - steps[-1])
    return list(isotonic_regression(np.asarray(wished) - steps, y_min=0, y_max=room) + steps)


def shortened(name: str, length: int = _LONGEST) -> str:
    """A name cut to what fits beside a panel, in its middle: long names differ in their ends."""
    end = length // 2 - 2
    return name if len(name) <= length else f"{name[: length - 1 - end]}…{name[-end:]}"


def _tick(size: int) -> str:
    bits = size.bit_length() - 1
    exact = bits and size == 1 << bits
    return f"{size}\n{bits} bit{'s' * (bits != 1)}" if exact else str(size)


def _thinned(sizes: Sequence[int]) -> Sequence[int]:
    """At most nine ticks that do not touch, powers of two before others."""
    kept: list[int] = []
    for size in sorted(sizes, key=lambda size: (size & (size - 1) != 0, size)):
        if all(abs(math.log2(size / other)) > 0.45 for other in kept):
            kept.append(size)
    return sorted(kept)
