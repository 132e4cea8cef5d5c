"""Folders of results that one process alone writes to."""

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
    """Hold a folder against other processes that would write results into it; it is made where it is missing.

    Raises:
        UsageError: another process writes there.
        ColorCNNError: nothing can be written there.
    """
    make_folder(folder)
    try:
        with claimed(folder / LOCK):
            yield
    except ClaimedError as error:
        raise UsageError(
            f"Another process writes to {folder}: wait for it, or choose another folder with --out."
        ) from error
