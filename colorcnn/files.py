"""Writing files so that a reader never sees half of one and nobody's file is lost."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from colorcnn.errors import ColorCNNError


def write_atomically(path: str | os.PathLike[str], data: bytes, *, overwrite: bool = True) -> Path:
    """Write ``data`` to ``path`` whole or not at all; missing parent folders are made.

    Args:
        path: the file to write.
        data: its content.
        overwrite: replace an existing file; otherwise it is left alone and the call fails.

    Raises:
        ColorCNNError: the file exists and ``overwrite`` is false, or the disk or the rights do not allow it.
    """
    path = Path(path)
    if not overwrite:
        refuse_existing(path)
    temporary: str | None = None
    try:
        if _is_device(path):  # /dev/null, a pipe: to be written to, never to be replaced
            path.write_bytes(data)
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = temporary_beside(path)
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
        reason = error.strerror or str(error)
        raise ColorCNNError(
            f"{path} could not be written ({reason}): free some space or choose a folder you may write to."
        ) from error
    return path


def make_folder(folder: str | os.PathLike[str]) -> None:
    """Make a folder for results, where it is missing, and find out whether files can be written to it.

    Raises:
        ColorCNNError: they cannot.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return
    except OSError as error:
        raise ColorCNNError(
            f"Nothing can be written to {folder} ({error.strerror}): choose a folder you may write to."
        ) from error


def refuse_existing(path: str | os.PathLike[str]) -> None:
    """Raise ColorCNNError when a file is there that would be overwritten."""
    if os.path.exists(path) and not _is_device(Path(path)):
        raise ColorCNNError(f"{path} exists already: choose another name, or overwrite it with --force.")


def temporary_beside(path: Path) -> tuple[int, str]:
    """Open a new file that is to become ``path``: its descriptor and name; a long name is cut short."""
    return tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".part")


def _is_device(path: Path) -> bool:
    return path.exists() and not path.is_file() and not path.is_dir()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
