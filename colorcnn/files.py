"""Writing files so that a reader never sees half of one and nobody's file is lost."""

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
"""The endings of the names of image files, in lower case."""

_NO_LINKS = (errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""Answers of file systems that have no hard links, such as FAT and some network shares."""


def check_png_name(path: str | os.PathLike[str]) -> None:
    """Check that a file's name does not promise another image format than PNG.

    Args:
        path: of the file that is to be written; any ending that is of no image format is allowed.

    Raises:
        UsageError: the name ends as that of another image format.
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
    """Write ``data`` to ``path`` whole or not at all; missing parent folders are made.

    Of two processes that write one file without ``overwrite``, one succeeds and the other fails.
    A file that is replaced keeps its access rights. A link is written through, to the file behind it.

    Args:
        path: the file to write.
        data: its content.
        overwrite: replace an existing file; otherwise it is left alone and the call fails.

    Returns:
        The path.

    Raises:
        FileExists: the file, or a link of that name, exists and ``overwrite`` is false.
        ColorCNNError: the disk or the access rights do not allow it.
    """
    path = Path(path)
    if not overwrite:
        refuse_existing(path)
    temporary: str | None = None
    try:
        if _is_device(path):  # /dev/null, a pipe: to be written to, never to be replaced
            path.write_bytes(data)
            return path
        target = _behind_links(path) if overwrite else path
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
        if overwrite or error.filename2 is None:  # a file stands in the place of a parent folder
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
    """Make a folder for results, where it is missing, and find out whether files can be written to it.

    Raises:
        ColorCNNError: they cannot.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return
    except (OSError, ValueError) as error:  # a ValueError for a null byte in the name
        reason, advice = _reason(error, "choose a folder you may write to")
        raise ColorCNNError(f"Nothing can be written to {folder} ({reason}): {advice}.") from error


def is_taken(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file, a folder or a link of any kind has this name; devices and pipes do not count."""
    return os.path.lexists(path) and not _is_device(Path(path))


def refuse_existing(path: str | os.PathLike[str]) -> None:
    """Raise FileExists when a file, or a link of any kind, is there that would be overwritten."""
    if is_taken(path):
        _behind_links(Path(path))
        raise FileExists.at(path)


def file_names(files: Sequence[Path]) -> list[str]:
    """Return the files' paths relative to the folder that they share, with ``/`` between the parts."""
    if not files:
        return []
    shared = os.path.commonpath([file.parent for file in files])
    return [os.path.relpath(file, shared).replace(os.sep, "/") for file in files]


def temporary_beside(path: Path) -> tuple[int, str]:
    """Open a new file that is to become ``path``: its descriptor and name; a long name is cut short."""
    return tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".part")


def cure(error: OSError, usual: str) -> str:
    """Say what to do about an error of the system.

    Args:
        error: the error.
        usual: the advice for all errors that have no advice of their own.

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
    """Give a finished file its name, unless the name is taken.

    Raises:
        FileExistsError: it is; ``filename2`` is the name.
    """
    try:
        os.link(temporary, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        try:  # Claim the name with an empty file: no second writer can.
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError as taken:
            raise FileExistsError(taken.errno, taken.strerror, temporary, None, str(target)) from None
        os.replace(temporary, target)


def _behind_links(path: Path) -> Path:
    """Return the file that a chain of links leads to, or the path itself where it is no link.

    Raises:
        ColorCNNError: the chain leads back to itself.
    """
    if not path.is_symlink():
        return path
    target = Path(os.path.realpath(path))
    if target.is_symlink():  # realpath gives up on a circle and returns a link
        raise ColorCNNError(f"{path} is a link that leads to itself: remove it, or choose another name.")
    return target


def _mode(target: Path) -> int:
    """Return the access rights a file has, or those the umask leaves for a new one."""
    try:
        return stat.S_IMODE(os.stat(target).st_mode)
    except OSError:
        return 0o666 & ~_umask()


def _unwritable(path: Path, error: OSError | ValueError) -> ColorCNNError:
    reason, advice = _reason(error, "free some space or choose a folder you may write to")
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
