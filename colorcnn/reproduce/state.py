"""State of a stage between two runs of the command: state.json in its folder."""

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
    """A stage's state.

    Attributes:
        key: of the work.
        done: whether it is finished; what is not is gone on with.
        wall_seconds: on the clock, of all attempts but those that were killed.
        cpu_seconds: likewise of processor time.
        device: the processor or GPU.
        versions: as a record has them.
        git: likewise.
    """

    key: str
    done: bool = False
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    device: str = ""
    versions: dict[str, str] | None = None
    git: dict[str, Any] | None = None

    def write(self, folder: Path) -> None:
        """Keep the state in the stage's folder."""
        write_atomically(folder / STATE, (json.dumps(asdict(self), indent=1) + "\n").encode())


def read_state(folder: Path, key: str) -> State:
    """Return the state of a stage; that of a new one if the file is missing or cannot be read.

    Args:
        folder: of the stage.
        key: of the stage's description.
    """
    try:
        path = folder / STATE
        return schema.convert(schema.parse_json(schema.read_file(path, ""), path, ""), State, path, "")
    except (FileNotFoundError, ColorCNNError):
        return State(key)


def begun(folder: Path) -> bool:
    """Tell if a stage's folder holds any of its work."""
    return folder.is_dir() and any(folder.iterdir())


@contextmanager
def working(folder: Path, key: str, device: str) -> Iterator[None]:
    """Work on a stage: its time is counted however the work ends, and it is done when it ends well.

    Args:
        folder: the stage's.
        key: of the work.
        device: that it is done on.
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
