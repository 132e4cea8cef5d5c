"""Where experiments and their records are: in the repository, the installed package, or anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from colorcnn.errors import unknown_name
from colorcnn.reproduce.experiment import Experiment, Panel, Stage, read_experiment, read_yaml
from colorcnn.reproduce.stages import check_stages, kind_of
from colorcnn.reproduce.stages.base import MeasuringKind


def repository() -> Path | None:
    """The repository this package runs from, or None for an installed copy."""
    folder = Path(__file__).resolve().parents[2]
    return folder if (folder / "pyproject.toml").is_file() and (folder / "experiments").is_dir() else None


def experiments_folder() -> Path:
    """The folder of experiment files: the repository's, else the installed package's."""
    home = repository()
    return home / "experiments" if home else Path(__file__).resolve().parents[1] / "experiments"


def results_folder(runs: Path) -> Path:
    """Where records go: experiments/results in the repository, else below the runs."""
    home = repository()
    return home / "experiments" / "results" if home else runs / "results"


def experiment_files() -> dict[str, Path]:
    """Every experiment's name and file."""
    return {
        path.stem: path
        for path in sorted(experiments_folder().glob("*/*.yaml"))
        if read_yaml(path).get("kind") == "experiment"
    }


def find_experiment(name: str) -> Experiment:
    """Read an experiment.

    Args:
        name: of one in :func:`experiment_files`, or the path of a file.

    Raises:
        UsageError: there is none, or something in it cannot be meant.
        ColorCNNError: it cannot be read.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        files = experiment_files()
        if name not in files:
            raise unknown_name("experiment", name, files)
        path = files[name]
    experiment = read_experiment(path)
    check_stages(experiment)
    return experiment


def measuring_stages(panel: Panel) -> list[Stage]:
    """The stages of a panel that end in a record."""
    return [stage for stage in panel.stages if isinstance(kind_of(stage), MeasuringKind)]


def record_path(results: Path, experiment: Experiment, size: str, panel: Panel, stage: Stage) -> Path:
    """Where the record of a stage goes."""
    several = len(measuring_stages(panel)) > 1
    parts = [experiment.name, panel.name, stage.name if several else "", size]
    return results / f"{'_'.join(part for part in parts if part)}.json"


def record_paths(experiment: Experiment, size: str, results: Path) -> Iterator[tuple[str, Path]]:
    """What every record of an experiment is of, where there are several, and where it goes."""
    for panel in experiment.size(size).panels:
        stages = measuring_stages(panel)
        for stage in stages:
            title = " ".join(part for part in (panel.name, stage.name if len(stages) > 1 else "") if part)
            yield title, record_path(results, experiment, size, panel, stage)
