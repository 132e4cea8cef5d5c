"""The plan of an experiment: the stages to run, each with its seed, its key and its folder.

The name of a stage's folder ends in its key, a hash of everything that decides the result. So finished work
is found by its key, also by another experiment. A changed experiment starts in a new folder and leaves the
old one alone. Making a plan does no work and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from colorcnn.errors import UsageError, shortened, unknown_name
from colorcnn.reproduce.cache_key import key_of
from colorcnn.reproduce.experiment import Experiment, Scale, Stage, Variant
from colorcnn.reproduce.library import measuring_stages
from colorcnn.reproduce.places import experiments_folder
from colorcnn.reproduce.references import producer, references, substitute
from colorcnn.reproduce.stages import kind_of
from colorcnn.reproduce.state import State, read_state


@dataclass(frozen=True)
class Job:
    """One stage with one seed.

    Attributes:
        stage: the stage.
        seed: the seed of everything random in it.
        key: the hash that identifies the work.
        home: the folder to create if the work has no folder yet.
        description: everything that decides the result. References are not resolved.
        outputs: name of an earlier stage -> the job whose output a reference uses.
    """

    stage: Stage
    seed: int
    key: str
    home: Path
    description: Mapping[str, Any]
    outputs: Mapping[str, Job]

    @property
    def folder(self) -> Path:
        """The folder of the work. If older runs left several folders, a finished one is preferred."""
        found = sorted(self.home.parent.glob(f"*-{self.key}"))
        finished = (each for each in found if read_state(each, self.key).done)
        return next(finished, next(iter(found), self.home))

    @property
    def state(self) -> State:
        """The state on disk."""
        return read_state(self.folder, self.key)

    @property
    def inputs(self) -> list[Job]:
        """The jobs whose outputs this one uses."""
        names = {str(producer(reference, self.outputs)) for reference in references(dict(self.description))}
        return [self.outputs[name] for name in self.outputs if name in names]

    def resolved(self) -> dict[str, Any]:
        """Return the description with every reference replaced by a path."""

        def path(reference: str) -> str:
            name = str(producer(reference, self.outputs))
            job = self.outputs[name]
            return str(kind_of(job.stage).output(job.folder, reference[len(name) + 1 :]))

        return substitute(self.description, path)

    def summary(self) -> dict[str, Any]:
        """Return the entry of a record about this job."""
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
class VariantPlan:
    """The jobs of one variant, in the order in which they run."""

    variant: Variant
    jobs: tuple[Job, ...]

    def jobs_of(self, stage: Stage) -> list[Job]:
        """Return the jobs of one stage, one for each seed."""
        return [job for job in self.jobs if job.stage is stage]


@dataclass(frozen=True)
class Plan:
    """The plan of an experiment at one scale.

    Args:
        experiment: the experiment.
        scale: the name of its scale.
        seeds: the number of seeds, which are 1, 2, ...; None for the scale's own number.
        runs: the folder of the stages' folders.
        variant: the name of the only variant to plan; None for all.

    Raises:
        UsageError: the scale or the variant is unknown.
    """

    experiment: Experiment
    scale: str
    seeds: int | None
    runs: Path
    variant: str | None = None

    @property
    def chosen_scale(self) -> Scale:
        """The scale of the experiment."""
        return self.experiment.scale(self.scale)

    @property
    def seed_range(self) -> range:
        """The seeds, from 1."""
        return range(1, 1 + (self.seeds or self.chosen_scale.seeds))

    @cached_property
    def variants(self) -> list[VariantPlan]:
        """The plan of each variant."""
        return [VariantPlan(variant, tuple(self._jobs(variant))) for variant in self._chosen_variants()]

    def distinct(self) -> dict[str, tuple[str, Job]]:
        """Return each job once: key -> (title with number, variant, stage and seed; job)."""
        found: dict[str, tuple[str, Job]] = {}
        for planned in self.variants:
            for job in planned.jobs:
                name = f"{planned.variant.name} {job.stage.name}".strip()
                found.setdefault(job.key, (f"{name}, seed {job.seed}", job))
        return {
            key: (f"[{number}/{len(found)}] {title}", job)
            for number, (key, (title, job)) in enumerate(found.items(), 1)
        }

    def command(self, variant: Variant) -> str:
        """Return the command line that writes a variant's records."""
        ours = experiments_folder().resolve() in self.experiment.path.resolve().parents
        name = self.experiment.name if ours else self.experiment.path.name
        words = ["colorcnn reproduce", name, "--size", self.scale]
        words += ["--panel", variant.name] if variant.name else []
        return " ".join([*words, "--seeds", str(len(self.seed_range))])

    def _chosen_variants(self) -> list[Variant]:
        found = self.chosen_scale.variants
        if self.variant is None:
            return list(found)
        chosen = [variant for variant in found if variant.name == self.variant]
        if not chosen and not any(variant.name for variant in found):
            raise UsageError(f"{self.experiment.name} has no variants", "name none", code="no-variants")
        if not chosen:
            raise unknown_name("variant", self.variant, [variant.name for variant in found])
        return chosen

    def _jobs(self, variant: Variant) -> list[Job]:
        """Return every stage that a measurement needs, with every seed."""
        jobs: list[Job] = []
        shared: dict[str, Job] = {}
        for seed in self.seed_range:
            outputs = dict(shared)
            for stage in variant.stages:
                if stage.name in shared:
                    continue
                job = self._job(variant, stage, seed, outputs)
                outputs[stage.name] = job
                if stage.shared:
                    shared[stage.name] = job
                jobs.append(job)
        measuring = {stage.name for stage in measuring_stages(variant)}
        wanted = {job.key for job in needed(job for job in jobs if job.stage.name in measuring)}
        return [job for job in jobs if job.key in wanted]

    def _job(self, variant: Variant, stage: Stage, seed: int, outputs: Mapping[str, Job]) -> Job:
        kind = kind_of(stage)
        description = kind.describe(stage.options, self.experiment.path.parent)

        def key_for(reference: str) -> str:
            name = producer(reference, outputs)
            if name is None:  # it stands in a file that the stage names, not in the experiment itself
                raise UsageError(
                    f"Stage {stage.name}: {shortened('${' + reference + '}')} in its configuration names no "
                    "earlier stage: correct the configuration."
                )
            source = outputs[name]
            part = reference[len(source.stage.name) + 1 :]
            kind_of(source.stage).output(source.folder, part)  # raises for an unknown output
            return f"{source.key}{part and '.'}{part}"

        decisive = {name: value for name, value in description.items() if name not in kind.cosmetic_options}
        key = key_of(stage.kind, substitute(decisive, key_for), seed, order_sensitive=kind.order_sensitive)
        label = "_".join(part for part in (variant.name, stage.name) if part)
        home = self._homes.setdefault(key, self.runs / f"{label}-{key}")
        return Job(stage, seed, key, home, description, dict(outputs))

    @cached_property
    def _homes(self) -> dict[str, Path]:
        """Key -> folder. A folder is named after the first variant that needs the job."""
        return {}


def needed(jobs: Iterable[Job]) -> Iterator[Job]:
    """Yield jobs and all jobs whose outputs they use, in dependency order."""
    for job in jobs:
        yield from needed(job.inputs)
        yield job
