"""The results of ``colorcnn evaluate``: write them, resume unfinished ones, and print them."""

from __future__ import annotations

import argparse
import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colorcnn.data.cache import content_key
from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.files import refuse_existing, write_atomically
from colorcnn.records import Record, read_record, versions

if TYPE_CHECKING:
    from colorcnn.reporting.markup import Picture
    from colorcnn.reporting.page import Entry

_log = logging.getLogger(__name__)

FILES = ("record.json", "figure.png", "report.html")
_UNFINISHED = ".unfinished"
"""File that holds the command until all results are written. Only that command may complete them."""
_PROGRESS = ".progress"
"""Folder of progress files, in a folder for each configuration, until all results are written."""


def check_out(options: argparse.Namespace, command: str) -> None:
    """Raise before the work if its results could not be written.

    Args:
        options: the command line's options.
        command: the command line, which may complete the results that it left unfinished.

    Raises:
        UsageError: the output is a file, not a folder.
        ColorCNNError: results exist.
    """
    if options.out is None:
        return
    if options.out.exists() and not options.out.is_dir():
        raise UsageError(f"{options.out} is a file: give a folder with --out.")
    if not options.force and not _is_unfinished(options.out, command):
        from colorcnn.reporting.naming import PICTURES

        for name in (*FILES, *(f"{picture}.png" for picture in PICTURES)):
            refuse_existing(options.out / name)


def _is_unfinished(folder: Path, command: str) -> bool:
    """Return True if the same command was stopped while it wrote its results."""
    try:
        return (folder / _UNFINISHED).read_text() == command
    except (OSError, ValueError):
        return False


def earlier_record(
    options: argparse.Namespace, command: str, config: Mapping[str, Any], libraries: Mapping[str, str]
) -> Record | None:
    """Read the record of the same command, if it was stopped after its measurement.

    Args:
        options: the command line's options.
        command: the command line.
        config: configuration of the record, which changes with the classifier or the data set.
        libraries: versions of the codecs' libraries.
    """
    if options.out is None or options.force or not _is_unfinished(options.out, command):
        return None
    try:
        record = read_record(options.out / FILES[0])
    except ColorCNNError:
        return None
    now = {**versions(), **libraries}
    if (record.command, record.versions) != (command, now) or record.config != _as_json(config):
        return None
    _log.info(f"note: {options.out / FILES[0]} was measured already; missing files are written.")
    return record


def progress_folder(
    options: argparse.Namespace, command: str, config: Mapping[str, Any], libraries: Mapping[str, str]
) -> Path | None:
    """Return the folder of a measurement's progress files, from which the same command resumes.

    Args:
        options: the command line's options; ``--force`` measures again from the first image.
        command: the command line.
        config: configuration of the record.
        libraries: versions of the codecs' libraries.

    Returns:
        None if no folder of results is named.
    """
    if options.out is None:
        return None
    if options.force:
        shutil.rmtree(options.out / _PROGRESS, ignore_errors=True)
    folder: Path = (
        options.out
        / _PROGRESS
        / content_key(command, json.dumps([config, {**versions(), **libraries}], sort_keys=True))
    )
    if folder.exists():
        _log.info("note: this command was interrupted; it resumes after the images that are done.")
    return folder


def _as_json(config: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(config))


def write_results(options: argparse.Namespace, entry: Entry, pictures: Mapping[str, Picture]) -> None:
    """Write the record, the figure, the images and the page. A marker file remains if the command is killed.

    Args:
        options: the command line's options.
        entry: record of the measurement, with its view.
        pictures: file name -> image.
    """
    from colorcnn.reporting.figures.canvas import to_png
    from colorcnn.reporting.figures.curves import both_curves
    from colorcnn.reporting.page import write_report

    record = entry.record
    record_path, figure_path, report_path = (options.out / name for name in FILES)
    marker = options.out / _UNFINISHED
    overwrite = options.force or _is_unfinished(options.out, record.command)
    write_atomically(marker, record.command.encode())
    record.write(record_path, overwrite=overwrite)
    write_atomically(figure_path, to_png(both_curves(entry.view)), overwrite=overwrite)
    for name, picture in pictures.items():
        write_atomically(options.out / name, picture.light, overwrite=overwrite)
    title = f"What a few colours keep of {record.config['data']}"
    shown = list(pictures.values())
    write_report(entry, report_path, title=title, pictures=shown, overwrite=overwrite)
    shutil.rmtree(options.out / _PROGRESS, ignore_errors=True)
    marker.unlink(missing_ok=True)
    for path in (record_path, figure_path, *(options.out / name for name in pictures), report_path):
        _log.info(f"wrote {path}")


def print_results(options: argparse.Namespace, entry: Entry) -> None:
    """Print the tables of a record, or the record itself.

    Args:
        options: the command line's options.
        entry: record of the measurement, with its view.
    """
    from colorcnn.reporting.page import summary
    from colorcnn.reporting.tables.evaluation import text_tables

    record = entry.record
    if options.json:
        print(record.to_json(), end="")
        return
    print(summary(entry), end="\n\n")
    print(text_tables(entry.view))
    if options.limit == record.n:
        print(f"Measured on a sample of {record.n:,} images drawn with seed {options.seed}.")
