"""The pieces a report is made of: tables and pictures as HTML that needs no other file."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Picture:
    """A PNG or SVG file for a report, with a version for dark pages.

    Attributes:
        title: heading above it.
        light: the file's content.
        dark: the same for dark pages; None shows the light one there, too.
        caption: text below it.
        alt: what it shows, for those who cannot see it.
        wide: scrolls on a narrow screen instead of shrinking.
    """

    title: str
    light: bytes
    dark: bytes | None
    caption: str
    alt: str
    wide: bool = False


def picture_html(picture: Picture) -> str:
    """A picture with its heading and caption."""
    source = ""
    if picture.dark is not None:
        source = f'<source media="(prefers-color-scheme: dark)" srcset="{_data_uri(picture.dark)}">'
    caption = f"<figcaption>{escape(picture.caption)}</figcaption>" if picture.caption else ""
    return (
        f'<figure{" class=wide" if picture.wide else ""}><h3>{escape(picture.title)}</h3><div class="scroll">'
        f'<picture>{source}<img src="{_data_uri(picture.light)}" alt="{escape(picture.alt)}"></picture></div>'
        f"{caption}</figure>"
    )


def _data_uri(content: bytes) -> str:
    kind = "image/png" if content.startswith(b"\x89PNG") else "image/svg+xml"
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def table_html(head: Iterable[str], rows: Iterable[Sequence[str]], caption: str) -> str:
    """A table; head, cells and caption are HTML already, the first cell of a row is its heading."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    below = f"<figcaption>{caption}</figcaption>" if caption else ""
    return (
        f'<figure><div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
        f"{below}</figure>"
    )


def plain_table_html(head: Iterable[str], rows: Iterable[Sequence[str]], caption: str = "") -> str:
    """A table of plain text."""
    return table_html(map(escape, head), [[escape(cell) for cell in row] for row in rows], escape(caption))


def list_html(entries: Iterable[tuple[str, str]]) -> str:
    """Names and what they mean, of plain text."""
    words = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in entries)
    return f"<dl>{words}</dl>"


def fold_html(summary: str, content: str) -> str:
    """HTML that unfolds at a click."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"
