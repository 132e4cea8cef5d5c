"""Tables that compare a learned quantizer's soft images with its files."""

from __future__ import annotations

from colorcnn.records import Record
from colorcnn.reporting.markup import Table, percent
from colorcnn.reporting.tables.accuracy import provenance
from colorcnn.reporting.view import RecordView


def soft_hard_table(record: Record) -> str:
    """Return accuracy and colours of files, then accuracy and entropy of soft images of learned methods."""
    view = RecordView(record.metrics)
    hard, soft = [], []
    for method in view.methods:
        hard.append([view.names[method], *(_hard(view, method, size) for size in view.sizes)])
        for at in view.temperatures:
            cells = [_soft(view, method, size, at) for size in view.sizes]
            if any(cells):
                soft.append([f"{view.names[method]}, T = {at}", *cells])
    columns = [f"{size} colours" for size in view.sizes]
    titles = {"accuracy of files %, colours used": hard, "accuracy of soft images %, entropy in nats": soft}
    tables = [Table([title, *columns], rows).markdown() for title, rows in titles.items() if rows]
    return "\n".join([*tables, provenance(record, view)]) + "\n"


def _hard(view: RecordView, method: str, size: int) -> str:
    """Return accuracy, standard deviation and colours used; empty without a score."""
    score = view.score(method, size)
    if score is None or score.colors is None:
        return ""
    return f"{percent(score.accuracy, view.std(method, size))}, {score.colors.mean:.1f}"


def _soft(view: RecordView, method: str, size: int, at: str) -> str:
    """Return accuracy, standard deviation and entropy of soft images; empty without a score."""
    score = view.score(method, size)
    soft = score.soft.get(at) if score else None
    if soft is None:
        return ""
    return f"{percent(soft.accuracy, view.std(method, size, 'soft', at, 'accuracy'))}, {soft.entropy:.2f}"
