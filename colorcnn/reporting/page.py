"""Write a report on one or more records as a single HTML file."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from tqdm import tqdm

from colorcnn.errors import ColorCNNError
from colorcnn.evaluation.scores import Score
from colorcnn.evaluation.statistics import against_first, stars, stars_explained
from colorcnn.files import write_atomically
from colorcnn.records import Record, showing
from colorcnn.reporting.figures.canvas import to_svg
from colorcnn.reporting.figures.curves import accuracy_curve, rate_curve
from colorcnn.reporting.figures.robustness import robustness_curves
from colorcnn.reporting.figures.stored import stored_curves
from colorcnn.reporting.figures.style import DARK, LIGHT, one_page
from colorcnn.reporting.figures.transfer import transfer_map
from colorcnn.reporting.markup import MISSING, Cell, Picture, Table, data_uri, percent, shown_std
from colorcnn.reporting.naming import colors_and_bits
from colorcnn.reporting.tables.evaluation import (
    attack_table,
    columns_explained,
    full_table,
    margin_table,
    size_head,
    transfer_table,
)
from colorcnn.reporting.view import RecordView

_LONGEST = 60  # longer values are left out of the table of all values


@dataclass(frozen=True)
class Entry:
    """A record in a report of several.

    Attributes:
        name: the name in the report, such as the name of the record's file.
        record: the record.
        pictures: figures to show after the curves.
    """

    name: str
    record: Record
    pictures: Sequence[Picture] = ()

    @cached_property
    def view(self) -> RecordView:
        """The view of the record, which tables and figures read."""
        return RecordView(self.record.metrics)

    @property
    def heading(self) -> str:
        """The heading: the name, else the data set, else the command."""
        return self.name or str(self.record.config.get("data", self.record.command))

    @property
    def question(self) -> str:
        """The title of an experiment, and its paper."""
        config = self.record.config
        return ": ".join(str(config[key]) for key in ("title", "source") if config.get(key))


@dataclass(frozen=True)
class Details:
    """A collapsible part of a section.

    Attributes:
        title: the title, which opens the part on a click.
        table: the table.
        explained: name -> meaning, shown below the table.
        pictures: figures, always shown above the title.
    """

    title: str
    table: Table | None = None
    explained: Mapping[str, str] = field(default_factory=dict)
    pictures: Sequence[Picture] = ()


@dataclass(frozen=True)
class Section:
    """The part of a page on one record.

    Attributes:
        entry: the record.
        details: collapsible tables and figures.
        summary: the result in sentences.
        table: the main table.
        curves: figures that are drawn from the record.
        pictures: figures that came with the record.
    """

    entry: Entry
    details: Sequence[Details]
    summary: str = ""
    table: Table | None = None
    curves: Sequence[Picture] = ()
    pictures: Sequence[Picture] = ()


def write_report(
    records: Record | Entry | Sequence[Record | Entry],
    path: str | os.PathLike[str],
    *,
    title: str = "What a few colours keep",
    pictures: Sequence[Picture] = (),
    overwrite: bool = True,
    skip: Callable[[ColorCNNError], None] | None = None,
) -> Path:
    """Write records as one HTML file: a summary, figures and tables, and an overview if there are several.

    The page loads nothing from the internet, works on phones, and follows the reader's light or dark setting.

    Args:
        records: records of evaluations. Of other records, the page lists all values.
        path: the file to write.
        title: heading of the page.
        pictures: figures to show after the curves of the first record.
        overwrite: True to replace an existing file.
        skip: function that receives the error of a damaged record. The page then shows the other records.

    Raises:
        ColorCNNError: the file exists and ``overwrite`` is false, it cannot be written, or a record is
            damaged and ``skip`` is None or no other record is left.
    """
    several = [records] if isinstance(records, Record | Entry) else records
    given = [each if isinstance(each, Entry) else Entry("", each) for each in several]
    with one_page(_methods(given)):
        return _write_page(given, path, title, pictures, overwrite, skip)


def _methods(given: Sequence[Entry]) -> list[str]:
    """Return the names of all methods and codecs of some records, each once."""
    found: dict[str, None] = {}
    for each in given:
        metrics = each.record.metrics
        for part in ("methods", "codecs"):
            names = metrics.get(part)
            found |= dict.fromkeys(str(name) for name in names) if isinstance(names, Mapping) else {}
    return list(found)


def _common_size(given: Sequence[Entry]) -> int | None:
    """Return the most common number of colours, the smallest if there are several; None without any."""
    counts: Counter[int] = Counter()
    for each in given:
        sizes = each.record.metrics.get("sizes") if _is_evaluation(each.record) else None
        counts.update(size for size in sizes if isinstance(size, int)) if isinstance(sizes, list) else None
    return min(counts, key=lambda size: (-counts[size], size)) if counts else None


def _write_page(
    given: Sequence[Entry],
    path: str | os.PathLike[str],
    title: str,
    pictures: Sequence[Picture],
    overwrite: bool,
    skip: Callable[[ColorCNNError], None] | None,
) -> Path:
    size = _common_size(given)
    sections: list[Section] = []
    rows: list[list[str | Cell]] = []
    for entry in tqdm(given, desc="report", unit=" records", disable=None, leave=False):
        shown = [*entry.pictures, *(() if sections else pictures)]
        try:
            with showing(entry.heading):
                row, section = _overview(entry, len(sections), size), _section(entry, shown)
        except ColorCNNError as error:
            if skip is None or (entry is given[-1] and not sections):
                raise
            skip(error)
        else:
            rows.append(row)
            sections.append(section)
    best = "best method" if size is None else f"best method, {colors_and_bits(size)}"
    head = ["record", "data", "classifier", "measured on", "full colour", best, "date"]
    page = _template().render(
        title=title,
        overview=Table(head, rows, [f"{len(rows)} records."]) if len(rows) > 1 else None,
        sections=sections,
        headings=len(given) > 1,
        themes=[vars(LIGHT), vars(DARK)],
    )
    return write_atomically(path, page.encode(), overwrite=overwrite)


def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_uri"] = data_uri
    return environment.get_template("page.html")


def summary(entry: Entry) -> str:
    """Return the result of an evaluation in two or three sentences."""
    record, view, config = entry.record, entry.view, entry.record.config
    where = f" of {config['data']}" if "data" in config else ""
    split = f"{config['split']} " if "split" in config else ""
    who = f"the classifier {config['classifier']}" if "classifier" in config else "the classifier"
    full = percent(view.original.accuracy)
    text = f"On {record.n:,} {split}images{where}, {who} recognises {full} % in full colour."
    classes = config.get("num_classes")
    chance = f" (chance: {percent(1 / classes)} %)" if isinstance(classes, int) and classes > 0 else ""
    sizes = [size for size in view.sizes if view.ranked(size)]
    for size in dict.fromkeys([*sizes[:1], *sizes[-1:]]):
        (share, name), *others = view.ranked(size)[:2]
        text += f" With {colors_and_bits(size)}, {percent(share)} % are recognised with {name}"
        text += "".join(f" and {percent(share)} % with {other}" for share, other in others) + f"{chance}."
    return text


def _overview(entry: Entry, place: int, size: int | None) -> list[str | Cell]:
    """Return the row of a record in the overview, with its best method at the page's number of colours."""
    record, full, best = entry.record, MISSING, Cell(MISSING)
    if _is_evaluation(record) and (view := entry.view).sizes:
        full = f"{percent(view.original.accuracy)} %"
        if size is not None and (ranked := view.ranked(size)):
            best = Cell(f"{ranked[0][1]}, {percent(ranked[0][0])} %")
    about = (str(record.config.get(key) or MISSING) for key in ("data", "classifier"))
    heading = Cell(entry.heading, small=str(record.config.get("title", "")), link=f"#{place}")
    return [heading, *about, f"{record.n:,} {_units(record)}", full, best, record.date[:10]]


