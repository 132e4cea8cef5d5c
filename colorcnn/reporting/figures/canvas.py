"""Empty figures and panels, and figures as files. No display is needed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from colorcnn.reporting.figures.style import theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIZE = (6.5, 4.3)


def to_png(figure: Figure) -> bytes:
    """Return a figure as a PNG file. The same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi="figure", metadata={"Software": None})
    return buffer.getvalue()


def to_svg(figure: Figure) -> bytes:
    """Return a figure as an SVG file with text as paths. The same figure gives the same bytes."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    with mpl.rc_context({"svg.fonttype": "path", "svg.hashsalt": "colorcnn"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def new_canvas(width: float, height: float, dark: bool, dpi: float = 200) -> Figure:
    """Return an empty figure that draws with Agg and changes no global state.

    Args:
        width: width in inches.
        height: height in inches.
        dark: True to draw for a dark page.
        dpi: pixels per inch.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=dpi, facecolor=theme(dark).paper)
    FigureCanvasAgg(figure)
    return figure


class Margins(NamedTuple):
    """Margins around a panel, in inches."""

    left: float
    right: float
    top: float
    bottom: float


_MARGINS = Margins(0.68, 2.16, 0.08 * _SIZE[1], 0.17 * _SIZE[1])  # names of curves at the right


def new_panels(
    columns: int, rows: int, dark: bool, size: tuple[float, float], margins: Margins
) -> tuple[Figure, np.ndarray]:
    """Return a figure with a grid of panels of one size, and the axes (rows, columns).

    Args:
        columns: number of panels in a row.
        rows: number of rows.
        dark: True to draw for a dark page.
        size: width and height of a panel with its margins, in inches.
        margins: margins around a panel.
    """
    width, height = size
    figure = new_canvas(columns * width, rows * height, dark)
    axes = figure.subplots(rows, columns, squeeze=False)
    beside, around = margins.left + margins.right, margins.top + margins.bottom
    figure.subplots_adjust(
        left=margins.left / width / columns,
        right=1 - margins.right / width / columns,
        top=1 - margins.top / height / rows,
        bottom=margins.bottom / height / rows,
        wspace=beside / (width - beside),
        hspace=around / (height - around),
    )
    for panel in axes.flat:
        panel.set_facecolor(theme(dark).paper)
    return figure, axes


def new_figure(count: int, dark: bool, max_columns: int = 2) -> tuple[Figure, Sequence[Axes]]:
    """Return a figure and its panels, row by row, with room for the names of curves at the right.

    Args:
        count: number of panels.
        dark: True to draw for a dark page.
        max_columns: maximum number of panels in a row.
    """
    columns = min(count, max_columns)
    figure, axes = new_panels(columns, -(-count // columns), dark, _SIZE, _MARGINS)
    colors, panels = theme(dark), list(axes.flat)
    for spare in panels[count:]:
        spare.remove()
    for panel in panels[:count]:
        panel.grid(axis="y", color=colors.grid, linewidth=0.8)
        panel.set_axisbelow(True)
        panel.tick_params(colors=colors.muted, labelsize=10, length=0)
        for side, spine in panel.spines.items():
            spine.set_visible(side == "bottom")
            spine.set_color(colors.muted)
    return figure, panels[:count]


def log_axis(axes: Axes, ticks: Sequence[float], number_format: str) -> None:
    """Make the horizontal axis logarithmic, and long enough for two ticks.

    Args:
        axes: a panel with curves.
        ticks: positions of the ticks.
        number_format: format of a tick's number.
    """
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

    axes.set_xscale("log", base=2)
    low, high = axes.get_xlim()
    if sum(low <= tick <= high for tick in ticks) < 2:
        axes.set_xlim(low / 2, high * 2)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format(value, number_format)))
    axes.tick_params(axis="x", length=4, color=axes.spines["bottom"].get_edgecolor())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
