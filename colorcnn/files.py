"""Atomic writing of files, which never replaces a file by accident."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

from colorcnn.errors import ColorCNNError, FileExists, UsageError

IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png"}
    | {".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"}
)
"""File extensions of images, in lower case."""

_NO_LINKS = (errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""Errors of file systems without hard links, such as FAT and some network shares."""


def check_png_name(path: str | os.PathLike[str]) -> None:
    """Check that a file's name does not have the extension of another image format than PNG.

    Args:
        path: the file to write.

    Raises:
        UsageError: the extension is that of another image format.
    """
    suffix = Path(path).suffix.lower()
    if suffix != ".png" and suffix in IMAGE_SUFFIXES:
        raise UsageError(
            f"{os.fspath(path)} would hold a PNG file",
            "give it a name that ends in .png",
            code="wrong-suffix",
            path=path,
        )


def write_atomically(path: str | os.PathLike[str], data: bytes, *, overwrite: bool = True) -> Path:
    """Write ``data`` to ``path`` atomically; create missing parent folders.

    If two processes write one file without ``overwrite``, one succeeds and the other fails. A replaced file
    keeps its access rights. If ``path`` is a link, its target is replaced.

    Args:
        path: the file to write.
        data: the content.
        overwrite: True to replace an existing file; False to raise FileExists.

    Returns:
        The path.

    Raises:
        FileExists: the file, or a link of that name, exists and ``overwrite`` is false.
        ColorCNNError: the file cannot be written.
    """
    path = Path(path)
    if not overwrite:
        refuse_existing(path)
    temporary: str | None = None
    try:
        if _is_device(path):  # such as /dev/null or a pipe, which must not be replaced
            path.write_bytes(data)
            return path
        target = _link_target(path) if overwrite else path
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = temporary_beside(target)
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        os.chmod(temporary, _mode(target))
        if overwrite:
            os.replace(temporary, target)
        else:
            _publish(temporary, target)
    except FileExistsError as error:
        if overwrite or error.filename2 is None:  # a parent folder is a file
            raise _unwritable(path, error) from error
        raise FileExists.at(path) from error
    except (OSError, ValueError) as error:  # a ValueError for a null byte in the name
        raise _unwritable(path, error) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
    return path


def make_folder(folder: str | os.PathLike[str]) -> None:
    """Create a folder for results if it is missing, and check that it is writable.

    Raises:
        ColorCNNError: the folder is not writable.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return
    except (OSError, ValueError) as error:  # a ValueError for a null byte in the name
        reason, advice = _reason(error, "choose a writable folder")
        raise ColorCNNError(f"Nothing can be written to {folder} ({reason}): {advice}.") from error


def is_taken(path: str | os.PathLike[str]) -> bool:
    """Return True if a file, a folder or a link has this name; devices and pipes do not count."""
    return os.path.lexists(path) and not _is_device(Path(path))


def refuse_existing(path: str | os.PathLike[str]) -> None:
    """Raise FileExists if a file, a folder or a link has this name."""
    if is_taken(path):
        _link_target(Path(path))
        raise FileExists.at(path)


def file_names(files: Sequence[Path]) -> list[str]:
    """Return the files' paths relative to their common folder, with ``/`` between the parts."""
    if not files:
        return []
    shared = os.path.commonpath([file.parent for file in files])
    return [os.path.relpath(file, shared).replace(os.sep, "/") for file in files]


def temporary_beside(path: Path) -> tuple[int, str]:
    """Open a temporary file in the folder of ``path``; return its descriptor and name."""
    return tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".part")


def cure(error: OSError, usual: str) -> str:
    """Return advice for an error of the operating system.

    Args:
        error: the error.
        usual: the advice for errors without special advice.

    Returns:
        A clause without a full stop.
    """
    special = {
        errno.ENAMETOOLONG: "choose a shorter name",
        errno.ELOOP: "remove the link that leads to itself, or choose another name",
        errno.ENOSPC: "free some space, or choose a folder on another disk",
        errno.EDQUOT: "free some space, or choose a folder on another disk",
        errno.EROFS: "choose a folder on a disk that can be written to",
        errno.EIO: "check the disk",
    }
    return special.get(error.errno or 0, usual)


def _publish(temporary: str, target: Path) -> None:
    """Give a finished file its name if no file has it.

    Raises:
        FileExistsError: a file has the name; ``filename2`` is the name.
    """
    try:
        os.link(temporary, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        try:  # Reserve the name with an empty file; only one writer can create it.
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError as taken:
            raise FileExistsError(taken.errno, taken.strerror, temporary, None, str(target)) from None
        os.replace(temporary, target)


def _link_target(path: Path) -> Path:
    """Return the target of a chain of links, or the path itself if it is not a link.

    Raises:
        ColorCNNError: the chain is circular.
    """
    if not path.is_symlink():
        return path
    target = Path(os.path.realpath(path))
    if target.is_symlink():  # realpath returns a link if the chain is circular
        raise ColorCNNError(f"{path} is a link that leads to itself: remove it, or choose another name.")
    return target


def _mode(target: Path) -> int:
    """Return the access rights of a file; for a new file those that the umask allows."""
    try:
        return stat.S_IMODE(os.stat(target).st_mode)
    except OSError:
        return 0o666 & ~_umask()


def _unwritable(path: Path, error: OSError | ValueError) -> ColorCNNError:
    reason, advice = _reason(error, "free some space, or choose a writable folder")
    return ColorCNNError(f"{path} could not be written ({reason}): {advice}.")


def _reason(error: OSError | ValueError, advice: str) -> tuple[str, str]:
    """Return why a name could not be written to, and the cure."""
    if isinstance(error, OSError):
        return error.strerror or str(error), cure(error, advice)
    return str(error), "choose a name without a null byte"


def _is_device(path: Path) -> bool:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
