"""A report on one or more evaluations: a single HTML file that needs nothing else."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from colorcnn.evaluation.figures import accuracy_curve, rate_curve, to_svg
from colorcnn.evaluation.naming import colors_and_bits, display_names
from colorcnn.evaluation.style import DARK, LIGHT, Theme
from colorcnn.evaluation.table import MISSING, columns_explained, notes, table_rows
from colorcnn.files import write_atomically
from colorcnn.records import Record

_PAGE = Path(__file__).with_name("report.html")


@dataclass(frozen=True)
class Picture:
    """A PNG or SVG file for a report, with a version for dark pages.

    Attributes:
        title: heading above it.
        light: the file's content.
        dark: the same for dark pages.
        caption: text below it.
        alt: what it shows, for those who cannot see it.
        wide: scrolls on a narrow screen instead of shrinking.
    """

    title: str
    light: bytes
    dark: bytes
    caption: str
    alt: str
    wide: bool = False


def write_report(
    records: Record | Sequence[Record],
    path: str | os.PathLike[str],
    *,
    title: str = "What a few colours keep",
    pictures: Sequence[Picture] = (),
    overwrite: bool = True,
) -> Path:
    """Write records of evaluations as one HTML file: a summary, curves, pictures and tables.

    It asks the network for nothing, reads on a phone, and follows the reader's light or dark setting.

    Args:
        records: with the metrics of :meth:`colorcnn.evaluation.scores.Evaluation.to_json`.
        path: the file to write.
        title: heading of the page.
        pictures: shown after the curves of the first record.
        overwrite: replace an existing file.

    Raises:
        ColorCNNError: the file exists and ``overwrite`` is false, or it cannot be written.
    """
    records = [records] if isinstance(records, Record) else list(records)
    shown = [pictures, *([()] * len(records))]  # the pictures belong to the first
    body = [_section(record, some, headed=len(records) > 1) for record, some in zip(records, shown)]
    page = Template(_PAGE.read_text(encoding="utf-8")).substitute(
        title=escape(title),
        body="\n".join(body),
        light=_variables(LIGHT),
        dark=_variables(DARK),
    )
    return write_atomically(path, page.encode(), overwrite=overwrite)


def summary(record: Record) -> str:
    """The result in two or three sentences."""
    metrics, config = record.metrics, record.config
    where = f" of {config['data']}" if "data" in config else ""
    split = f"{config['split']} " if "split" in config else ""
    who = f"the classifier {config['classifier']}" if "classifier" in config else "the classifier"
    full = metrics["original"]["accuracy"]
    text = f"On {record.n:,} {split}images{where}, {who} recognises {_percent(full)} in full colour."
    sizes = [size for size in metrics["sizes"] if _ranked(metrics, size)]
    for size in dict.fromkeys([*sizes[:1], *sizes[-1:]]):
        best, *others = (f"{name} keeps {_percent(accuracy)}" for accuracy, name in _ranked(metrics, size))
        text += f" With {colors_and_bits(size)}, {best}{' and ' + others[0] if others else ''}."
    return text


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _ranked(metrics: Mapping[str, Any], size: int) -> list[tuple[float, str]]:
    names = display_names(metrics["methods"])
    found = [
        (result["scores"][str(size)]["accuracy"], names[method])
        for method, result in metrics["methods"].items()
        if str(size) in result["scores"]
    ]
    return sorted(found, key=lambda entry: -entry[0])


def _section(record: Record, pictures: Sequence[Picture], *, headed: bool) -> str:
    metrics = record.metrics
    name = escape(str(record.config.get("data", record.command)))
    curves = [
        _curve(metrics, accuracy_curve, "Accuracy and the number of colours"),
        _curve(metrics, rate_curve, "Accuracy and the size of the files"),
    ]
    return "\n".join(
        [
            f"<h2>{name}</h2>" if headed else "",
            f'<p class="summary">{escape(summary(record))}</p>',
            _accuracy_table(metrics),
            '<div class="curves">',
            *(_picture(curve) for curve in curves),
            "</div>",
            *(_picture(picture) for picture in pictures),
            _full_table(metrics),
            _provenance(record),
        ]
    )


def _curve(metrics: Mapping[str, Any], draw: Any, title: str) -> Picture:
    light, dark = (to_svg(draw(metrics, dark=night)) for night in (False, True))
    return Picture(title, light, dark, "", f"{title}: the numbers are in the tables.")


def _picture(picture: Picture) -> str:
    light, dark = (_data_uri(content) for content in (picture.light, picture.dark))
    caption = f"<figcaption>{escape(picture.caption)}</figcaption>" if picture.caption else ""
    return (
        f'<figure{" class=wide" if picture.wide else ""}><h3>{escape(picture.title)}</h3><div class="scroll">'
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img src="{light}" alt="{escape(picture.alt)}"></picture></div>{caption}</figure>'
    )


def _data_uri(content: bytes) -> str:
    kind = "image/png" if content.startswith(b"\x89PNG") else "image/svg+xml"
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _accuracy_table(metrics: Mapping[str, Any]) -> str:
    """Accuracy alone, methods by numbers of colours: the table most readers want."""
    names = display_names(metrics["methods"])
    head = ["", *(colors_and_bits(size).replace(" (", "<br>").rstrip(")") for size in metrics["sizes"])]
    best = {size: _ranked(metrics, size)[:1] for size in metrics["sizes"]}
    rows = []
    for method, result in metrics["methods"].items():
        cells = [escape(names[method])]
        for size in metrics["sizes"]:
            score = result["scores"].get(str(size))
            if score is None:
                cells.append(MISSING)
                continue
            low, high = score["interval"]
            value = f"{100 * score['accuracy']:.1f}"
            if best[size] and score["accuracy"] == best[size][0][0]:
                value = f"<strong>{value}</strong>"
            cells.append(f"{value}<small>{100 * low:.1f}–{100 * high:.1f}</small>")
        rows.append(cells)
    full = f"{100 * metrics['original']['accuracy']:.1f}"
    caption = f"Accuracy in %, with its 95 % interval; {full} in full colour. The best of a column is bold."
    return _table(head, rows, caption)


def _full_table(metrics: Mapping[str, Any]) -> str:
    head, rows = table_rows(metrics)
    words = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in columns_explained(head).items()
    )
    remarks = "".join(f"<p>{escape(note)}</p>" for note in notes(metrics))
    table = _table(map(escape, head), [[escape(cell) for cell in row] for row in rows], "Every measurement.")
    return f"<details><summary>All measurements</summary>{table}{remarks}<dl>{words}</dl></details>"


def _table(head: Iterable[str], rows: Iterable[Sequence[str]], caption: str) -> str:
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return (
        f'<figure><div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _provenance(record: Record) -> str:
    entries = {
        "command": record.command,
        "date": record.date,
        "machine": record.device,
        "time": f"{record.wall_seconds:,.0f} s, {record.cpu_seconds:,.0f} s of processor time",
        "versions": ", ".join(f"{name} {version}" for name, version in record.versions.items()),
    }
    if record.seeds:
        entries["seeds"] = ", ".join(f"{name} {seed}" for name, seed in record.seeds.items())
    if record.git:
        changed = ", with changes" if record.git["dirty"] else ""
        entries["source"] = f"{record.git['commit']}{changed}"
    words = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in entries.items())
    return f"<details><summary>How this was measured</summary><dl>{words}</dl></details>"


def _variables(theme: Theme) -> str:
    return " ".join(f"--{name}: {color};" for name, color in vars(theme).items())
