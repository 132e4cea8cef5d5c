"""The record of a measurement, a JSON file: command, options, device, time and results."""

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
    """All information to understand a number later and to measure it again.

    Attributes:
        command: the command line, or the call of a program.
        config: all options of the command.
        seeds: name -> seed of all random numbers that could change the result.
        n: number of images that the metrics cover.
        metrics: the results.
        device: name of the processor or GPU.
        versions: versions of python, colorcnn and libraries that could change the result.
        git: commit of the running source, and True if files differ from it; None outside its repository.
        wall_seconds: elapsed time.
        cpu_seconds: processor time of all threads and of ended child processes.
        date: end of the measurement, UTC, ISO 8601.
        format: version of this format.
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
        """Return the record as JSON text; numbers that are not finite become null."""
        return json.dumps(_finite(asdict(self)), indent=1, allow_nan=False, ensure_ascii=False) + "\n"

    def write(self, path: str | os.PathLike[str], *, overwrite: bool = True) -> Path:
        """Write the record, atomically.

        Args:
            path: the file.
            overwrite: True to replace an existing file.

        Raises:
            ColorCNNError: the file exists and ``overwrite`` is false, or it cannot be written.
        """
        return write_atomically(path, self.to_json().encode(), overwrite=overwrite)


@dataclass(frozen=True)
class Clock:
    """Clock of a measurement, started when it is created; :meth:`record` reads it."""

    wall: float = field(default_factory=time.perf_counter)
    cpu: float = field(default_factory=lambda: _cpu_seconds())

    def elapsed(self) -> tuple[float, float]:
        """Return the elapsed time and the processor time in seconds since the start."""
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
        num_devices: int = 1,
        libraries: Mapping[str, str] | None = None,
    ) -> Record:
        """Return the record of the work since the start.

        Args:
            command: the command line, or the call of a program.
            n: number of images that the metrics cover.
            metrics: the results as JSON values.
            config: options of the work as JSON values.
            seeds: name -> seed.
            device: the torch device; the record holds its name.
            num_devices: number of such devices that shared the work.
            libraries: name -> version of further libraries that could change the result.
        """
        wall, cpu = self.elapsed()
        name = device_name(device)
        return Record(
            command=command,
            config=dict(config or {}),
            seeds=dict(seeds or {}),
            n=n,
            metrics=metrics,
            device=f"{num_devices} x {name}" if num_devices > 1 else name,
            versions={**versions(), **(libraries or {})},
            git=source_revision(),
            wall_seconds=round(wall, 2),
            cpu_seconds=round(cpu, 2),
            date=datetime.now(UTC).isoformat(timespec="seconds"),
        )


def read_record(path: str | os.PathLike[str]) -> Record:
    """Read a record.

    Raises:
        ColorCNNError: the file is missing, damaged, or of a later format. The code is ``no-record`` for an
            intact JSON file of another kind.
    """
    cure = "use a JSON file that colorcnn wrote"
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
    """Convert errors that an incomplete record causes within the context to one sentence.

    Args:
        name: name of the record.

    Raises:
        ColorCNNError: the record lacks expected content, since the file may come from anywhere.
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
    """Return the SHA-256 of a module's weights and buffers with their names."""
    found = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        found.update(name.encode())
        found.update(value.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def device_name(device: str = "cpu") -> str:
    """Return the name of the processor, or of the GPU for a torch device such as ``"cuda"``."""
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
    """Return the versions of python, colorcnn and libraries that could change a result; import none."""
    found = {"python": platform.python_version(), "colorcnn": __version__}
    for name, package in _PACKAGES.items():
        try:
            found[name] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def source_revision() -> dict[str, Any] | None:
    """Return the commit of the package's repository, and True if tracked files differ from it."""
    home = Path(__file__).resolve().parent
    # An installed copy may be inside another repository, which does not track it.
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
    except AttributeError:  # not available on every system
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
