"""Figures of what an evaluation was asked besides: accuracy under attack, and before other classifiers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from colorcnn.evaluation.codecs import LOSSLESS
from colorcnn.evaluation.figures import (
    Curve,
    draw_curves,
    label_ends,
    new_canvas,
    new_figure,
    point,
    shortened,
)
from colorcnn.evaluation.naming import attack_title, codec_name, colors_and_bits
from colorcnn.evaluation.style import Style, Theme, readable, styles, theme
from colorcnn.evaluation.transfer import TransferMatrix, transfer_matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Metrics = Mapping[str, Any]

BARE = "no defence"
_ABREAST = 2  # panels of attacks
_CELL = (1.25, 0.5)  # inches of a cell of a heat map
_SIDE, _TOP, _EDGE = 2.1, 0.95, 0.2  # inches for the names of rows and columns, and elsewhere


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


def transfer_map(metrics: Metrics, num_colors: int, *, dark: bool = False) -> Figure:
    """Accuracies of every method (rows) before every classifier (columns) at one number of colours.

    The stronger a cell's colour, the more it keeps of what that classifier recognises in full colour.

    Args:
        metrics: of a record, with ``judges``.
        num_colors: methods without a score there are left out.
        dark: for a dark page.
    """
    from matplotlib.colors import LinearSegmentedColormap

    matrix, colors = transfer_matrix(metrics, num_colors), theme(dark)
    values = np.array(list(matrix.rows.values()))
    rows, columns = values.shape
    width = _SIDE + columns * _CELL[0] + _EDGE
    height = _TOP + rows * _CELL[1] + _EDGE
    figure = new_canvas(width, height, dark)
    place = (_SIDE / width, _EDGE / height, columns * _CELL[0] / width, rows * _CELL[1] / height)
    axes = figure.add_axes(place)
    kept = values / np.maximum(values[-1], 1e-9)
    shades = LinearSegmentedColormap.from_list("kept", [colors.paper, "#5cb3f0" if dark else "#0072b2"])
    axes.imshow(kept, cmap=shades, vmin=0, vmax=1, aspect="auto")
    axes.set_yticks(range(rows), [shortened(name, 24) for name in matrix.rows])
    axes.set_xticks(range(columns), [shortened(name, 15) for name in _last_parts(matrix.judges)])
    axes.tick_params(
        length=0, labelcolor=colors.ink, labelsize=9.5, top=True, labeltop=True, labelbottom=False
    )
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.axhline(rows - 1.5, color=colors.paper, linewidth=4)
    _write_cells(axes, matrix, shades(kept), colors)
    figure.text(
        _EDGE / width, 1 - 0.28 / height, f"accuracy in % with {colors_and_bits(num_colors)}",
        color=colors.ink, fontsize=11, va="center",
    )  # fmt: skip
    return figure


def _last_parts(judges: Sequence[str]) -> list[str]:
    """Names without the folders they are in, where these do not tell them apart."""
    names = [judge.rpartition("/")[2] for judge in judges]
    return names if len(set(names)) == len(names) else list(judges)


def _write_cells(axes: Axes, matrix: TransferMatrix, cells: np.ndarray, colors: Theme) -> None:
    for row, (name, accuracies) in enumerate(matrix.rows.items()):
        for column, accuracy in enumerate(accuracies):
            text = f"{100 * accuracy:.1f}"
            if matrix.spreads:
                text += f" ± {100 * matrix.spreads[name][column]:.1f}"
            ink = readable(cells[row, column], (colors.ink, colors.paper))
            axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=10)
