"""The place of a store: a folder that holds store.json."""

from __future__ import annotations

import os
from pathlib import Path

from colorcnn.errors import UsageError

MANIFEST = "store.json"
NAMES = "names.json"
"""The names of the files that the images come from, where they come from files."""


def check_store(root: str | os.PathLike[str]) -> None:
    """Check that a folder is a store, without reading it.

    Raises:
        UsageError: it is none.
    """
    if not (Path(root) / MANIFEST).is_file():
        raise no_store(root)


def no_store(root: str | os.PathLike[str]) -> UsageError:
    """Return the error for a folder that is no store."""
    return UsageError(
        f"{os.fspath(root)} is no quantized data set, {MANIFEST} is missing: name a folder that "
        "`colorcnn dcq build` has finished."
    )
