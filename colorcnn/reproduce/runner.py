"""Doing a plan: every job once, and a record when all jobs of a variant are done.

A training that was interrupted resumes in its folder. Several processes that were given the same command, or
others that need the same work, share it, job by job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import sleep

from colorcnn.files import make_folder
from colorcnn.pretrained import find_device
from colorcnn.reproduce.experiment import Stage, Variant
from colorcnn.reproduce.library import measuring_stages, record_path
from colorcnn.reproduce.locks import ClaimedError, claimed
from colorcnn.reproduce.plan import Job, Plan
from colorcnn.reproduce.results import check_replaceable, write_results
from colorcnn.reproduce.stages import kind_of
from colorcnn.reproduce.stages.base import Fit, StageContext
from colorcnn.reproduce.state import begun, working

_LOCKS = "locks"  # a folder beside those of the stages: a file for each that is being worked on
_PAUSE = 1.0  # seconds between two looks at what other processes work on


@dataclass(frozen=True)
class Run:
    """A plan, and everything that decides how it is done but not what comes out.

    Args:
        plan: the jobs.
        results: the folder of the records.
        fit: runs ``colorcnn fit``.
        say: prints a message for the user.
        device: ``auto``, ``cpu``, ``cuda`` ...
        download: True to fetch data sets that are missing.
        force: True to replace records that hold something else.
    """

    plan: Plan
    results: Path
    fit: Fit
    say: Callable[[str], None]
    device: str = "auto"
    download: bool = False
    force: bool = False

    def run(self) -> list[Path]:
        """Run the jobs that are not done, and write the records.

        Returns:
            The paths of the records.

        Raises:
            UsageError: the device is not there.
            ColorCNNError: a stage failed, or a record is there that holds something else.
            KeyboardInterrupt: the same call resumes where this one stopped.
        """
        if self.device != "auto":
            find_device(self.device)
        make_folder(self.results)
        if not self.force:
            for planned in self.plan.variants:
                for stage in measuring_stages(planned.variant):
                    check_replaceable(self._path(planned.variant, stage), self.plan, planned.jobs_of(stage))
        done: set[str] = set()
        written: dict[str, list[Path]] = {}
        for title, job in self._until_all_are(done):
            if self._do(job, title):
                done.add(job.key)
            for planned in self.plan.variants:
                name = planned.variant.name
                if name not in written and all(job.key in done for job in planned.jobs):
                    written[name] = self._write(planned.variant)
        return [path for planned in self.plan.variants for path in written[planned.variant.name]]

    def _write(self, variant: Variant) -> list[Path]:
        """Write the records of a finished variant."""
        planned = next(each for each in self.plan.variants if each.variant is variant)
        stages = measuring_stages(variant)
        for stage in stages:
            write_results(self._path(variant, stage), self.plan, planned, stage, self.say)
        return [self._path(variant, stage) for stage in stages]

    def _path(self, variant: Variant, stage: Stage) -> Path:
        return record_path(self.results, self.plan.experiment, self.plan.scale, variant, stage)

    def _until_all_are(self, done: set[str]) -> Iterator[tuple[str, Job]]:
        """Yield jobs to try, the first possible one, until this process or others have done all."""
        jobs = list(self.plan.distinct().values())
        waited = False
        while left := [(title, job) for title, job in jobs if job.key not in done]:
            for title, job in left:
                if all(source.key in done for source in job.sources):
                    yield title, job
                    if job.key in done:
                        break
            else:
                if not waited:
                    self.say("the rest is being worked on by other processes: waiting")
                waited = True
                sleep(_PAUSE)

    def _do(self, job: Job, title: str) -> bool:
        """Run a job, and return whether it is done now. Another process may be working on it."""
        try:
            with claimed(self.plan.runs / _LOCKS / job.key):
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
        context = StageContext(folder, job.seed, self.device, self.download, self.fit, self.say)
        try:
            with working(folder, job.key, context.torch_device()):
                kind.run(job.resolved(), context)
        except KeyboardInterrupt:
            what = "goes on with it" if kind.resumes else "begins it again, and keeps what is done"
            self.say(f"{title}: stopped; the same command {what}")
            raise
