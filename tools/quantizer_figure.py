"""The figure of the benchmark of quantizers: error against time."""

from __future__ import annotations

from typing import Any

from quantizer_targets import ANCHOR

from colorcnn.reporting.figures.canvas import Margins, new_panels, to_png
from colorcnn.reporting.figures.style import LIGHT, styles

_OURS = {
    "Pillow MEDIANCUT": "median-cut",
    "Pillow MAXCOVERAGE": "max-coverage",
    "Pillow FASTOCTREE": "octree",
}
"""Name in the table -> method of the package, whose look it has in all figures."""


def draw(summary: dict[str, Any], sizes: list[int]) -> bytes:
    """Draw error against time in the style of the reports, a panel for each number of colours.

    Args:
        summary: by method and number of colours: ``above`` and ``milliseconds``.
        sizes: the numbers of colours.

    Returns:
        A PNG file.
    """
    columns = min(4, len(sizes) + 1)
    rows = -(-(len(sizes) + 1) // columns)
    figure, panels = new_panels(columns, rows, False, (4.0, 3.6), Margins(0.75, 0.25, 0.45, 0.6))
    methods = {name: _OURS.get(name, name) for name in summary}
    looks = styles(methods.values())
    for axes, size in zip(panels.flat, sizes):
        for name, row in summary.items():
            look, cell = looks[methods[name]], row.get(str(size))
            if cell is None:
                continue
            time_of_anchor = summary[ANCHOR][str(size)]["milliseconds"]
            axes.plot(
                cell["milliseconds"] / time_of_anchor, max(cell["above"], 0.01), look.marker,
                color=look.color, markersize=7, label=name, zorder=3,
            )  # fmt: skip
        axes.set(xscale="log", yscale="log")
        axes.set_title(f"{size} colours", loc="left", color=LIGHT.ink, fontsize=11)
        axes.set_xlabel(f"time, of {ANCHOR}'s", color=LIGHT.ink, fontsize=10)
        axes.set_ylabel("MSE, % above the best known", color=LIGHT.ink, fontsize=10)
        axes.grid(axis="y", color=LIGHT.grid, linewidth=0.8)
        axes.tick_params(which="both", colors=LIGHT.muted, labelsize=9)
        for side, spine in axes.spines.items():
            spine.set_visible(side == "bottom")
            spine.set_color(LIGHT.muted)
    for spare in panels.flat[len(sizes) :]:
        spare.axis("off")
    handles, labels = panels.flat[0].get_legend_handles_labels()
    panels.flat[len(sizes)].legend(handles, labels, loc="center left", frameon=False, labelcolor=LIGHT.ink)
    return to_png(figure)
