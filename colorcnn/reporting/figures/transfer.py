"""Figures of quantizers on classifiers that they were not trained for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from colorcnn.reporting.figures.canvas import new_canvas
from colorcnn.reporting.figures.curves import shortened
from colorcnn.reporting.figures.style import Theme, readable, theme
from colorcnn.reporting.markup import shown_std
from colorcnn.reporting.naming import colors_and_bits
from colorcnn.reporting.view import ORIGINAL, RecordView

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CELL = (1.25, 0.5)  # width and height of a cell, in inches
_SIDE, _TOP, _EDGE = 2.1, 0.95, 0.2  # margins for names of rows and of columns, and others, in inches


def transfer_matrix(view: RecordView, num_colors: int) -> dict[str, list[tuple[float, float | None]]]:
    """Return readable name -> accuracy and standard deviation with each classifier. Full colour is last.

    Args:
        view: view of a record with several classifiers.
        num_colors: number of colours. Methods without a score for it are left out.
    """
    rows = {}
    for name, size in [*((method, num_colors) for method in view.methods), (ORIGINAL, None)]:
        if score := view.score(name, size):
            verdicts = {classifier: score.judges.get(classifier) for classifier in view.judges}
            rows["full colour" if size is None else view.names[name]] = [
                (verdict.accuracy if verdict else 0.0, view.std(name, size, "judges", classifier, "accuracy"))
                for classifier, verdict in verdicts.items()
            ]
    return rows


def transfer_map(view: RecordView, num_colors: int, *, dark: bool = False) -> Figure:
    """Draw accuracies of every method (rows) with every classifier (columns) at one number of colours.

    The colour of a cell shows the accuracy relative to full colour.

    Args:
        view: view of a record with several classifiers.
        num_colors: number of colours. Methods without a score for it are left out.
        dark: True to draw for a dark page.
    """
    from matplotlib.colors import LinearSegmentedColormap

    colors = theme(dark)
    matrix = transfer_matrix(view, num_colors)
    values = np.array([[accuracy for accuracy, _ in row] for row in matrix.values()])
    rows, columns = values.shape
    width = _SIDE + columns * _CELL[0] + _EDGE
    height = _TOP + rows * _CELL[1] + _EDGE
    figure = new_canvas(width, height, dark)
    area = (_SIDE / width, _EDGE / height, columns * _CELL[0] / width, rows * _CELL[1] / height)
    axes = figure.add_axes(area)
    kept = values / np.maximum(values[-1], 1e-9)
    shades = LinearSegmentedColormap.from_list("kept", [colors.paper, "#5cb3f0" if dark else "#0072b2"])
    axes.imshow(kept, cmap=shades, vmin=0, vmax=1, aspect="auto")
    axes.set_yticks(range(rows), [shortened(name, 24) for name in matrix])
    axes.set_xticks(range(columns), [shortened(name, 15) for name in _last_parts(view.judges)])
    axes.tick_params(
        length=0, labelcolor=colors.ink, labelsize=9.5, top=True, labeltop=True, labelbottom=False
    )
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.axhline(rows - 1.5, color=colors.paper, linewidth=4)
    _write_cells(axes, matrix.values(), shades(kept), colors)
    figure.text(
        _EDGE / width, 1 - 0.28 / height, f"accuracy in % with {colors_and_bits(num_colors)}",
        color=colors.ink, fontsize=11, va="center",
    )  # fmt: skip
    return figure


def _last_parts(paths: Sequence[str]) -> list[str]:
    """Return names without their folders, unless folders are needed to distinguish them."""
    names = [path.rpartition("/")[2] for path in paths]
    return names if len(set(names)) == len(names) else list(paths)


def _write_cells(
    axes: Axes, rows: Iterable[Iterable[tuple[float, float | None]]], cells: np.ndarray, colors: Theme
) -> None:
    for row, values in enumerate(rows):
        for column, (accuracy, std) in enumerate(values):
            text = f"{100 * accuracy:.1f}" + shown_std(std)
            ink = readable(cells[row, column], (colors.ink, colors.paper))
            axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=10)
