"""Check of a store's folder, which holds store.json."""

from __future__ import annotations

import os
from pathlib import Path

from colorcnn.errors import UsageError

MANIFEST = "store.json"
NAMES = "names.json"
"""File with the original names of the images' files, if they come from files."""


def check_store(root: str | os.PathLike[str]) -> None:
    """Check that a folder is a store, without reading it.

    Raises:
        UsageError: the folder is not a store.
    """
    if not (Path(root) / MANIFEST).is_file():
        raise no_store(root)


def no_store(root: str | os.PathLike[str]) -> UsageError:
    """Return the error for a folder that is not a store."""
    return UsageError(
        f"{os.fspath(root)} is not a quantized data set, {MANIFEST} is missing: use the folder of a finished "
        "build."
    )
