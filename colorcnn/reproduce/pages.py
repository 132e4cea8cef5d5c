"""Tables in Markdown pages, rendered from records.

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``. NAME is the name of a record's file
without its suffix. The record is an evaluation, the benchmark of the quantizers, or a benchmark of stores.
``<!-- accuracy: NAME -->`` begins the first table of an evaluation, without the others.
``<!-- experiments -->`` begins an overview of all experiments.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from colorcnn.files import write_atomically
from colorcnn.records import read_record, showing
from colorcnn.reporting.markup import Table
from colorcnn.reporting.tables.accuracy import accuracy_table
from colorcnn.reporting.tables.benchmarks import formats_table, quantizer_table, scale_table, stores_table
from colorcnn.reproduce.library import record_paths
from colorcnn.reproduce.places import experiment_files
from colorcnn.reproduce.reading import read_experiment
from colorcnn.reproduce.stages import kind_of_record

_TABLE = re.compile(r"(<!-- (table|accuracy): ([\w.+-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_OVERVIEW = re.compile(r"(<!-- experiments -->\n).*?(<!-- end -->)", re.DOTALL)


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
        return match[1] + _table(results / f"{match[3]}.json", whole=match[2] == "table") + match[4]

    page = _TABLE.sub(table, page)
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
            command = f"`colorcnn reproduce {name} --size {scale}`<br>{experiment.title}"
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


def _table(path: Path, *, whole: bool) -> str:
    if not path.exists():
        return "Not measured yet.\n"
    record = read_record(path)
    tables = {
        "quantizers": quantizer_table,
        "dcq_formats": formats_table,
        "dcq_scale": scale_table,
        "dcq_stores": stores_table,
    }
    with showing(path):
        if not whole:
            return accuracy_table(record)
        made = next((table for key, table in tables.items() if key in record.metrics), None)
        return made(record) if made else kind_of_record(record).table(record)
