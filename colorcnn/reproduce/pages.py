"""Tables in Markdown pages, rendered from records.

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``. NAME is the name of a record's file
without its ending: of an evaluation, of the benchmark of the quantizers, or of the benchmarks of stores.
``<!-- accuracy: NAME -->`` begins the first table of an evaluation, without the others. The command and a
link to the record follow each table. ``<!-- margins: NAME METHOD -->`` begins the differences of one method
of an evaluation to the others. ``<!-- claims: NAME -->`` begins the claims of a publication with verdicts,
if the record has them. ``<!-- experiments -->`` begins an overview of all experiments, and
``<!-- records -->`` a list of all records with their commands.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from colorcnn.files import write_atomically
from colorcnn.records import Record, read_record, showing
from colorcnn.reporting.markup import Table
from colorcnn.reporting.tables.accuracy import accuracy_table
from colorcnn.reporting.tables.benchmarks import (
    explorer_table,
    formats_table,
    memory_table,
    prediction_table,
    quantizer_table,
    scale_table,
    stores_table,
    training_table,
)
from colorcnn.reporting.tables.chapter import chapter_table
from colorcnn.reporting.tables.claims import claims_table
from colorcnn.reporting.tables.evaluation import margin_table
from colorcnn.reporting.tables.stochastic import stochastic_table
from colorcnn.reporting.tables.training import jitter_table
from colorcnn.reporting.view import RecordView
from colorcnn.reproduce.library import record_paths
from colorcnn.reproduce.places import experiment_files
from colorcnn.reproduce.reading import read_experiment
from colorcnn.reproduce.stages import kind_of_record

_TABLE = re.compile(
    r"(<!-- (table|accuracy|margins|claims): ([\w.+-]+)(?: ([\w.+:-]+))? -->\n).*?(<!-- end -->)", re.DOTALL
)
_OVERVIEW = re.compile(r"(<!-- experiments -->\n).*?(<!-- end -->)", re.DOTALL)
_RECORDS = re.compile(r"(<!-- records -->\n).*?(<!-- end -->)", re.DOTALL)
_RENAMED = {"--size": "--scale", "--panel": "--variant"}  # older records hold the old names


def repository_pages(home: Path) -> list[Path]:
    """Return the pages of a repository that may have tables.

    Args:
        home: the folder of the repository.
    """
    return [home / "README.md", home / "experiments" / "README.md", *sorted((home / "docs").rglob("*.md"))]


def rendered(page: str, results: Path, folder: Path | None = None) -> str:
    """Return the text of a page with every table rendered again.

    Args:
        page: the text of the page.
        results: the folder of the records.
        folder: the folder of the page, where links to records start (default: the parent of ``results``).
    """
    links = Path(os.path.relpath(results, folder or results.parent)).as_posix()

    def table(match: re.Match[str]) -> str:
        return match[1] + _table(results / f"{match[3]}.json", links, match[2], match[4]) + match[5]

    page = _TABLE.sub(table, page)
    page = _RECORDS.sub(lambda match: match[1] + record_list(results, links) + match[2], page)
    return _OVERVIEW.sub(lambda match: match[1] + overview(results, links) + match[2], page)


def render_pages(pages: Iterable[Path], results: Path, *, write: bool = True) -> list[Path]:
    """Render the tables of pages again.

    Args:
        pages: the files.
        results: the folder of the records.
        write: True to write the pages that changed.

    Returns:
        The pages whose tables were out of date.
    """
    stale = []
    for page in pages:
        text = page.read_text(encoding="utf-8")
        new = rendered(text, results, page.parent)
        if new != text:
            stale.append(page)
            if write:
                write_atomically(page, new.encode())
    return stale


def overview(results: Path, links: str = "results") -> str:
    """Return all experiments as a Markdown table: command, published and measured numbers, record.

    Args:
        results: the folder of the records.
        links: the same folder, relative to the page.
    """
    rows = []
    for name, file in experiment_files().items():
        experiment = read_experiment(file)
        for scale in experiment.scales:
            command = f"`colorcnn reproduce {name} --scale {scale}`<br>{experiment.title}"
            run = [(title, path) for title, path in record_paths(experiment, scale, results) if path.exists()]
            for title, path in run:
                record = read_record(path)
                with showing(path):
                    measured, published = kind_of_record(record).digest(record)
                rows.append([command, published, measured, f"[{title or 'record'}]({links}/{path.name})"])
                command = ""
            if not run:
                rows.append([command, experiment.source or "–", "not run", "–"])
    return Table(["command", "published", "measured", "record"], rows).markdown()


def record_list(results: Path, links: str = "results") -> str:
    """Return all records as a Markdown table: record, command, number of images, day.

    Args:
        results: the folder of the records.
        links: the same folder, as links of the page name it.
    """
    rows = []
    for path in sorted(results.glob("*.json")):
        record = read_record(path)
        link = f"[{path.stem}]({links}/{path.name})"
        rows.append([link, f"`{command_of(record)}`", f"{record.n:,}", record.date[:10]])
    return Table(["record", "command", "n", "day"], rows).markdown()


def command_of(record: Record) -> str:
    """Return the command that made a record, with today's names of options.

    Records keep the command as it was typed. Earlier versions had other names for two options of
    ``colorcnn reproduce``, which still accepts them.
    """
    if not record.command.startswith("colorcnn reproduce "):
        return record.command
    return " ".join(_RENAMED.get(word, word) for word in record.command.split(" "))


def _table(path: Path, links: str, part: str, method: str | None) -> str:
    if not path.exists():
        return "Not measured yet.\n"
    record = read_record(path)
    origin = f"\nCommand: `{command_of(record)}`; record: [{path.name}]({links}/{path.name}).\n"
    return _content(record, path, part, method) + origin


def _content(record: Record, path: Path, part: str, method: str | None) -> str:
    tables = {
        "quantizers": quantizer_table,
        "steps": training_table,
        "dcq_formats": formats_table,
        "explorer_times": explorer_table,
        "dcq_scale": scale_table,
        "dcq_stores": stores_table,
        "gpu_prediction": prediction_table,
        "memory_per_image": memory_table,
        "palette_chapter": chapter_table,
        "seen_through_jitter": jitter_table,
        "stochastic": stochastic_table,
    }
    with showing(path):
        if part == "claims":
            return claims_table(record)
        if part == "accuracy":
            return accuracy_table(record, RecordView(record.metrics))
        if part == "margins":
            margins = margin_table(RecordView(record.metrics), method)
            return margins.markdown() if margins else "Nothing to compare.\n"
        made = next((table for key, table in tables.items() if key in record.metrics), None)
        return made(record) if made else kind_of_record(record).table(record)
