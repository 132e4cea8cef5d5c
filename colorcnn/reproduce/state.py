"""State of a stage, saved in state.json between two runs of the command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from colorcnn import schema
from colorcnn.errors import ColorCNNError
from colorcnn.files import write_atomically
from colorcnn.records import Clock, device_name, source_revision, versions

STATE = "state.json"


@dataclass(frozen=True)
class State:
    """Progress, time and provenance of a stage.

    Attributes:
        key: the cache key of the stage.
        done: True if the stage is finished. An unfinished stage is resumed.
        wall_seconds: wall-clock time of all attempts, except those that were killed.
        cpu_seconds: CPU time of the same attempts.
        device: the processor or GPU.
        versions: versions of libraries, as in a record.
        git: commit of the source code, as in a record.
    """

    key: str
    done: bool = False
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    device: str = ""
    versions: dict[str, str] | None = None
    git: dict[str, Any] | None = None

    def write(self, folder: Path) -> None:
        """Save the state in the stage's folder."""
        write_atomically(folder / STATE, (json.dumps(asdict(self), indent=1) + "\n").encode())


def read_state(folder: Path, key: str) -> State:
    """Return the state of a stage, or a new state if the file is missing or unreadable.

    Args:
        folder: the folder of the stage.
        key: the cache key of the stage.
    """
    try:
        path = folder / STATE
        return schema.convert(schema.parse_json(schema.read_file(path, ""), path, ""), State, path, "")
    except (FileNotFoundError, ColorCNNError):
        return State(key)


def begun(folder: Path) -> bool:
    """Return True if a stage's folder exists and is not empty."""
    return folder.is_dir() and any(folder.iterdir())


@contextmanager
def working(folder: Path, key: str, device: str) -> Iterator[None]:
    """Record the time spent in a block. Mark the stage done if the block raises no exception.

    Args:
        folder: the folder of the stage.
        key: the cache key of the stage.
        device: the device of the stage.
    """
    before, clock = read_state(folder, key), Clock()

    def note(*, done: bool) -> None:
        wall, cpu = clock.elapsed()
        replace(
            before,
            done=done,
            wall_seconds=round(before.wall_seconds + wall, 2),
            cpu_seconds=round(before.cpu_seconds + cpu, 2),
            device=device_name(device),
            versions=versions(),
            git=source_revision(),
        ).write(folder)

    try:
        yield
    except BaseException:
        with suppress(ColorCNNError):  # a full disk must not hide why the work failed
            note(done=False)
        raise
    note(done=True)
