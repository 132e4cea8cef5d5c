"""Cache of arrays that take long to compute: written atomically to disk, mapped into memory."""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

from colorcnn.errors import ColorCNNError
from colorcnn.files import make_folder, temporary_beside

_STALE_SECONDS = 86_400


def cache_folder(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder for computed files: ``cache_dir``, else $COLORCNN_CACHE, else ~/.cache/colorcnn.

    If it is not writable, a temporary folder is used until the process ends.
    """
    chosen = cache_dir or os.environ.get("COLORCNN_CACHE") or Path.home() / ".cache" / "colorcnn"
    return _writable(Path(chosen).expanduser())


@cache
def _writable(folder: Path) -> Path:
    try:
        make_folder(folder)
    except ColorCNNError:
        temporary = tempfile.mkdtemp(prefix="colorcnn-")
        atexit.register(shutil.rmtree, temporary, ignore_errors=True)
        warnings.warn(
            f"The cache {folder} cannot be written to, so {temporary} is used for now: "
            f"choose another folder with COLORCNN_CACHE.",
            stacklevel=2,
        )
        return Path(temporary)
    return folder


def content_key(*parts: str | bytes | np.ndarray) -> str:
    """Return a short hexadecimal hash of ``parts``."""
    digest = hashlib.blake2b(digest_size=12)
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.shape}{part.dtype}".encode())
            digest.update(np.ascontiguousarray(part).data)
        else:
            raw = part.encode() if isinstance(part, str) else part
            digest.update(f"{len(raw)}:".encode() + raw)
    return digest.hexdigest()


@contextmanager
def array_writer(path: Path, shape: tuple[int, ...], dtype: type) -> Iterator[Callable[[np.ndarray], None]]:
    """Write an .npy file atomically from consecutive chunks along its first axis.

    The chunks are streamed, so that the array may be larger than the memory and a full disk is an ordinary
    error (with a writable memory map it would kill the process).

    Args:
        path: the file.
        shape: shape of the array.
        dtype: type of the array.

    Yields:
        A function that appends a chunk (n, ...).

    Raises:
        ColorCNNError: the file cannot be written.
        ValueError: the chunks do not add up to ``shape``.
    """
    temporary: str | None = None
    written = 0

    def append(chunk: np.ndarray) -> None:
        nonlocal written
        stream.write(np.ascontiguousarray(chunk, dtype=dtype).data)
        written += len(chunk)

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(path.parent)
        handle, temporary = temporary_beside(path)
        with os.fdopen(handle, "wb") as stream:
            header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(stream, header)
            yield append
        if written != shape[0]:
            raise ValueError(f"{written} rows were computed for an array of {shape[0]}")
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        reason = error.strerror or str(error)
        raise ColorCNNError(
            f"{path} could not be written ({reason}): free some space, "
            "or choose another cache folder with COLORCNN_CACHE."
        ) from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def read_array(path: Path) -> np.ndarray:
    """Map an .npy file of the cache into memory, read-only.

    Raises:
        ColorCNNError: the file is damaged.
    """
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, SyntaxError, MemoryError) as error:
        raise ColorCNNError(f"{path} is damaged: remove it, and the same command writes it again.") from error


def _remove_stale(folder: Path) -> None:
    """Remove files of killed processes. They are older than a day, longer than any computation here."""
    for leftover in folder.glob(".*.part"):
        try:
            if time.time() - leftover.stat().st_mtime > _STALE_SECONDS:
                leftover.unlink()
        except OSError:
            continue  # another process was faster
