"""The pieces of a report: tables and pictures. Text, Markdown and HTML show the same pieces."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

MISSING = "–"


@dataclass(frozen=True)
class Cell:
    """A cell with more than its text. HTML shows all of it, text and Markdown show the text.

    Attributes:
        text: the content.
        small: a second line in small letters.
        mark: a mark in front of the text, such as stars.
        strong: show the text in bold letters.
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
        notes: lines below the table.
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
    """A PNG or SVG file for a report, with a version for dark pages.

    Attributes:
        title: heading above it.
        light: the file's content.
        dark: the file's content for dark pages. If it is None, dark pages show the light one.
        caption: text below it.
        alt: a description for readers who cannot see it.
        wide: scroll on a narrow screen instead of shrinking.
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


def percent(value: float | None, spread: float | None = None, digits: int = 1, missing: str = "") -> str:
    """Return a share in per cent, such as ``84.7`` or ``84.7 ± 0.3``.

    Args:
        value: in [0, 1], or None.
        spread: the standard deviation; without one, or where it is shown as 0, the value stands alone.
        digits: number of decimals.
        missing: text for None.
    """
    if value is None:
        return missing
    return f"{100 * value:.{digits}f}" + shown_spread(spread, digits)


def shown_spread(spread: float | None, digits: int = 1) -> str:
    """Return a standard deviation in per cent, such as `` ± 0.3``; nothing where it would be shown as 0.

    Args:
        spread: in [0, 1], or None.
        digits: number of decimals.
    """
    shown = f"{100 * (spread or 0):.{digits}f}"
    return f" ± {shown}" if float(shown) else ""
