"""What ``colorcnn reproduce --list`` prints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from colorcnn.records import Record, read_record, showing
from colorcnn.reproduce.experiment import Experiment
from colorcnn.reproduce.library import experiment_files, find_experiment, record_paths
from colorcnn.reproduce.stages import kind_of_record


def listing(results: Path, name: str | None = None) -> str:
    """Every experiment and what was measured, or one experiment with the tables of its records.

    Args:
        results: the folder of the records.
        name: of the one experiment, or its path.
    """
    if name is not None:
        return "\n".join(_lines(find_experiment(name), results, full=True)) + "\n"
    blocks = ["\n".join(_lines(find_experiment(found), results)) for found in experiment_files()]
    return "\n\n".join(blocks) + "\n"


def _lines(experiment: Experiment, results: Path, *, full: bool = False) -> Iterator[str]:
    yield f"{experiment.name}: {experiment.title}" + (f" ({experiment.source})" if experiment.source else "")
    for name, scale in experiment.scales.items():
        yield f"  {name}" + (f", {scale.time}" if scale.time else "")
        missing = []
        for title, path in record_paths(experiment, name, results):
            if path.exists():
                with showing(path):
                    yield from _record(title, read_record(path), full)
            else:
                missing.append(title)
        if missing:
            yield "    not run" + (f": {', '.join(missing)}" if any(missing) else "")


def _record(title: str, record: Record, full: bool) -> Iterator[str]:
    kind = kind_of_record(record)
    seeds = f"{len(record.seeds)} seed{'s' * (len(record.seeds) != 1)}"
    yield f"    {title or 'run'}: {record.date[:10]}, {seeds}, n = {record.n:,}"
    if full:
        yield from (f"      {line}" if line else "" for line in kind.table(record).splitlines())
        return
    measured, published = kind.digest(record)
    yield f"      measured   {measured}"
    yield f"      published  {published}"
