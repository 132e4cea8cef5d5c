"""Parallel work over many images in pieces. Results are kept on disk, so that stopped work is resumed."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.files import write_atomically
from colorcnn.parallel import in_parallel

Arrays = Mapping[str, np.ndarray]
PLAN = "plan.json"


class Work:
    """The folder of a running build.

    Each piece of a stage is one file, written atomically. The pieces are computed in threads, or by the
    workers of :func:`colorcnn.parallel.connected`. The workers of a cluster need the images and this folder
    under the same absolute paths.

    Args:
        folder: the folder of the results; created if it is missing.
        plan: JSON description of everything that affects the results. A folder with another plan is refused.
        jobs: number of pieces computed in parallel; -1 is one for each core, None one for each worker.

    Raises:
        UsageError: the folder holds work with another plan.
    """

    def __init__(self, folder: Path, plan: Mapping[str, Any], *, jobs: int | None = -1) -> None:
        self.folder = folder
        self.jobs = jobs
        self.resumed = False
        path, data = folder / PLAN, json.dumps(plan, sort_keys=True).encode()
        self.key = hashlib.blake2b(data, digest_size=16).digest()
        if path.exists():
            if path.read_bytes() != data:
                raise UsageError(
                    f"{folder.parent} holds an unfinished build of other images, settings or weights",
                    "use the same options to resume it, use another folder, or empty this folder",
                    code="unfinished-build",
                )
            self.resumed = True
        else:
            shutil.rmtree(folder, ignore_errors=True)  # pieces without a plan may belong to another build
            write_atomically(path, data)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a worker, whose working folder may be another."""
        return {**vars(self), "folder": self.folder.absolute()}

    def path(self, stage: str, start: int = 0) -> Path:
        """Return the file of a piece.

        Args:
            stage: name of the stage.
            start: number of the piece, usually of its first image.
        """
        return self.folder / f"{stage}-{start:09d}.npz"

    def has(self, stage: str, start: int = 0) -> bool:
        """Tell if a piece of this plan is done.

        Args:
            stage: name of the stage.
            start: number of the piece.
        """
        try:
            with self.path(stage, start).open("rb") as stream:
                return stream.read(len(self.key)) == self.key
        except FileNotFoundError:
            return False

    def save(self, stage: str, arrays: Arrays, start: int = 0) -> None:
        """Write the result of a piece, after the key of the plan.

        Args:
            stage: name of the stage.
            arrays: the result, by name.
            start: number of the piece.
        """
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        write_atomically(self.path(stage, start), self.key + buffer.getvalue())

    def load(self, stage: str, start: int = 0) -> dict[str, np.ndarray]:
        """Return the result of a piece.

        Args:
            stage: name of the stage.
            start: number of the piece.

        Raises:
            ColorCNNError: the piece is missing or damaged.
        """
        path = self.path(stage, start)
        try:
            data = path.read_bytes()
            if data[: len(self.key)] != self.key:
                raise ValueError
            with np.load(io.BytesIO(data[len(self.key) :]), allow_pickle=False) as content:
                return dict(content)
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise ColorCNNError(
                f"{path}, a piece of an unfinished build, is damaged: remove the folder {self.folder}."
            ) from error

    def once(self, stage: str, compute: Callable[[], Arrays]) -> dict[str, np.ndarray]:
        """Return the result of a stage of one piece; compute it if it is missing.

        Args:
            stage: name of the stage.
            compute: function that returns the arrays.
        """
        if not self.has(stage):
            self.save(stage, compute())
        return self.load(stage)

    def pieces(
        self,
        stage: str,
        pieces: Mapping[int, Any],
        work: Callable[[Any], Any],
        keep: Callable[[int, Any], None] | None = None,
        *,
        prepare: Callable[[Any], Any] = lambda piece: piece,
        describe: str,
        unit: str = "part",
    ) -> None:
        """Compute the missing pieces of a stage.

        Args:
            stage: name of the stage.
            pieces: number of a piece -> argument of ``prepare``.
            work: pure function of the result of ``prepare``; picklable if the backend uses processes.
            keep: function of the number and the result that stores it; by default :meth:`save`.
            prepare: function that gathers a piece's input, called in this process just before the work.
            describe: text of the progress bar.
            unit: unit of the progress bar.
        """
        todo = {number: piece for number, piece in pieces.items() if not self.has(stage, number)}
        if not todo:
            return
        save = keep or (lambda number, result: self.save(stage, result, number))
        calls = ((number, prepare(piece)) for number, piece in todo.items())
        with tqdm(
            total=len(pieces), initial=len(pieces) - len(todo), desc=describe, unit=unit, disable=None
        ) as bar:
            for number, result in in_parallel(_Numbered(work), calls, jobs=self.jobs, ordered=False):
                save(number, result)
                bar.update()

    def remove(self) -> None:
        """Remove the folder. The plan is removed last, because pieces are invalid without it."""
        for path in self.folder.glob("*"):
            if path.name != PLAN and path.is_file():
                path.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True)
class _Numbered:
    """Callable that returns the number of a piece and its result."""

    work: Callable[[Any], Any]

    def __call__(self, number: int, piece: Any) -> tuple[int, Any]:
        return number, self.work(piece)


def ranges(count: int, step: int) -> dict[int, np.ndarray]:
    """Cut the images 0..count - 1 into pieces: first image -> (n,) images.

    Args:
        count: number of images.
        step: maximum number of images per piece.
    """
    return {start: np.arange(start, min(start + step, count)) for start in range(0, count, step)}
