"""Results of an experiment: the record of a measuring stage over all its seeds, and its figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from colorcnn.errors import ColorCNNError
from colorcnn.files import write_atomically
from colorcnn.records import Record, read_record
from colorcnn.reporting.figures.canvas import to_png
from colorcnn.reproduce.experiment import Stage
from colorcnn.reproduce.plan import Job, Plan, VariantPlan, needed
from colorcnn.reproduce.references import substitute
from colorcnn.reproduce.seeds import gather
from colorcnn.reproduce.stages import kind_of
from colorcnn.reproduce.stages.base import RECORD, MeasuringKind


def check_replaceable(path: Path, plan: Plan, jobs: list[Job]) -> None:
    """Raise if a file holds a record of another experiment or other options. Fewer seeds are allowed.

    Args:
        path: the record.
        plan: the plan that would replace it.
        jobs: the jobs of the measuring stage.

    Raises:
        ColorCNNError: the file holds a record that must not be replaced.
    """
    if not path.exists():
        return
    old = set(read_record(path).config.get("keys", [""]))
    if not old <= {job.key for job in jobs}:
        raise ColorCNNError(
            f"{path} was made with more seeds, or by another version of {plan.experiment.name}",
            "replace it, or write to another folder",
            code="record-of-other-work",
        )


def write_results(
    path: Path, plan: Plan, planned: VariantPlan, stage: Stage, say: Callable[[str], None]
) -> None:
    """Write the record of a measuring stage and its figures. A record that would not change stays untouched.

    Args:
        path: the record.
        plan: the plan of the experiment.
        planned: the variant whose jobs are all done.
        stage: the measuring stage.
        say: prints a message for the user.
    """
    kind = kind_of(stage)
    assert isinstance(kind, MeasuringKind)
    record = gathered_record(plan, planned, stage, kind)
    if path.exists() and path.read_bytes() == record.to_json().encode():
        say(f"{path} is up to date")
    else:
        record.write(path)
        say(f"wrote {path}")
    draw_figures(record, path, kind)
    for name, picture in kind.pictures(planned.jobs_of(stage)[0].folder).items():
        write_atomically(path.with_name(f"{path.stem}_{name}.png"), picture.read_bytes())


def draw_figures(record: Record, path: Path, kind: MeasuringKind) -> list[Path]:
    """Draw the figures of a record beside it.

    Args:
        record: the record.
        path: its file.
        kind: the kind of the stage that measured it.

    Returns:
        The files of the figures.
    """
    main = kind.figure(record)
    figures = {} if main is None else {path.with_suffix(".png"): main}
    for ending, further in kind.more_figures(record).items():
        figures[path.with_name(f"{path.stem}_{ending}.png")] = further
    for target, figure in figures.items():
        write_atomically(target, to_png(figure))
    return list(figures)


def gathered_record(plan: Plan, planned: VariantPlan, stage: Stage, kind: MeasuringKind) -> Record:
    """Return the record of a measuring stage over all its seeds.

    Args:
        plan: the plan of the experiment.
        planned: the variant whose jobs are all done.
        stage: the measuring stage.
        kind: the kind of the stage.

    Raises:
        ColorCNNError: the record of a finished job is lost or damaged.
    """
    own = planned.jobs_of(stage)
    parts = {job.seed: _measured(job) for job in own}
    latest = max(parts.values(), key=lambda part: part.date)
    used = {job.key: job for job in needed(own)}
    states = [job.state for job in used.values()]
    gathered = gather({seed: part.metrics for seed, part in parts.items()})
    return replace(
        latest,
        command=plan.command(planned.variant),
        config={
            **latest.config,
            **substitute(kind.record_config(own[0].description), lambda reference: reference),
            "data": latest.config.get("data"),
            "experiment": plan.experiment.name,
            "title": plan.experiment.title,
            "source": plan.experiment.source,
            "size": plan.scale,
            "panel": planned.variant.name,
            "kind": stage.kind,
            "keys": [job.key for job in own],
            "stages": {job.stage.name: dict(job.description) for job in used.values()},
            "runs": [job.summary() for job in used.values()],
        },
        seeds={f"seed {seed}": seed for seed in parts},
        metrics=kind.complete(own[0].description, gathered),
        wall_seconds=round(sum(state.wall_seconds for state in states), 2),
        cpu_seconds=round(sum(state.cpu_seconds for state in states), 2),
    )


def _measured(job: Job) -> Record:
    """Return the record of a finished job."""
    try:
        return read_record(job.folder / RECORD)
    except ColorCNNError as error:
        raise ColorCNNError(
            f"{job.folder} is marked as done, but its {RECORD} is lost or damaged: "
            "delete that folder, and the same command measures again."
        ) from error
