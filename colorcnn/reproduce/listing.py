"""Texts of ``colorcnn reproduce --list`` and ``--dry-run``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from colorcnn.records import Record, read_record, showing
from colorcnn.reproduce.experiment import Experiment, Variant
from colorcnn.reproduce.library import find_experiment, record_paths, titled_stages
from colorcnn.reproduce.needs import missing_data
from colorcnn.reproduce.places import experiment_files
from colorcnn.reproduce.plan import Job, Plan
from colorcnn.reproduce.reading import read_experiment
from colorcnn.reproduce.stages import kind_of, kind_of_record
from colorcnn.reproduce.state import begun


def listing(results: Path, name: str | None = None) -> str:
    """Return all experiments with their numbers, or one experiment with the tables of its records.

    Args:
        results: the folder of the records.
        name: the name or path of the one experiment.
    """
    if name is not None:
        return "\n".join(_lines(find_experiment(name), results, full=True)) + "\n"
    experiments = [read_experiment(path) for path in experiment_files().values()]
    return "\n\n".join("\n".join(_lines(each, results)) for each in experiments) + "\n"


def dry_run(plan: Plan) -> str:
    """Return the stages of a plan with their progress, and the expected time. Nothing is run.

    Args:
        plan: the plan of an experiment.
    """
    jobs = list(plan.distinct().values())
    states = [_progress(job) for _, job in jobs]
    lines = [f"{plan.experiment.name}, scale {plan.scale}: {plan.experiment.title}"]
    lines += [f"  {title}: {state}" for (title, _), state in zip(jobs, states)]
    return "\n".join([*lines, expected_time(plan)]) + "\n"


def expected_time(plan: Plan) -> str:
    """Return one line: the number of stages, how many are done, and the expected time of the whole scale.

    Args:
        plan: the plan of an experiment.
    """
    states = Counter(_progress(job).split(",")[0] for _, job in plan.distinct().values())
    total = sum(states.values())
    seeds = len(plan.seed_range)
    found = f"{total} stage{'s' * (total != 1)} with {seeds} seed{'s' * (seeds != 1)}"
    found += f", {states['done']} done and {states['started']} started already"
    whole = "all variants" if plan.variant and len(plan.chosen_scale.variants) > 1 else "all stages"
    return f"{found}; expected time of {whole}: {plan.chosen_scale.time}"


def _progress(job: Job) -> str:
    state, folder = job.state, job.folder
    if state.done:
        return f"done, in {state.wall_seconds / 60:.1f} minutes"
    if begun(folder):
        return "started, will resume" if kind_of(job.stage).resumes else "started, will restart"
    return "to do"


def _lines(experiment: Experiment, results: Path, *, full: bool = False) -> Iterator[str]:
    yield f"{experiment.name}: {experiment.title}" + (f" ({experiment.source})" if experiment.source else "")
    for name, scale in experiment.scales.items():
        yield f"  {name}, {scale.time}"
        missing = {title for title, path in record_paths(experiment, name, results) if not path.exists()}
        for title, path in record_paths(experiment, name, results):
            if path.exists():
                with showing(path):
                    yield from _record(title, read_record(path), full)
        yield from _not_run(experiment, scale.variants, missing)


def _not_run(experiment: Experiment, variants: tuple[Variant, ...], missing: set[str]) -> Iterator[str]:
    """Yield a line for variants without a record that have the same reason."""
    titles: dict[str, list[str]] = {}
    for variant in variants:
        without = [title for title, _ in titled_stages(variant) if title in missing]
        if without:
            reason = "; ".join(missing_data(variant, experiment.path.parent))
            titles.setdefault(reason, []).extend(without)
    for reason, names in titles.items():
        named = f": {', '.join(names)}" if any(names) else ""
        yield f"    not run{named}" + (f" ({reason})" if reason else "")


def _record(title: str, record: Record, full: bool) -> Iterator[str]:
    kind = kind_of_record(record)
    seeds = f"{len(record.seeds)} seed{'s' * (len(record.seeds) != 1)}"
    yield f"    {title or 'run'}: {record.date[:10]}, {seeds}, n = {record.n:,}"
    if full:
        yield from (f"      {line}" if line else "" for line in kind.table(record).splitlines())
        return
    measured, published = kind.digest(record)
    columns = kind.digest_columns(record)
    if columns:
        yield f"      colours    {columns}"
    yield f"      measured   {measured}"
    yield f"      published  {published}"
