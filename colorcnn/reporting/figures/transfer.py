"""Figures of quantizers on classifiers that they were not trained for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from colorcnn.reporting.figures.curves import new_canvas, shortened
from colorcnn.reporting.figures.style import Theme, readable, theme
from colorcnn.reporting.naming import colors_and_bits
from colorcnn.reporting.transfer import TransferMatrix, transfer_matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Metrics = Mapping[str, Any]

_CELL = (1.25, 0.5)  # inches of a cell of a heat map
_SIDE, _TOP, _EDGE = 2.1, 0.95, 0.2  # inches for the names of rows and columns, and elsewhere


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