def _units(record: Record) -> str:
    """Return the unit of a record's ``n``: images, vectors or steps."""
    units = {"dimension": "vectors", "trainings": "steps"}
    return next((unit for key, unit in units.items() if key in record.metrics), "images")


def _is_evaluation(record: Record) -> bool:
    return {"original", "methods", "sizes"} <= set(record.metrics)


def _section(entry: Entry, pictures: Sequence[Picture]) -> Section:
    record = entry.record
    measured = Details("How this was measured", explained=_provenance(record))
    if not _is_evaluation(record):
        return Section(entry, [_all_values(record), measured], pictures=pictures)
    view = entry.view
    if view.is_stored:
        text = (
            f"Classifiers were trained on stored training sets and tested on {record.n:,} original images. "
            f"Training on the originals gives {percent(view.original.accuracy)} %."
        )
        curves = [_figure(view, stored_curves, "Accuracy, colours and coded bytes", wide=True)]
        details = [_all_values(record), measured]
        return Section(entry, details, text, _accuracy_table(view), curves, pictures)
    headers = "File sizes include headers and tables." if view.codecs else ""
    curves = [_figure(view, rate_curve, "Accuracy and the size of the files", caption=headers)]
    if view.methods:
        curves.insert(0, _figure(view, accuracy_curve, "Accuracy and the number of colours"))
    table = full_table(view)
    details = [
        *([_attacks(view)] if view.attacks.results else []),
        *([_transfer(view)] if view.judges else []),
        *([Details(str(margins.head[0]), margins)] if (margins := margin_table(view)) else []),
        Details("All measurements", table, columns_explained(table.head)),
        measured,
    ]
    main = _accuracy_table(view) if view.methods else None
    return Section(entry, details, summary(entry), main, curves, pictures)


