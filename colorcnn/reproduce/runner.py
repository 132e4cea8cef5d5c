"""Running an experiment: every stage once, for every seed, and a record at the end of every panel.

A stage lives in a folder that its key names: the hash of all that decides its result. Work that is done is
found again by its key, also by another experiment; a training that was interrupted goes on in its folder;
and a changed experiment starts in a new folder and leaves the old one alone. Several processes that were
given the same command, or others that need the same work, share it, stage by stage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from time import sleep
from typing import Any

from colorcnn.errors import ColorCNNError, UsageError, unknown_name
from colorcnn.evaluation.figures import to_png
from colorcnn.files import make_folder, write_atomically
from colorcnn.pretrained import find_device
from colorcnn.records import Record, read_record
from colorcnn.reproduce.cache_key import key_of
from colorcnn.reproduce.experiment import Experiment, Panel, Stage, producer, references, substitute
from colorcnn.reproduce.library import experiments_folder, measuring_stages, record_path
from colorcnn.reproduce.seeds import gather
from colorcnn.reproduce.stages import kind_of
from colorcnn.reproduce.stages.base import RECORD, Fit, MeasuringKind, Workplace
from colorcnn.reproduce.state import ClaimedError, State, begun, claimed, read_state, working

_LOCKS = "locks"  # a folder beside those of the stages: a file for each that is being worked on
_PAUSE = 1.0  # seconds between two looks at what other processes work on


@dataclass(frozen=True)
class Job:
    """One stage with one seed.

    Attributes:
        stage: what is done.
        seed: of everything random in it.
        key: names the work.
        home: where it is done, unless it has been begun elsewhere.
        description: all that decides the result, with references as the experiment writes them.
        outputs: stage -> the job whose output a reference to it means.
    """

    stage: Stage
    seed: int
    key: str
    home: Path
    description: Mapping[str, Any]
    outputs: Mapping[str, Job]

    @property
    def folder(self) -> Path:
        """Where it is done, or was: of several that there may be of old, one that is finished."""
        found = sorted(self.home.parent.glob(f"*-{self.key}"))
        finished = (each for each in found if read_state(each, self.key).done)
        return next(finished, next(iter(found), self.home))

    def resolved(self) -> dict[str, Any]:
        """The description with the paths of earlier outputs in the place of references."""

        def path(reference: str) -> str:
            name = str(producer(reference, self.outputs))
            job = self.outputs[name]
            return str(kind_of(job.stage).output(job.folder, reference[len(name) + 1 :]))

        return substitute(self.description, path)

    @property
    def state(self) -> State:
        """As it is on disk."""
        return read_state(self.folder, self.key)

    def summary(self) -> dict[str, Any]:
        """What a record tells of it."""
        state = self.state
        return {
            "stage": self.stage.name,
            "seed": self.seed,
            "key": self.key,
            "wall_seconds": state.wall_seconds,
            "cpu_seconds": state.cpu_seconds,
            "device": state.device,
            "versions": state.versions,
            "git": state.git,
        }


@dataclass(frozen=True)
class Run:
    """An experiment at one size, with everything that says how it is to be done.

    Args:
        experiment: what.
        size: a key of its sizes.
        seeds: 1, 2, ... up to so many; None takes the experiment's own number.
        runs: the folder of the stages' folders.
        results: the folder of the records.
        fit: runs ``colorcnn fit``.
        say: tells the user something.
        panel: only the panel of that name.
        device: ``auto``, ``cpu``, ``cuda`` ...
        download: whether data sets may be fetched.
        force: replace records that hold something else.

    Raises:
        UsageError: the size or the panel is unknown.
    """

    experiment: Experiment
    size: str
    seeds: int | None
    runs: Path
    results: Path
    fit: Fit
    say: Callable[[str], None]
    panel: str | None = None
    device: str = "auto"
    download: bool = False
    force: bool = False

    @cached_property
    def panels(self) -> list[Panel]:
        """Those asked for."""
        found = self.experiment.size(self.size).panels
        if self.panel is None:
            return list(found)
        chosen = [panel for panel in found if panel.name == self.panel]
        if not chosen and not any(panel.name for panel in found):
            raise UsageError(f"{self.experiment.name} has no panels: leave out --panel {self.panel}.")
        if not chosen:
            raise unknown_name("panel", self.panel, [panel.name for panel in found])
        return chosen

    @cached_property
    def _homes(self) -> dict[str, Path]:
        """Key -> the folder of that work, which is named by the first panel to need it."""
        return {}

    @property
    def seed_range(self) -> range:
        """The seeds, from 1."""
        return range(1, 1 + (self.seeds or self.experiment.size(self.size).seeds))

    def command(self, panel: Panel) -> str:
        """The command line that makes a panel's record."""
        ours = experiments_folder().resolve() in self.experiment.path.resolve().parents
        asked = self.experiment.name if ours else self.experiment.path.name
        words = ["colorcnn reproduce", asked, "--size", self.size]
        words += ["--panel", panel.name] if panel.name else []
        return " ".join([*words, "--seeds", str(len(self.seed_range))])

    def run(self) -> list[Path]:
        """Do what is not done yet, and write the records.

        Returns:
            The records.

        Raises:
            UsageError: the device is not there.
            ColorCNNError: a stage failed, or a record is there that holds something else.
            KeyboardInterrupt: the same call goes on where this one stopped.
        """
        if self.device != "auto":
            find_device(self.device)
        make_folder(self.results)
        plans = [(panel, self.plan(panel)) for panel in self.panels]
        for panel, jobs in plans:
            for stage in measuring_stages(panel):
                self._check_record(panel, stage, jobs)
        todo: dict[str, tuple[str, Job]] = {}
        for panel, jobs in plans:
            for job in jobs:
                what = f"{panel.name} {job.stage.name}".strip()
                todo.setdefault(job.key, (f"{what}, seed {job.seed}", job))
        titled = [(f"[{at}/{len(todo)}] {what}", job) for at, (what, job) in enumerate(todo.values(), 1)]
        done: set[str] = set()
        records: dict[str, list[Path]] = {}
        for title, job in self._until_all_are(done, titled):
            if self._do(job, title):
                done.add(job.key)
            for panel, jobs in plans:
                if panel.name not in records and all(job.key in done for job in jobs):
                    records[panel.name] = [
                        self._write_record(panel, stage, jobs) for stage in measuring_stages(panel)
                    ]
        return [path for panel, _ in plans for path in records[panel.name]]

    def _until_all_are(self, done: set[str], titled: Sequence[tuple[str, Job]]) -> Iterator[tuple[str, Job]]:
        """Jobs to try until all are done, by this process or others: each time the first that can be."""
        waited = False
        while left := [(title, job) for title, job in titled if job.key not in done]:
            for title, job in left:
                if all(source.key in done for source in _sources(job)):
                    yield title, job
                    if job.key in done:
                        break
            else:
                if not waited:
                    self.say("the rest is being worked on by other processes: waiting")
                waited = True
                sleep(_PAUSE)

    def plan(self, panel: Panel) -> list[Job]:
        """Every stage that a measurement needs, with every seed, in the order in which they are done."""
        jobs: list[Job] = []
        shared: dict[str, Job] = {}
        for seed in self.seed_range:
            outputs = dict(shared)
            for stage in panel.stages:
                if stage.name in shared:
                    continue
                job = self._job(panel, stage, seed, outputs)
                outputs[stage.name] = job
                if stage.shared:
                    shared[stage.name] = job
                jobs.append(job)
        measured = [stage.name for stage in measuring_stages(panel)]
        wanted = {job.key for job in _needed([job for job in jobs if job.stage.name in measured])}
        return [job for job in jobs if job.key in wanted]

    def _job(self, panel: Panel, stage: Stage, seed: int, outputs: Mapping[str, Job]) -> Job:
        kind = kind_of(stage)
        description = kind.describe(stage.options, self.experiment.path.parent)

        def key_for(reference: str) -> str:
            source = outputs[str(producer(reference, outputs))]
            part = reference[len(source.stage.name) + 1 :]
            kind_of(source.stage).output(source.folder, part)  # refused now, not after hours
            return f"{source.key}{part and '.'}{part}"

        decisive = {name: value for name, value in description.items() if name not in kind.looks}
        key = key_of(stage.kind, substitute(decisive, key_for), seed, ordered=kind.ordered)
        label = "_".join(part for part in (panel.name, stage.name) if part)
        home = self._homes.setdefault(key, self.runs / f"{label}-{key}")
        return Job(stage, seed, key, home, description, dict(outputs))

    def _do(self, job: Job, title: str) -> bool:
        """Whether the job is done now; another process may be at it."""
        try:
            with claimed(self.runs / _LOCKS / job.key):
                if job.state.done:
                    self.say(f"{title}: done already, in {job.folder}")
                else:
                    self._work(job, title)
        except ClaimedError:
            return False
        return True

    def _work(self, job: Job, title: str) -> None:
        kind, folder = kind_of(job.stage), job.folder
        before = ("goes on" if kind.resumes else "starts again") if begun(folder) else "starts"
        self.say(f"{title}: {before} in {folder}")
        folder.mkdir(parents=True, exist_ok=True)
        place = Workplace(folder, job.seed, self.device, self.download, self.fit, self.say)
        try:
            with working(folder, job.key, place.torch_device()):
                kind.run(job.resolved(), place)
        except KeyboardInterrupt:
            what = "goes on with it" if kind.resumes else "begins it again, and keeps what is done"
            self.say(f"{title}: stopped; the same command {what}")
            raise

    def _path(self, panel: Panel, stage: Stage) -> Path:
        return record_path(self.results, self.experiment, self.size, panel, stage)

    def _check_record(self, panel: Panel, stage: Stage, jobs: Sequence[Job]) -> None:
        """Refuse, before the work, to replace a record of other work; that of fewer seeds is replaced."""
        path = self._path(panel, stage)
        if self.force or not path.exists():
            return
        old = set(read_record(path).config.get("keys", [""]))
        if not old <= {job.key for job in jobs if job.stage is stage}:
            raise ColorCNNError(
                f"{path} holds a measurement of other seeds or of another state of {self.experiment.name}: "
                "replace it with --force, or write elsewhere with --results."
            )

    def _write_record(self, panel: Panel, stage: Stage, jobs: Sequence[Job]) -> Path:
        """Gather a measuring stage over its seeds, and draw it; a record of just that stays untouched."""
        path = self._path(panel, stage)
        kind = kind_of(stage)
        assert isinstance(kind, MeasuringKind)
        own = [job for job in jobs if job.stage is stage]
        record = self._gathered(panel, stage, kind, jobs)
        if path.exists() and path.read_bytes() == record.to_json().encode():
            self.say(f"{path} is up to date")
        else:
            record.write(path)
            self.say(f"wrote {path}")
        figure = kind.figure(record)
        if figure is not None:
            write_atomically(path.with_suffix(".png"), to_png(figure))
        for ending, further in kind.more_figures(record).items():
            write_atomically(path.with_name(f"{path.stem}_{ending}.png"), to_png(further))
        for name, picture in kind.pictures(own[0].folder).items():
            write_atomically(path.with_name(f"{path.stem}_{name}.png"), picture.read_bytes())
        return path

    def _gathered(self, panel: Panel, stage: Stage, kind: MeasuringKind, jobs: Sequence[Job]) -> Record:
        own = [job for job in jobs if job.stage is stage]
        parts = {job.seed: _measured(job) for job in own}
        latest = max(parts.values(), key=lambda part: part.date)
        needed = {job.key: job for job in _needed(own)}
        states = [job.state for job in needed.values()]
        gathered = gather({seed: part.metrics for seed, part in parts.items()})
        return replace(
            latest,
            command=self.command(panel),
            config={
                **latest.config,
                **substitute(kind.told(own[0].description), lambda reference: reference),
                "data": latest.config.get("data"),
                "experiment": self.experiment.name,
                "title": self.experiment.title,
                "source": self.experiment.source,
                "size": self.size,
                "panel": panel.name,
                "kind": stage.kind,
                "keys": [job.key for job in own],
                "stages": {job.stage.name: dict(job.description) for job in needed.values()},
                "runs": [job.summary() for job in needed.values()],
            },
            seeds={f"seed {seed}": seed for seed in parts},
            metrics=kind.complete(own[0].description, gathered),
            wall_seconds=round(sum(state.wall_seconds for state in states), 2),
            cpu_seconds=round(sum(state.cpu_seconds for state in states), 2),
        )


def _measured(job: Job) -> Record:
    """What the job left."""
    try:
        return read_record(job.folder / RECORD)
    except ColorCNNError as error:
        raise ColorCNNError(
            f"{job.folder} is marked as done, and its {RECORD} is lost or damaged: "
            "delete that folder, and the same command measures again."
        ) from error


def _needed(jobs: Sequence[Job]) -> Iterator[Job]:
    """The jobs and all whose outputs they were made from, first those."""
    for job in jobs:
        yield from _needed(_sources(job))
        yield job


def _sources(job: Job) -> list[Job]:
    names = {str(producer(reference, job.outputs)) for reference in references(dict(job.description))}
    return [job.outputs[name] for name in job.outputs if name in names]
