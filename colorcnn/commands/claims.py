"""Locks on folders of results, so that only one process writes to a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from colorcnn.errors import UsageError
from colorcnn.files import make_folder
from colorcnn.reproduce.locks import ClaimedError, claimed

LOCK = ".lock"


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Create a folder if it is missing, and lock it until the block ends.

    Raises:
        UsageError: another process writes to the folder.
        ColorCNNError: the folder is not writable.
    """
    make_folder(folder)
    try:
        with claimed(folder / LOCK):
            yield
    except ClaimedError as error:
        raise UsageError(
            f"Another process writes to {folder}: wait, or use another folder with --out."
        ) from error
