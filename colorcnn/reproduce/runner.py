"""Run a plan: run each job once, and write a record when all jobs of a variant are done.

An interrupted training resumes in its folder. Several processes can run the same plan, or plans with jobs in
common. Each takes the jobs that no other process has taken.
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

_LOCKS = "locks"  # a folder beside those of the stages: a file for each running stage
_PAUSE = 1.0  # seconds between two checks of the locks


@dataclass(frozen=True)
class Run:
    """A plan, and the options that do not change its results.

    Args:
        plan: the jobs.
        results: the folder of the records.
        fit: runs ``colorcnn fit``.
        say: prints a message for the user.
        device: ``auto``, ``cpu``, ``cuda`` ...
        download: True to download data sets that are missing.
        force: True to replace records of other work.
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
            UsageError: the device does not exist.
            ColorCNNError: a stage failed, or there is a record of other work.
            KeyboardInterrupt: the run was stopped. The same call resumes it.
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
            if self._run_job(job, title):
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
        """Yield jobs whose inputs are done, until this process or others have done all jobs."""
        jobs = list(self.plan.distinct().values())
        waited = False
        while left := [(title, job) for title, job in jobs if job.key not in done]:
            for title, job in left:
                if all(used.key in done for used in job.inputs):
                    yield title, job
                    if job.key in done:
                        break
            else:
                if not waited:
                    self.say("waiting for other processes to finish the remaining jobs")
                waited = True
                sleep(_PAUSE)

    def _run_job(self, job: Job, title: str) -> bool:
        """Run a job. Return False if another process holds it."""
        try:
            with claimed(self.plan.runs / _LOCKS / job.key):
                if job.state.done:
                    self.say(f"{title}: done already, in {job.folder}")
                else:
                    self._run_claimed(job, title)
        except ClaimedError:
            return False
        return True

    def _run_claimed(self, job: Job, title: str) -> None:
        kind, folder = kind_of(job.stage), job.folder
        action = ("resumes" if kind.resumes else "starts again") if begun(folder) else "starts"
        self.say(f"{title}: {action} in {folder}")
        folder.mkdir(parents=True, exist_ok=True)
        context = StageContext(folder, job.seed, self.device, self.download, self.fit, self.say)
        try:
            with working(folder, job.key, context.torch_device()):
                kind.run(job.resolved(), context)
        except KeyboardInterrupt:
            what = "resumes it" if kind.resumes else "runs it again"
            self.say(f"{title}: stopped; the same command {what}")
            raise
