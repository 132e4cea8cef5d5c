"""Folders of experiment files and of records: in the repository, or in the installed package."""

from __future__ import annotations

from pathlib import Path

from colorcnn.reproduce.yaml_file import read_yaml


def repository() -> Path | None:
    """Return the repository this package runs from, or None for an installed copy."""
    folder = Path(__file__).resolve().parents[2]
    return folder if (folder / "pyproject.toml").is_file() and (folder / "experiments").is_dir() else None


def experiments_folder() -> Path:
    """Return the folder of experiment files: the repository's, else the installed package's."""
    home = repository()
    return home / "experiments" if home else Path(__file__).resolve().parents[1] / "experiments"


def results_folder(runs: Path) -> Path:
    """Return the folder of records: experiments/results in the repository, else a folder below the runs."""
    home = repository()
    return home / "experiments" / "results" if home else runs / "results"


def experiment_files() -> dict[str, Path]:
    """Return the file of every experiment, by name."""
    return {
        path.stem: path
        for path in sorted(experiments_folder().glob("*/*.yaml"))
        if read_yaml(path).get("kind") == "experiment"
    }
