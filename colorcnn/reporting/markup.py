"""Tables and figures of a report, which text, Markdown and HTML pages share."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

MISSING = "–"


@dataclass(frozen=True)
class Cell:
    """A cell of a table. HTML shows all attributes, text and Markdown show ``text`` alone.

    Attributes:
        text: the content.
        small: a second line in small print.
        mark: a mark in front of the text, such as stars.
        strong: True for bold text.
        link: the target of a link.
    """

    text: str
    small: str = ""
    mark: str = ""
    strong: bool = False
    link: str = ""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Table:
    """A table for a terminal, a Markdown page or an HTML page.

    Attributes:
        head: titles of the columns.
        rows: the cells. The first cell of a row is its heading.
        notes: lines of text below the table.
    """

    head: Sequence[str | Cell]
    rows: Sequence[Sequence[str | Cell]]
    notes: Sequence[str] = ()

    def text(self) -> str:
        """Return aligned columns, the first one to the left, a rule below the head, and the notes."""
        lines = [[str(cell) for cell in row] for row in (self.head, *self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines)]
        lines.insert(1, ["-" * width for width in widths])
        aligned = (
            [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:]))]
            for line in lines
        )
        return "\n".join([*("  ".join(cells).rstrip() for cells in aligned), *self.notes])

    def markdown(self) -> str:
        """Return a Markdown table, an empty line and the notes."""
        lines = ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in self.rows]
        head = " | ".join(map(str, self.head))
        notes = chain([""], self.notes) if self.notes else ()
        return "\n".join([f"| {head} |", "|---" * len(self.head) + "|", *lines, *notes]) + "\n"


@dataclass(frozen=True)
class Picture:
    """A figure of a report: a PNG or SVG file, and a version for dark pages.

    Attributes:
        title: heading above the figure.
        light: content of the file.
        dark: content of the file for dark pages; None to show ``light``.
        caption: text below the figure.
        alt: a description for readers who cannot see the figure.
        wide: True to scroll on a narrow screen instead of shrinking.
    """

    title: str
    light: bytes
    dark: bytes | None
    caption: str
    alt: str
    wide: bool = False


def data_uri(content: bytes) -> str:
    """Return a PNG or SVG file as a URI that holds the whole file."""
    kind = "image/png" if content.startswith(b"\x89PNG") else "image/svg+xml"
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def percent(value: float | None, std: float | None = None, digits: int = 1, missing: str = "") -> str:
    """Return a share in per cent, such as ``84.7`` or ``84.7 ± 0.3``.

    Args:
        value: the share in [0, 1], or None.
        std: the standard deviation. If it is None or rounds to 0, only the value is returned.
        digits: number of decimals.
        missing: text for None.
    """
    if value is None:
        return missing
    return f"{100 * value:.{digits}f}" + shown_std(std, digits)


def shown_std(std: float | None, digits: int = 1) -> str:
    """Return a standard deviation in per cent, such as `` ± 0.3``; an empty text if it rounds to 0.

    Args:
        std: the standard deviation in [0, 1], or None.
        digits: number of decimals.
    """
    shown = f"{100 * (std or 0):.{digits}f}"
    return f" ± {shown}" if float(shown) else ""
