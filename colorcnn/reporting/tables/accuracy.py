"""Markdown tables of accuracy, and the line on their provenance."""

from __future__ import annotations

from collections.abc import Sequence

from colorcnn.records import Record
from colorcnn.reporting.markup import Table, percent
from colorcnn.reporting.naming import plural
from colorcnn.reporting.tables.evaluation import markdown_tables
from colorcnn.reporting.view import ORIGINAL, SECOND_METRICS, RecordView


def accuracy_cells(view: RecordView, method: str, key: str = "accuracy") -> tuple[list[str], list[str]]:
    """Return measured and published numbers of a method in per cent, one for each number of colours.

    Args:
        view: view of a record.
        method: one of its methods.
        key: ``accuracy`` or one of :data:`colorcnn.reporting.view.SECOND_METRICS`.
    """
    measured = [
        percent(getattr(view.score(method, size), key, None), view.std(method, size, key))
        for size in view.sizes
    ]
    return measured, [percent(view.published(method, size, key)) for size in view.sizes]


def published_rows(view: RecordView, method: str, name: str, cells: Sequence[str]) -> list[list[str]]:
    """Return the row of published numbers, or no row if all its cells are empty.

    Args:
        view: view of a record.
        method: one of its methods. Its published numbers may be inferred.
        name: readable name of the row.
        cells: the published numbers.
    """
    note = "published, inferred" if view.inferred(method) else "published"
    return [[f"{name}, *{note}*", *cells]] if any(cells) else []


def accuracy_table(record: Record, view: RecordView) -> str:
    """Return accuracies in per cent as Markdown: a row for each method, a column for each number of colours.

    Published numbers, and the mean average precision of several labels, have their own rows.

    Args:
        record: record of an evaluation.
        view: its view.
    """
    rows = []
    for key, metric in {"accuracy": "", **SECOND_METRICS}.items():
        if getattr(view.original, key) is not None:
            for method in view.methods:
                name = view.names[method] + (metric and f", {metric}")
                measured, published = accuracy_cells(view, method, key)
                rows += [[name, *measured], *published_rows(view, method, name, published)]
    head = ["accuracy %", *(plural(size, "colour") for size in view.sizes)]
    return Table(head, rows, [provenance(record, view)]).markdown()


def evaluation_tables(record: Record) -> str:
    """Return every Markdown table of an evaluation: accuracy, and all other requested tables."""
    view = RecordView(record.metrics)
    tables = markdown_tables(view)
    return "\n".join([accuracy_table(record, view), *(table.markdown() for table in tables)])


def digest_of(view: RecordView, method: str | None) -> tuple[str, str]:
    """Return a line with a method and its accuracies, and a line with its published accuracies.

    Args:
        view: view of a record.
        method: one of its methods. Both lines are empty for None.
    """
    if method is None:
        return "", ""
    measured, published = map(_joined, accuracy_cells(view, method))
    return f"{view.names[method]}: {measured}", published


def _joined(cells: Sequence[str]) -> str:
    return ", ".join(cell or "–" for cell in cells) if any(cells) else "–"


def provenance(record: Record, view: RecordView, title: str = "Full colour") -> str:
    """Return a line with accuracy in full colour, number of images and seeds, machine and date.

    Args:
        record: record of an evaluation.
        view: its view.
        title: name of the accuracy.
    """
    low, high = (100 * bound for bound in view.original.interval)
    accuracy = percent(view.original.accuracy, view.std(ORIGINAL))
    text = f"{title}: {accuracy} % (95 % interval {low:.1f} to {high:.1f})"
    for key, name in SECOND_METRICS.items():
        if (value := getattr(view.original, key)) is not None:
            text += f", {name} {percent(value)} %"
    if (published := view.published(ORIGINAL)) is not None:
        text += f"; published {percent(published)} %"
    return f"{text}, n = {record.n:,}{view.over_seeds}; {record.origin}."
