"""Formats for the export of a store, and the libraries they need."""

from __future__ import annotations

from importlib.util import find_spec

from colorcnn.errors import ColorCNNError, unknown_name

EXPORTS = ("png", "webdataset", "parquet", "litdata")
"""``png`` writes a folder for each class. The others write archives of many images."""

_LIBRARIES = {"parquet": "pyarrow", "litdata": "litdata"}


def check_export(file_format: str) -> None:
    """Raise an error if a format is unknown or its library is not installed.

    Args:
        file_format: one of :data:`EXPORTS`.

    Raises:
        UsageError: the format is unknown.
        ColorCNNError: the library is missing.
    """
    if file_format not in EXPORTS:
        raise unknown_name("format", file_format, EXPORTS)
    library = _LIBRARIES.get(file_format)
    if library is not None and find_spec(library) is None:
        raise ColorCNNError(
            f"The format {file_format} needs the library {library}, which is not installed",
            f"pip install {library}",
            code="missing-library",
            library=library,
        )
