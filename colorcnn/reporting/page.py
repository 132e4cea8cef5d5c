"""A report on one or more records: a single HTML file that needs nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from tqdm import tqdm

from colorcnn.errors import ColorCNNError
from colorcnn.evaluation.statistics import against_first, stars, stars_explained
from colorcnn.files import write_atomically
from colorcnn.records import Record, showing
from colorcnn.reporting.figures.curves import accuracy_curve, rate_curve, to_svg
from colorcnn.reporting.figures.robustness import robustness_curves
from colorcnn.reporting.figures.stored import stored_curves
from colorcnn.reporting.figures.style import DARK, LIGHT, Theme
from colorcnn.reporting.figures.transfer import transfer_map
from colorcnn.reporting.markup import (
    Picture,
    fold_html,
    list_html,
    picture_html,
    plain_table_html,
    table_html,
)
from colorcnn.reporting.naming import colors_and_bits, display_names
from colorcnn.reporting.tables.evaluation import (
    MISSING,
    attack_rows,
    columns_explained,
    margin_rows,
    notes,
    table_rows,
    transfer_rows,
)
from colorcnn.reporting.tables.stored import is_stored

Metrics = Mapping[str, Any]

_PAGE = Path(__file__).with_name("page.html")
_LONGEST = 60  # letters of a value that a table of unknown metrics shows


@dataclass(frozen=True)
class Entry:
    """A record in a report of several.

    Attributes:
        name: what it is called, such as its file's name.
        record: the record.
        pictures: shown after its curves.
    """

    name: str
    record: Record
    pictures: Sequence[Picture] = ()


def write_report(
    records: Record | Sequence[Record | Entry],
    path: str | os.PathLike[str],
    *,
    title: str = "What a few colours keep",
    pictures: Sequence[Picture] = (),
    overwrite: bool = True,
    skip: Callable[[ColorCNNError], None] | None = None,
) -> Path:
    """Write records as one HTML file: a summary, curves, pictures and tables, and an overview of several.

    It asks the network for nothing, reads on a phone, and follows the reader's light or dark setting.

    Args:
        records: with the metrics of :meth:`colorcnn.evaluation.scores.Evaluation.to_json`; the numbers of any
            other record are listed.
        path: the file to write.
        title: heading of the page.
        pictures: shown after the curves of the first record.
        overwrite: replace an existing file.
        skip: is called with the error of a record that does not hold what it should. The page is then made
            of the others.

    Raises:
        ColorCNNError: the file exists and ``overwrite`` is false, it cannot be written, or a record does not
            hold what it should and ``skip`` is None, or no other is left.
    """
    given = [records] if isinstance(records, Record) else list(records)
    entries: list[Entry] = []
    body: list[str] = []
    for each in tqdm(given, desc="report", unit=" records", disable=None, leave=False):
        entry, place = each if isinstance(each, Entry) else Entry("", each), len(entries)
        own = [*entry.pictures, *(pictures if place == 0 else ())]
        heading = f'<h2 id="{place}">{escape(_heading(entry))}</h2>' if len(given) > 1 else ""
        try:
            with showing(_heading(entry)):
                _overview([entry])
                section, provenance = _section(entry.record, own), _provenance(entry.record)
        except ColorCNNError as error:
            if skip is None or (each is given[-1] and not entries):
                raise
            skip(error)
        else:
            entries.append(entry)
            body += [heading, _question(entry.record), section, provenance]
    if len(entries) > 1:
        body.insert(0, _overview(entries))
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


def _ranked(metrics: Metrics, size: int) -> list[tuple[float, str]]:
    names = display_names(metrics["methods"])
    found = [
        (result["scores"][str(size)]["accuracy"], names[method])
        for method, result in metrics["methods"].items()
        if str(size) in result["scores"]
    ]
    return sorted(found, key=lambda entry: -entry[0])


def _is_evaluation(metrics: Metrics) -> bool:
    return {"original", "methods", "sizes"} <= set(metrics)


def _heading(entry: Entry) -> str:
    return entry.name or str(entry.record.config.get("data", entry.record.command))


def _question(record: Record) -> str:
    """What an experiment asks, and who asked it first."""
    told = [str(record.config[key]) for key in ("title", "source") if record.config.get(key)]
    return f'<p class="question">{escape(": ".join(told))}</p>' if told else ""


def _overview(entries: Sequence[Entry]) -> str:
    """A line for each record: what it is about, and what its first method reached."""
    rows = []
    for place, entry in enumerate(entries):
        record, best = entry.record, ""
        sizes = record.metrics["sizes"] if _is_evaluation(record.metrics) else []
        fewest = min(sizes, default=0)
        if sizes and (ranked := _ranked(record.metrics, fewest)):
            accuracy, name = ranked[0]
            best = f"{escape(name)}, {_percent(accuracy)}<small>with {colors_and_bits(fewest)}</small>"
        full = record.metrics["original"]["accuracy"] if sizes else None
        cells = (
            *(escape(str(record.config.get(key) or MISSING)) for key in ("data", "classifier")),
            *(f"{record.n:,}", _percent(full) if full is not None else MISSING, best or MISSING),
            escape(record.date[:10]),
        )
        title = f"<small>{escape(str(record.config.get('title', '')))}</small>"
        rows.append([f'<a href="#{place}">{escape(_heading(entry))}</a>{title}', *cells])
    head = ["record", "data", "classifier", "images", "full colour", "best with the fewest colours", "date"]
    return f'<div class="overview">{table_html(head, rows, f"{len(entries)} records.")}</div>'


def _section(record: Record, pictures: Sequence[Picture]) -> str:
    if not _is_evaluation(record.metrics):
        return _other(record, pictures)
    return (_stored if is_stored(record.metrics) else _evaluation)(record, pictures)


def _stored(record: Record, pictures: Sequence[Picture]) -> str:
    """Trainings on stored training sets."""
    metrics = record.metrics
    text = (
        f"Classifiers that were trained on stored training sets, on {record.n:,} original images; training "
        f"on the originals gives {_percent(metrics['original']['accuracy'])}."
    )
    curves = _figure(metrics, stored_curves, "Accuracy, colours and coded bytes", wide=True)
    parts = [f'<p class="summary">{escape(text)}</p>', _accuracy_table(metrics), picture_html(curves)]
    return "\n".join([*parts, _other(record, pictures)])


def _evaluation(record: Record, pictures: Sequence[Picture]) -> str:
    metrics = record.metrics
    headers = "Whole files count, with headers and tables." if "codecs" in metrics else ""
    curves = [_figure(metrics, rate_curve, "Accuracy and the size of the files", caption=headers)]
    parts = [f'<p class="summary">{escape(summary(record))}</p>']
    if metrics["methods"]:
        parts.append(_accuracy_table(metrics))
        curves.insert(0, _figure(metrics, accuracy_curve, "Accuracy and the number of colours"))
    parts.append(_in_columns(curves))
    parts += map(picture_html, pictures)
    if "attacks" in metrics:
        parts.append(_attacks(metrics))
    if "judges" in metrics:
        parts.append(_transfer(metrics))
    return "\n".join([*parts, _margins(metrics), _full_table(metrics)])


def _margins(metrics: Metrics) -> str:
    """How far the learned method is ahead of each other one, to be unfolded."""
    head, rows = margin_rows(metrics)
    if not rows:
        return ""
    names = display_names(metrics["methods"])
    told = f"Stars: {stars_explained(metrics)}."
    columns = ["", *(colors_and_bits(int(size)) for size in head[1:])]
    table = plain_table_html(columns, [[names[name], *cells] for name, *cells in rows], told)
    return fold_html(f"How far {names[head[0]]} is ahead of each, in points", table)


def _in_columns(pictures: Sequence[Picture]) -> str:
    return f'<div class="curves">{"".join(map(picture_html, pictures))}</div>'


def _figure(
    metrics: Metrics, draw: Callable[..., Any], title: str, *sizes: int, caption: str = "", wide: bool = False
) -> Picture:
    light, dark = (to_svg(draw(metrics, *sizes, dark=night)) for night in (False, True))
    return Picture(title, light, dark, caption, f"{title}: the numbers are in the tables.", wide)


def _accuracy_table(metrics: Metrics) -> str:
    """Accuracy alone, methods by numbers of colours: the table most readers want."""
    names = display_names(metrics["methods"])
    head = ["", *(colors_and_bits(size).replace(" (", "<br>").rstrip(")") for size in metrics["sizes"])]
    tests = against_first(metrics)
    rows = []
    for method, result in metrics["methods"].items():
        spread = metrics.get("std", {}).get("methods", {}).get(method, {}).get("scores", {})
        marks = {size: stars(test.p_value) for size, test in tests.get(method, {}).items()}
        cells = [escape(names[method])]
        for size in metrics["sizes"]:
            score = result["scores"].get(str(size))
            if score is None:
                cells.append(MISSING)
                continue
            best = score["accuracy"] == _ranked(metrics, size)[0][0]
            deviation = spread.get(str(size), {}).get("accuracy")
            cells.append(_accuracy_cell(score, deviation, marks.get(str(size), ""), best=best))
        rows.append(cells)
    what = "with its 95 % interval"
    if "std" in metrics:
        what = f"mean ± standard deviation of {len(metrics['per_seed'])} seeds"
    full = f"{100 * metrics['original']['accuracy']:.1f}"
    caption = f"Accuracy in %, {what}; {full} in full colour. The best of a column is bold."
    if any(tests.values()):
        caption += (
            f" Stars: differs from {escape(names[next(iter(names))])}, {escape(stars_explained(metrics))}."
        )
        if is_stored(metrics):
            caption += " That is of these trainings: others of the same kind would differ by chance, too."
    return table_html(head, rows, caption)


def _accuracy_cell(score: Metrics, deviation: float | None, mark: str, *, best: bool) -> str:
    value = f"{100 * score['accuracy']:.1f}"
    if best:
        value = f"<strong>{value}</strong>"
    if mark:
        value = f"<sup>{mark}</sup>{value}"
    if deviation is not None:
        return f"{value}<small>± {100 * deviation:.1f}</small>"
    low, high = score["interval"]
    return f"{value}<small>{100 * low:.1f}–{100 * high:.1f}</small>"


def _attacks(metrics: Metrics) -> str:
    sizes = [size for size in metrics["sizes"] if _ranked(metrics, size)] or metrics["sizes"][:1]
    curves = [
        _figure(metrics, robustness_curves, f"Under attack, with {colors_and_bits(size)}", size, wide=True)
        for size in sizes
    ]
    steps = metrics["attacks"]["steps"]
    caption = (
        "Accuracy in % under attack, by the largest change of a value, of 255. The bare names know the "
        "classifier alone; adaptive ones go through the quantizer with the gradient of the identity, soft "
        f"ones with that of a learned quantizer's soft image. PGD takes {steps} steps from a random start."
    )
    table = plain_table_html(*attack_rows(metrics), caption)
    return "".join([*map(picture_html, curves), fold_html("Accuracy under attack", table)])


def _transfer(metrics: Metrics) -> str:
    sizes = [size for size in metrics["sizes"] if _ranked(metrics, size)]
    maps = [
        _figure(metrics, transfer_map, f"Before other classifiers, with {colors_and_bits(size)}", size)
        for size in sizes
    ]
    caption = "Accuracy in % before every classifier."
    table = plain_table_html(*transfer_rows(metrics), caption)
    return _in_columns(maps) + fold_html("Accuracy before every classifier", table)


def _full_table(metrics: Metrics) -> str:
    head, rows = table_rows(metrics)
    remarks = "".join(f"<p>{escape(note)}</p>" for note in notes(metrics))
    table = plain_table_html(head, rows, "Every measurement.")
    return fold_html("All measurements", f"{table}{remarks}{list_html(columns_explained(head).items())}")


def _other(record: Record, pictures: Sequence[Picture]) -> str:
    """A record of anything else: its pictures and its numbers, named by where they stand."""
    rows = [[name, value] for name, value in _leaves(record.metrics) if len(value) <= _LONGEST]
    table = plain_table_html(["", "value"], rows, f"{record.n:,} images.")
    return "\n".join([*map(picture_html, pictures), fold_html("All measurements", table)])


def _leaves(value: Any, name: str = "") -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        inner = [(key, item) for key, item in value.items() if key != "per_seed"]
        before = f"{name} · " if name else ""
        return [leaf for key, item in inner for leaf in _leaves(item, f"{before}{key}")]
    if isinstance(value, float):
        return [(name, f"{value:.4g}")]
    if isinstance(value, list):
        return [(name, ", ".join(map(str, value)))]
    return [(name, str(value))]


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
    return fold_html("How this was measured", list_html(entries.items()))


def _variables(theme: Theme) -> str:
    return " ".join(f"--{name}: {color};" for name, color in vars(theme).items())
