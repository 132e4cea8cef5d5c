"""Tables of the scores of trainings over their steps, and of what a classifier sees in training."""

from __future__ import annotations

import math

from colorcnn.records import Record
from colorcnn.reporting.markup import MISSING, Table
from colorcnn.reporting.view import TrainingView

_COLUMNS = 7


def training_table(record: Record) -> str:
    """Return a Markdown table for each score: a row for each training, a column for up to seven steps."""
    view = TrainingView(record.metrics)
    note = f"n = {record.n:,} steps; values of single batches{view.over_seeds}; {record.origin}."
    tables = [_table(view, score) for score in view.scores]
    return "\n".join([*(table.markdown() for table in tables), note]) + "\n"


def training_digest(record: Record) -> str:
    """Return the last value of the first score, for each training."""
    view = TrainingView(record.metrics)
    last = {name: list(view.curve(name, view.scores[0]).values())[-1:] for name in view.trainings}
    return "; ".join(f"{name} {values[0]:.3f}" for name, values in last.items() if values)


def jitter_table(record: Record) -> str:
    """Return a classifier's accuracy through jitters: a row for each jitter, a column for each contrast."""
    found, config = record.metrics["seen_through_jitter"], record.config
    contrasts = list(dict.fromkeys(row["contrast"] for row in found["rows"]))
    cells: dict[tuple[str, str], list[str]] = {}
    for row in found["rows"]:
        cell = f"{100 * row['accuracy']:.1f} %, {row['loss']:.2f}"
        cells.setdefault((row["shown"], row["way"]), []).append(cell)
    head = ["shown", "noise", *(f"contrast / {contrast:g}" for contrast in contrasts)]
    guessing = f"{100 / found['classes']:g} % and {math.log(found['classes']):.2f}"
    note = (
        f"Accuracy and cross-entropy of {config['classifier']}; guessing has {guessing}. "
        f"n = {record.n:,} {config['split']} images of {config['data']} in batches of {config['batch']}; "
        f"{record.origin}."
    )
    return Table(head, [[*names, *row] for names, row in cells.items()], [note]).markdown()


def _table(view: TrainingView, score: str) -> Table:
    steps = _spread(sorted({step for name in view.trainings for step in view.curve(name, score)}))
    head = [score, *(f"step {step:,}" for step in steps)]
    rows = [[name, *(_cell(view, name, score, step) for step in steps)] for name in view.trainings]
    return Table(head, rows)


def _cell(view: TrainingView, name: str, score: str, step: int) -> str:
    value, std = view.curve(name, score).get(step), view.std(name, score, step)
    if value is None:
        return MISSING
    return f"{value:.3f}" + (f" ± {std:.3f}" if std is not None else "")


def _spread(steps: list[int]) -> list[int]:
    """Return up to seven of the steps, evenly spread, with the first and the last."""
    count = min(_COLUMNS, len(steps))
    return [steps[round(place * (len(steps) - 1) / max(1, count - 1))] for place in range(count)]
