"""The record of a measurement: what ran, on what, how long, and what came out. One JSON file."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import math
import os
import platform
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colorcnn import schema
from colorcnn.errors import ColorCNNError, shortened
from colorcnn.files import write_atomically
from colorcnn.version import __version__

if TYPE_CHECKING:
    from torch import nn

FORMAT = 1
_PACKAGES = {
    "torch": "torch",
    "torchvision": "torchvision",
    "lightning": "pytorch-lightning",
    "pillow": "pillow",
}


@dataclass(frozen=True)
class Record:
    """Everything needed to read a number later and to measure it again.

    Attributes:
        command: the command line, or what a program called instead.
        config: its options, resolved.
        seeds: name -> seed of every random draw that could change the result.
        n: how many images the metrics are over.
        metrics: the results.
        device: the name of the processor or GPU.
        versions: python, colorcnn and the libraries that could change the result.
        git: commit of the running source and whether files differ from it; None outside its repository.
        wall_seconds: time on the clock.
        cpu_seconds: processor time, of all threads and of child processes that have ended.
        date: when it finished, UTC, ISO 8601.
        format: version of this layout.
    """

    command: str
    config: Mapping[str, Any]
    seeds: Mapping[str, int]
    n: schema.Natural
    metrics: Mapping[str, Any]
    device: str
    versions: Mapping[str, str]
    git: Mapping[str, Any] | None
    wall_seconds: float
    cpu_seconds: float
    date: str
    format: int = FORMAT

    @property
    def origin(self) -> str:
        """Machine and day of the measurement."""
        return f"{self.device}, {self.date[:10]}"

    def to_json(self) -> str:
        """The record as JSON text; numbers that are not finite become null."""
        return json.dumps(_finite(asdict(self)), indent=1, allow_nan=False, ensure_ascii=False) + "\n"

    def write(self, path: str | os.PathLike[str], *, overwrite: bool = True) -> Path:
        """Write the record, atomically.

        Args:
            path: the file.
            overwrite: replace an existing file.

        Raises:
            ColorCNNError: the file exists and ``overwrite`` is false, or it cannot be written.
        """
        return write_atomically(path, self.to_json().encode(), overwrite=overwrite)


@dataclass(frozen=True)
class Clock:
    """Started where the work starts; :meth:`record` stops it."""

    wall: float = field(default_factory=time.perf_counter)
    cpu: float = field(default_factory=lambda: _cpu_seconds())

    def elapsed(self) -> tuple[float, float]:
        """Seconds on the clock, and of processor time, since it was started."""
        return time.perf_counter() - self.wall, _cpu_seconds() - self.cpu

    def record(
        self,
        command: str,
        *,
        n: int,
        metrics: Mapping[str, Any],
        config: Mapping[str, Any] | None = None,
        seeds: Mapping[str, int] | None = None,
        device: str = "cpu",
        libraries: Mapping[str, str] | None = None,
    ) -> Record:
        """Describe the work done since the clock was started.

        Args:
            command: the command line, or what a program called instead.
            n: how many images the metrics are over.
            metrics: the results, of JSON's types.
            config: options of the work, of JSON's types.
            seeds: name -> seed.
            device: the torch device it ran on; the record holds its name.
            libraries: name -> version of further libraries that could change the result.
        """
        wall, cpu = self.elapsed()
        return Record(
            command=command,
            config=dict(config or {}),
            seeds=dict(seeds or {}),
            n=n,
            metrics=metrics,
            device=device_name(device),
            versions={**versions(), **(libraries or {})},
            git=source_revision(),
            wall_seconds=round(wall, 2),
            cpu_seconds=round(cpu, 2),
            date=datetime.now(UTC).isoformat(timespec="seconds"),
        )


def read_record(path: str | os.PathLike[str]) -> Record:
    """Read a record back.

    Raises:
        ColorCNNError: the file is missing, damaged, or was written by a later format. The code ``no-record``
            tells that it is a whole JSON file of another kind.
    """
    cure = "give a JSON file that colorcnn wrote"
    try:
        content = schema.parse_json(schema.read_file(Path(path), cure), path, cure)
    except FileNotFoundError as error:
        raise ColorCNNError(f"{path} could not be read, it does not exist: {cure}.") from error
    version = content.get("format", 0)
    if isinstance(version, int) and version > FORMAT:
        raise ColorCNNError(
            f"{path} has format {shortened(version)}, later than {FORMAT}: update colorcnn to read it."
        )
    names = {each.name for each in fields(Record)}
    if len(names & content.keys()) < len(names) // 2:
        raise ColorCNNError(f"{path} holds no record", cure, code="no-record")
    return schema.convert(content, Record, path, cure)


@contextmanager
def showing(name: str | os.PathLike[str]) -> Iterator[None]:
    """Tell in a sentence that a record does not hold what its kind does: the file may be anybody's.

    Args:
        name: of the record.

    Raises:
        ColorCNNError: it does not.
    """
    try:
        yield
    except ColorCNNError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        reason = shortened(f"{type(error).__name__}: {error}", 200)
        raise ColorCNNError(
            f"The record {name} does not hold what it should ({reason}): measure again, or leave it out."
        ) from error


def weights_hash(module: nn.Module) -> str:
    """The SHA-256 of a module's weights and buffers with their names, wherever they came from."""
    found = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        found.update(name.encode())
        found.update(value.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def device_name(device: str = "cpu") -> str:
    """The name of the processor, or of the GPU behind a torch device such as ``"cuda"``."""
    if str(device).startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    cores = len(_usable_cores())
    return f"{name}, {cores} core{'s' if cores > 1 else ''}"


def versions() -> dict[str, str]:
    """Versions of python, colorcnn and the libraries that could change a result, without importing them."""
    found = {"python": platform.python_version(), "colorcnn": __version__}
    for name, package in _PACKAGES.items():
        try:
            found[name] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def source_revision() -> dict[str, Any] | None:
    """Commit of the repository this package runs from, and whether tracked files differ from it."""
    home = Path(__file__).resolve().parent
    # An installed copy may lie inside somebody else's repository, which does not track it.
    if _git(home, "ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None
    commit = _git(home, "rev-parse", "HEAD")
    if commit is None:
        return None
    changes = _git(home, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": changes != ""}


def _git(folder: Path, *arguments: str) -> str | None:
    command: Sequence[str] = ("git", "-C", str(folder), *arguments)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _usable_cores() -> set[int]:
    try:
        return os.sched_getaffinity(0)
    except AttributeError:  # not on every system
        return set(range(os.cpu_count() or 1))


def _cpu_seconds() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
