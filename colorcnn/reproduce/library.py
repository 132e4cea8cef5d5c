"""Find experiment files and the paths of their records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from colorcnn.errors import unknown_name
from colorcnn.reproduce.experiment import Experiment, Stage, Variant
from colorcnn.reproduce.places import (  # noqa: F401 (older code imports them from here)
    experiment_files,
    experiments_folder,
    repository,
    results_folder,
)
from colorcnn.reproduce.reading import read_experiment
from colorcnn.reproduce.stages import check_stages, kind_of
from colorcnn.reproduce.stages.base import MeasuringKind


def find_experiment(name: str) -> Experiment:
    """Read an experiment.

    Args:
        name: a name in :func:`experiment_files`, or the path of a file.

    Raises:
        UsageError: there is no such experiment, or something in it is invalid.
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


def measuring_stages(variant: Variant) -> list[Stage]:
    """Return the stages of a variant that write a record."""
    return [stage for stage in variant.stages if isinstance(kind_of(stage), MeasuringKind)]


def record_path(results: Path, experiment: Experiment, scale: str, variant: Variant, stage: Stage) -> Path:
    """Return the path of a measuring stage's record.

    Args:
        results: the folder of the records.
        experiment: the experiment.
        scale: the name of its scale.
        variant: the variant of the scale.
        stage: the measuring stage of the variant.
    """
    several = len(measuring_stages(variant)) > 1
    parts = [experiment.name, variant.name, stage.name if several else "", scale]
    return results / f"{'_'.join(part for part in parts if part)}.json"


def record_paths(experiment: Experiment, scale: str, results: Path) -> Iterator[tuple[str, Path]]:
    """Yield a title and the path of every record of an experiment at one scale.

    Args:
        experiment: the experiment.
        scale: the name of its scale.
        results: the folder of the records.

    Yields:
        The title (variant and stage; empty if the scale has a single record) and the path.
    """
    for variant in experiment.scale(scale).variants:
        for title, stage in titled_stages(variant):
            yield title, record_path(results, experiment, scale, variant, stage)


def titled_stages(variant: Variant) -> list[tuple[str, Stage]]:
    """Return the measuring stages of a variant, each with the title of its record."""
    stages = measuring_stages(variant)
    several = len(stages) > 1
    return [(" ".join(filter(None, (variant.name, each.name if several else ""))), each) for each in stages]