def _figure(
    view: RecordView, draw: Callable[..., Any], title: str, *sizes: int, caption: str = "", wide: bool = False
) -> Picture:
    light, dark = (to_svg(draw(view, *sizes, dark=for_dark)) for for_dark in (False, True))
    return Picture(title, light, dark, caption, f"{title}: the tables hold the numbers.", wide)


def _accuracy_table(view: RecordView) -> Table:
    """Return a table of accuracy: a row for each method, a column for each number of colours."""
    tests, rows = against_first(view.metrics), []
    for method in view.methods:
        cells: list[str | Cell] = [view.names[method]]
        for size in view.sizes:
            if (score := view.score(method, size)) is None:
                cells.append(MISSING)
                continue
            test = tests.get(method, {}).get(str(size))
            marks = stars(test.p_value) if test else ""
            low, high = (percent(bound) for bound in score.interval)
            deviation = view.std(method, size)
            cells.append(
                Cell(
                    percent(score.accuracy),
                    small=f"{low}–{high}" if deviation is None else shown_std(deviation).strip(),
                    mark=_direction(score, view.score(view.methods[0], size)) + marks if marks else "",
                    strong=score.accuracy == view.ranked(size)[0][0],
                )
            )
        rows.append(cells)
    band = f"mean ± standard deviation of {view.seeds} seeds" if view.seeds else view.band
    full = percent(view.original.accuracy)
    note = f"Accuracy in %, {band}; {full} in full colour. The best of a column is bold."
    if any(tests.values()):
        first = view.names[view.methods[0]]
        note += f" ▲ and ▼: better and worse than {first}; stars: {stars_explained(view.metrics)}."
        if view.is_stored:
            note += " The test compares these trainings only: repeated trainings would also differ by chance."
    return Table(["", *map(size_head, view.sizes)], rows, [note])


def _direction(score: Score, first: Score | None) -> str:
    """Return a mark for a score that is better or worse than the first method's."""
    return "▲" if first is None or score.accuracy > first.accuracy else "▼"


def _attacks(view: RecordView) -> Details:
    sizes = [size for size in view.sizes if view.ranked(size)] or view.sizes[:1]
    curves = [
        _figure(view, robustness_curves, f"Under attack, with {colors_and_bits(size)}", size, wide=True)
        for size in sizes
    ]
    table = attack_table(view, view.attacks.results)
    note = " ".join(_about_attacks(view))
    return Details("Accuracy under attack", Table(table.head, table.rows, [note]), pictures=curves)


def _about_attacks(view: RecordView) -> Iterator[str]:
    """Return sentences about the attacks that were measured."""
    names = {attack.partition(":")[0] for attack in view.attacks.results}
    yield (
        "Accuracy in % under attack, by the largest change of a value (0 to 255). fgsm, pgd and square "
        "alone attack the classifier without the quantizer. An adaptive attack goes through the quantizer, "
        "with the identity's gradient. A soft attack takes the gradient of a learned quantizer's soft image; "
        "methods without one keep the result of the adaptive attack."
    )
    if "pgd" in names:
        yield f"PGD takes {view.attacks.steps} steps from a random start."
    if "square" in names:
        yield f"Square searches at random, with {view.attacks.queries} queries for each image."


def _transfer(view: RecordView) -> Details:
    maps = [
        _figure(view, transfer_map, f"With every classifier, {colors_and_bits(size)}", size)
        for size in view.sizes
        if view.ranked(size)
    ]
    return Details("Accuracy in % with every classifier", transfer_table(view), pictures=maps)


def _all_values(record: Record) -> Details:
    """Return all values of a record, named by their key paths."""
    rows = [[name, value] for name, value in _leaves(record.metrics) if len(value) <= _LONGEST]
    return Details("All measurements", Table(["", "value"], rows, [f"{record.n:,} {_units(record)}."]))


def _leaves(value: Any, name: str = "") -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        inner = [(key, item) for key, item in value.items() if key != "per_seed"]
        prefix = f"{name} · " if name else ""
        return [leaf for key, item in inner for leaf in _leaves(item, f"{prefix}{key}")]
    if isinstance(value, float):
        return [(name, f"{value:.4g}")]
    if isinstance(value, list):
        return [(name, ", ".join(map(str, value)))]
    return [(name, str(value))]


def _provenance(record: Record) -> dict[str, str]:
    entries = {
        "command": record.command,
        "date": record.date,
        "machine": record.device,
        "time": f"{record.wall_seconds:,.0f} s, {record.cpu_seconds:,.0f} s of CPU time",
        "versions": ", ".join(f"{name} {version}" for name, version in record.versions.items()),
    }
    if record.seeds:
        entries["seeds"] = ", ".join(f"{name} {seed}" for name, seed in record.seeds.items())
    if record.git:
        changed = ", with changes" if record.git["dirty"] else ""
        entries["source"] = f"{record.git['commit']}{changed}"
    return entries
