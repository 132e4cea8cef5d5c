"""Grid of a few images: a row per method, with the classifier's predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from colorcnn.evaluation.gallery import Gallery, MakeRow, PictureSource, Shown, predicted_class
from colorcnn.reporting.figures.canvas import new_canvas, to_png
from colorcnn.reporting.figures.curves import shortened
from colorcnn.reporting.figures.style import Theme, styles, theme
from colorcnn.reporting.markup import Picture
from colorcnn.reporting.naming import PICTURES, colors_and_bits, display_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure


ORIGINAL = "Original"
CELL = 192
"""Side of a cell in pixels: 32-pixel images are enlarged 6 times. Larger images get up to twice this side."""

_GAP = 30
_EDGE = 24
_CAPTION = 50
_MARGIN = 330  # minimum width for the names of the rows, in pixels
_CHARACTER = 20  # width of a letter of a name, in pixels
_LONGEST = 32  # maximum number of letters of a name
_HEADING = 84
_DPI = 200
CAPTION = (
    "Evenly spaced images of the split. Above each column: the true class. Below each image: the predicted "
    "class. A red frame with a cross: the prediction is wrong."
)


def grid_picture(
    source: PictureSource,
    sizes: Sequence[int],
    *,
    count: int,
    rows: Sequence[int] | None = None,
    make_row: MakeRow = predicted_class,
    title: str = PICTURES["grid"],
    caption: str = CAPTION,
    dark: bool = True,
) -> Picture:
    """Draw evenly spaced images of a split, or others, for a report.

    Args:
        source: methods, classifier and images.
        sizes: the numbers of colours to show.
        count: maximum number of images.
        rows: positions of the images in the split; None for evenly spaced ones.
        make_row: returns the row for pixels and logits, for example with activation maps.
        title: heading of the figure.
        caption: text below the figure.
        dark: True to draw for a dark page, too.
    """
    batch = source.evenly_spaced(count) if rows is None else source.split.__getitems__(list(rows))
    gallery = source.gallery(batch, sizes, make_row)
    return gallery_picture(gallery, source.class_names, title, caption, dark=dark)


def gallery_picture(
    gallery: Gallery, class_names: Sequence[str], title: str, caption: str, *, dark: bool = True
) -> Picture:
    """Draw a gallery as a figure of a report.

    Args:
        gallery: the rows.
        class_names: names of the classes, by number.
        title: heading of the figure.
        caption: text below the figure.
        dark: True to draw for a dark page, too.
    """
    light = to_png(image_grid(gallery, class_names))
    dark_png = to_png(image_grid(gallery, class_names, dark=True)) if dark else None
    alt = f"{title}: rows of images, the originals first, then every method."
    return Picture(title, light, dark_png, caption, alt, wide=True)


def image_grid(gallery: Gallery, class_names: Sequence[str], *, dark: bool = False) -> Figure:
    """Draw a gallery: a column per image, a row per method and number of colours, the originals first.

    Pixels are repeated. A wrong prediction has a red frame and a cross.

    Args:
        gallery: the rows.
        class_names: names of the classes, by number.
        dark: True to draw for a dark page.
    """
    methods = list(dict.fromkeys(name for row in gallery.rows.values() for name in row))
    style_of, names = styles(methods, dark=dark), display_names(methods)
    names = {method: shortened(name, _LONGEST) for method, name in names.items()}
    grid = _Grid(gallery, class_names, theme(dark), dark, max(map(len, names.values()), default=0))
    grid.add_heads()
    if gallery.original is not None:
        grid.add_row(ORIGINAL, grid.colors.ink, gallery.original)
    for title, row in gallery.rows.items():
        grid.add_section(title if isinstance(title, str) else colors_and_bits(title))
        for method, shown in row.items():
            grid.add_row(names[method], style_of[method].color, shown)
    return grid.finish()


def picture_rows(rows: Mapping[str, Sequence[np.ndarray]], *, dark: bool = False) -> Figure:
    """Draw several versions of the same images, a row for each version.

    Args:
        rows: title of a row -> images (H, W, 3) uint8.
        dark: True to draw for a dark page.
    """
    colors = theme(dark)
    longest = max(max(picture.shape[:2]) for pictures in rows.values() for picture in pictures)
    cell = min(max(CELL, longest), 2 * CELL)
    margin = _EDGE + _CHARACTER * max(map(len, rows))
    width = margin + max(map(len, rows.values())) * (cell + _EDGE)
    height = _EDGE + len(rows) * (cell + _EDGE)
    figure = new_canvas(width / _DPI, height / _DPI, dark, _DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    for place, (name, pictures) in enumerate(rows.items()):
        top = _EDGE + place * (cell + _EDGE)
        axes.text(_EDGE, top + cell / 2, name, va="center", fontsize=11, color=colors.ink)
        for column, picture in enumerate(pictures):
            large = enlarge(picture, cell)
            left = margin + column * (cell + _EDGE)
            extent = (left, left + large.shape[1], top + large.shape[0], top)
            axes.imshow(large, extent=extent, interpolation="none", aspect="auto")
    axes.set(xlim=(0, width), ylim=(height, 0))
    return figure


class _Grid:
    """Figure in units of pixels. Images are copied into an array, text and frames are drawn over it."""

    def __init__(
        self, gallery: Gallery, class_names: Sequence[str], colors: Theme, dark: bool, longest_name: int
    ) -> None:
        self.labels = gallery.labels
        self.class_names = class_names
        self.colors = colors
        shown = [shown for row in gallery.rows.values() for shown in row.values()]
        shown += [] if gallery.original is None else [gallery.original]
        self.cell = min(max(CELL, *shown[0].pixels.shape[2:]), 2 * CELL)
        self.heads = gallery.heads or [self._name(label, 15) for label in gallery.labels.tolist()]
        rows = len(shown)
        self.margin = max(_MARGIN, _EDGE + _CHARACTER * longest_name)
        self.width = self.margin + len(self.heads) * (self.cell + _GAP)
        self.height = _HEADING * (1 + len(gallery.rows)) + rows * (self.cell + _CAPTION)
        self.top = 0
        paper = [int(colors.paper[place : place + 2], 16) for place in (1, 3, 5)]
        self.canvas = np.full((self.height, self.width, 3), paper, dtype=np.uint8)
        self.figure = new_canvas(self.width / _DPI, self.height / _DPI, dark, _DPI)
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set_axis_off()
        self.axes.set_xlim(0, self.width)
        self.axes.set_ylim(self.height, 0)

    def finish(self) -> Figure:
        extent = (0, self.width, self.height, 0)
        self.axes.imshow(self.canvas, extent=extent, interpolation="none", aspect="auto", zorder=0)
        return self.figure

    def add_heads(self) -> None:
        """Write the titles of the columns: the true classes, or the gallery's own titles."""
        for column, title in enumerate(self.heads):
            self._text(self._centre(column), _HEADING - 24, title, 9.5, self.colors.ink, bold=True)
        self.top = _HEADING

    def add_section(self, text: str) -> None:
        line = [self.top + 16, self.top + 16]
        self.axes.plot([_EDGE, self.width - _GAP], line, color=self.colors.grid, linewidth=1)
        self._text(_EDGE, self.top + 50, text, 10, self.colors.muted, align="left")
        self.top += _HEADING

    def add_row(self, name: str, color: str, shown: Shown) -> None:
        """Draw a row of images, each with the prediction below it."""
        right = shown.predictions == self.labels if shown.right is None else shown.right
        present = torch.ones(len(right), dtype=torch.bool) if shown.present is None else shown.present
        middle = self.top + self.cell / 2
        self._text(_EDGE, middle - 16, name, 11, color, bold=True, align="left")
        if shown.classified:
            count = f"{int((right & present).sum())} of {int(present.sum())} recognised"
            self._text(_EDGE, middle + 22, count, 8.5, self.colors.muted, align="left")
        for column in present.nonzero().flatten().tolist():
            picture = enlarge(shown.pixels[column].permute(1, 2, 0).numpy(), self.cell)
            high, wide = picture.shape[:2]
            x = round(self._centre(column) - wide / 2)
            y = self.top + (self.cell - high) // 2
            self.canvas[y : y + high, x : x + wide] = picture
            below = y + high + 24
            text = self._caption(shown, column, right=bool(right[column]))
            if right[column]:
                self._text(self._centre(column), below, text, 8.5, self.colors.muted)
            else:
                self._mark_wrong(x, y, wide, high)
                self._text(self._centre(column), below, f"✗ {text}", 8.5, self.colors.wrong, bold=True)
        self.top += self.cell + _CAPTION

    def _caption(self, shown: Shown, column: int, *, right: bool) -> str:
        points = 16 if right else 21  # a wrong answer also has a cross
        if shown.captions is not None:
            return self._cut(shown.captions[column], points)
        if shown.confidence is not None:
            return f"{100 * float(shown.confidence[column]):.0f} %"
        return self._name(int(shown.predictions[column]), points)

    def _mark_wrong(self, x: int, y: int, wide: int, high: int) -> None:
        from matplotlib.patches import Rectangle

        color = self.colors.wrong
        frame = Rectangle((x - 4, y - 4), wide + 8, high + 8, fill=False, edgecolor=color, linewidth=2.6)
        left, top = x + wide - 34, y - 6
        self.axes.add_patch(frame)
        self.axes.add_patch(Rectangle((left, top), 40, 40, facecolor=color, edgecolor="none", zorder=4))
        for start, end in ((8, 32), (32, 8)):
            self.axes.plot(
                [left + 8, left + 32], [top + start, top + end],
                color="white", linewidth=2.2, solid_capstyle="round", zorder=5,
            )  # fmt: skip

    def _text(
        self,
        x: float,
        y: float,
        text: str,
        size: float,
        color: str,
        *,
        bold: bool = False,
        align: str = "center",
    ) -> None:
        """Write a line of text at a position in pixels, with a font size in points."""
        weight = "bold" if bold else "normal"
        self.axes.text(x, y, text, ha=align, va="center", fontsize=size, fontweight=weight, color=color)

    def _centre(self, column: int) -> float:
        return self.margin + column * (self.cell + _GAP) + self.cell / 2

    def _name(self, label: int, points: float) -> str:
        return self._cut(self.class_names[label], points)

    def _cut(self, name: str, points: float) -> str:
        """Cut a text to the width of a column, assuming ``points`` pixels per letter."""
        length = int(self.cell // points)
        return name if len(name) <= length else f"{name[: length - 1]}…"


def enlarge(pixels: np.ndarray, side: int) -> np.ndarray:
    """Enlarge or reduce an image: every pixel is repeated equally often, or some pixels are left out.

    Args:
        pixels: (H, W, 3).
        side: approximate length of the longer side of the result.
    """
    longest = max(pixels.shape[:2])
    if longest <= side:
        times = side // longest
        return pixels.repeat(times, axis=0).repeat(times, axis=1)
    high, wide = (max(1, extent * side // longest) for extent in pixels.shape[:2])
    rows = np.arange(high) * pixels.shape[0] // high
    columns = np.arange(wide) * pixels.shape[1] // wide
    return pixels[rows][:, columns]
