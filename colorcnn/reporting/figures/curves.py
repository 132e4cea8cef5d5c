"""Curves of an evaluation."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from colorcnn.evaluation.scores import Score, Verdict
from colorcnn.reporting.figures.canvas import log_axis, new_figure
from colorcnn.reporting.figures.style import Style, Theme, styles, theme
from colorcnn.reporting.naming import bits_of, display_names, split_method
from colorcnn.reporting.view import RecordView

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LABEL_GAP = 0.062  # height of a line of text, as a share of the axes' height
_FAR = 0.6  # share of the axes' width; a curve that ends before it is named at its end
_NAME_WIDTH = 0.4  # width of a name, as a share of the axes' width
_NAME_SIZE, _LONGEST = 9.5, 26  # font size of a name in points, and its maximum number of letters
_PERCENT = 100


def accuracy_curve(view: RecordView, *, dark: bool = False) -> Figure:
    """Draw accuracy over the number of colours, each method with a band.

    The band is the 95 % interval, or the standard deviation over seeds. Published numbers are thin dotted
    lines.

    Args:
        view: view of a record.
        dark: True to draw for a dark page.
    """
    figure, (axes,) = new_figure(1, dark)
    draw_accuracy(axes, view, dark)
    return figure


def rate_curve(view: RecordView, *, dark: bool = False) -> Figure:
    """Draw accuracy over the bits per pixel of whole files, each method with a band.

    Quantizers write indexed PNG files. A codec is a dotted line over its qualities.

    Args:
        view: view of a record.
        dark: True to draw for a dark page.
    """
    figure, (axes,) = new_figure(1, dark)
    _draw_rate(axes, view, dark)
    return figure


def both_curves(view: RecordView, *, dark: bool = False) -> Figure:
    """Draw :func:`accuracy_curve` and :func:`rate_curve` side by side.

    Args:
        view: view of a record.
        dark: True to draw for a dark page.
    """
    figure, (left, right) = new_figure(2, dark)
    draw_accuracy(left, view, dark)
    _draw_rate(right, view, dark)
    return figure


class Point(NamedTuple):
    """Point of a curve: position on the horizontal axis, accuracy, and the ends of the band."""

    x: float
    accuracy: float
    low: float
    high: float


Curve = Sequence[Point]
"""Points of a curve, from left to right."""


def point(x: float, score: Score | Verdict, std: float | None = None) -> Point:
    """Return a point of a curve. Its band is mean ± standard deviation, or the interval without ``std``.

    Args:
        x: position on the horizontal axis.
        score: the result.
        std: standard deviation over seeds, if there are several.
    """
    mean = score.accuracy
    return Point(x, mean, *(score.interval if std is None else (mean - std, mean + std)))


def draw_accuracy(axes: Axes, view: RecordView, dark: bool) -> None:
    """Draw accuracy over the number of colours.

    Args:
        axes: a panel.
        view: view of a record.
        dark: True to draw for a dark page.
    """
    style_of = styles(view.methods, dark=dark)
    sizes = sorted(view.sizes)
    curves = method_curves(view, lambda method, size: math.log2(size))
    draw_curves(axes, curves, style_of)
    _draw_published(axes, view, style_of, theme(dark))
    axes.set_xticks([math.log2(size) for size in _thinned(sizes)], map(_tick, _thinned(sizes)))
    axes.tick_params(axis="x", length=4, color=axes.spines["bottom"].get_edgecolor())
    low, high = math.log2(sizes[0]), math.log2(sizes[-1])
    room = max(0.04 * (high - low), 0.15)
    axes.set_xlim(low - room, high + room)
    axes.set_xlabel("colours in an image", color=theme(dark).ink, fontsize=11)
    finish(axes, view, style_of, curves, theme(dark))


def _draw_rate(axes: Axes, view: RecordView, dark: bool) -> None:
    curves = method_curves(view, lambda method, size: view.scores(method)[size].png_bpp)
    coded = _codec_curves(view)
    style_of = styles([*view.methods, *coded], dark=dark)
    style_of |= {name: replace(style_of[name], line=":") for name in coded}
    curves |= coded
    draw_curves(axes, curves, style_of)
    log_axis(axes, [2.0**power for power in range(-6, 7)], "g")
    kind = "whole" if coded else "PNG"
    axes.set_xlabel(f"bits per pixel of the {kind} files", color=theme(dark).ink, fontsize=11)
    finish(axes, view, style_of, curves, theme(dark))


def method_curves(view: RecordView, x_of: Callable[[str, int], float | None]) -> dict[str, Curve]:
    """Return a curve for each method.

    Args:
        view: view of a record.
        x_of: function from method and number of colours to the position on the horizontal axis; None to skip.
    """
    curves: dict[str, list[Point]] = {}
    for method in view.methods:
        for size, score in sorted(view.scores(method).items()):
            if (x := x_of(method, size)) is not None:
                curves.setdefault(method, []).append(point(x, score, view.std(method, size)))
    return dict(curves)


def _codec_curves(view: RecordView) -> dict[str, Curve]:
    """Return a curve over the size of the files for each format."""
    curves: dict[str, list[Point]] = {}
    for codec, score in view.codecs.items():
        if score.file_bpp is not None:
            found = point(score.file_bpp, score, view.std(codec))
            curves.setdefault(split_method(codec)[0], []).append(found)
    return {name: sorted(points) for name, points in curves.items()}


def draw_curves(axes: Axes, curves: Mapping[str, Curve], style_of: Mapping[str, Style]) -> None:
    """Draw accuracies in per cent, each curve with its band.

    Args:
        axes: a panel.
        curves: name -> curve. The first is drawn on top.
        style_of: name -> style.
    """
    for layer, (name, curve) in enumerate(curves.items()):
        style = style_of[name]
        x, y, low, high = np.array(curve).T * [[1], [_PERCENT], [_PERCENT], [_PERCENT]]
        order = 3 + 1 / (1 + layer)
        axes.fill_between(x, low, high, color=style.color, alpha=0.16, linewidth=0, zorder=2)
        axes.plot(
            x, y, style.line, color=style.color, marker=style.marker, markersize=6, linewidth=2, zorder=order,
            markerfacecolor=axes.get_facecolor() if style.hollow else style.color, markeredgewidth=1.4,
        )  # fmt: skip


def _draw_published(axes: Axes, view: RecordView, style_of: Mapping[str, Style], colors: Theme) -> None:
    drawn = False
    for method, style in style_of.items():
        printed = {size: view.published(method, size) for size in sorted(view.sizes)}
        points = [(math.log2(size), _PERCENT * value) for size, value in printed.items() if value is not None]
        if points:
            axes.plot(*zip(*points), ":", color=style.color, linewidth=1.4)
            drawn = True
    if drawn:
        axes.text(
            0.99, 0.02, "dotted: published", transform=axes.transAxes, ha="right", va="bottom",
            color=colors.muted, fontsize=9.5,
        )  # fmt: skip


def finish(
    axes: Axes, view: RecordView, style_of: Mapping[str, Style], curves: Mapping[str, Curve], colors: Theme
) -> None:
    """Scale the accuracy axis, draw the line of full colour, and label the curves.

    Args:
        axes: a panel with curves.
        view: view of the record.
        style_of: name -> style.
        curves: name -> curve.
        colors: theme of the page.
    """
    full = _PERCENT * view.original.accuracy
    lines = [float(value) for line in axes.get_lines() for value in np.asarray(line.get_ydata())]
    lowest, highest = min([full, *lines]), max([full, *lines])
    bottom = max(0, 10 * math.floor((lowest - 3) / 10))
    top = min(102, max(highest, bottom + 10) + 0.08 * max(highest - bottom, 10))
    for end in (_PERCENT * end for curve in curves.values() for at in curve for end in (at.low, at.high)):
        if math.isfinite(end):  # bands of few images are wide
            bottom, top = min(bottom, 10 * math.floor(end / 10)), max(top, min(102, end + 1))
    axes.set_ylim(bottom, top)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
    axes.axhline(full, color=colors.muted, linewidth=1.2, linestyle=(0, (1, 1.5)), zorder=1)
    axes.annotate(
        f"full colour {full:.1f} %", (0.01, full), xycoords=("axes fraction", "data"), xytext=(0, 4),
        textcoords="offset points", color=colors.muted, fontsize=10,
    )  # fmt: skip
    axes.set_title(f"accuracy, {view.band}", loc="left", color=colors.ink, fontsize=11, pad=8)
    label_ends(axes, style_of, curves)


def label_ends(
    axes: Axes,
    style_of: Mapping[str, Style],
    curves: Mapping[str, Curve],
    names: Mapping[str, str] | None = None,
) -> None:
    """Label each curve to the right of the panel, or at its end if the curve ends early.

    Args:
        axes: a panel with curves.
        style_of: name -> style.
        curves: name -> curve.
        names: name -> readable name, for names that are not methods.
    """
    ends = {name: (curve[-1].x, _PERCENT * curve[-1].accuracy) for name, curve in curves.items()}
    names = fitted({**display_names(ends), **(names or {})})
    to_axes = axes.transData + axes.transAxes.inverted()
    places = {method: (*to_axes.transform(end),) for method, end in ends.items()}
    inside = [method for method, (x, _) in places.items() if x < _FAR and not _crowded(method, places)]
    methods = sorted((name for name in ends if name not in inside), key=lambda name: places[name][1])
    for method in inside:
        axes.annotate(
            names[method], ends[method], xytext=(9, 0), textcoords="offset points", fontsize=_NAME_SIZE,
            va="center_baseline", color=style_of[method].color, zorder=6,
            bbox={"facecolor": axes.get_facecolor(), "edgecolor": "none", "alpha": 0.8, "pad": 1},
        )  # fmt: skip
    for method, level in zip(methods, separate([places[method][1] for method in methods], _LABEL_GAP)):
        style = style_of[method]
        axes.annotate(
            "", ends[method], xytext=(1.06, level), textcoords="axes fraction", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": style.color, "linewidth": 0.8, "alpha": 0.6,
                        "shrinkA": 0, "shrinkB": 5},
        )  # fmt: skip
        axes.plot(
            1.06, level, style.marker, transform=axes.transAxes, clip_on=False, color=style.color,
            markersize=6, markeredgewidth=1.4,
            markerfacecolor=axes.get_facecolor() if style.hollow else style.color,
        )  # fmt: skip
        axes.text(
            1.09, level, names[method], transform=axes.transAxes, color=style.color, fontsize=_NAME_SIZE,
            va="center_baseline",
        )  # fmt: skip


def fitted(names: Mapping[str, str]) -> dict[str, str]:
    """Return names that fit beside a panel. Long names of variants lose the part with the method."""
    variants = {key: name[max(0, name.find(" (")) :].strip() for key, name in names.items()}
    seen = Counter(variants.values())
    fitting = {
        key: variants[key] if len(name) > _LONGEST and seen[variants[key]] == 1 else name
        for key, name in names.items()
    }
    return {key: shortened(name) for key, name in fitting.items()}


def _crowded(method: str, places: Mapping[str, tuple[float, ...]]) -> bool:
    """Return True if a name at the end of its curve would overlap another end or name."""
    x, y = places[method]
    others = [place for name, place in places.items() if name != method]
    return any(-_NAME_WIDTH < left - x < _NAME_WIDTH and abs(up - y) < _LABEL_GAP for left, up in others)


def separate(wanted: Sequence[float], gap: float) -> list[float]:
    """Return positions in [0, 1] with a minimum gap and the smallest sum of squared shifts.

    After the gaps are subtracted, this is isotonic regression.

    Args:
        wanted: positions in ascending order.
        gap: minimum distance.
    """
    from sklearn.isotonic import isotonic_regression

    if not wanted:
        return []
    steps = gap * np.arange(len(wanted))
    room = max(0.0, 1 - steps[-1])
    return list(isotonic_regression(np.asarray(wanted) - steps, y_min=0, y_max=room) + steps)


def shortened(name: str, length: int = _LONGEST) -> str:
    """Cut a long name in its middle, because long names differ in their ends.

    Args:
        name: the name.
        length: maximum number of characters.
    """
    end = length // 2 - 2
    return name if len(name) <= length else f"{name[: length - 1 - end]}…{name[-end:]}"


def _tick(size: int) -> str:
    return f"{size}\n{bits_of(size)}".rstrip()


def _thinned(sizes: Sequence[int]) -> Sequence[int]:
    """Return at most nine ticks that do not touch, powers of two before others."""
    kept: list[int] = []
    for size in sorted(sizes, key=lambda size: (size & (size - 1) != 0, size)):
        if all(abs(math.log2(size / other)) > 0.45 for other in kept):
            kept.append(size)
    return sorted(kept)
