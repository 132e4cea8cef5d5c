"""``colorcnn report``: records as one HTML page."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from colorcnn.commands.console import Parser
from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.files import refuse_existing
from colorcnn.records import Record, read_record

if TYPE_CHECKING:
    from colorcnn.reporting.markup import Picture
    from colorcnn.reporting.page import Entry

_log = logging.getLogger(__name__)

DESCRIPTION = """\
Write any number of records as one HTML file: an overview, and the tables, curves and images of each record.
The page needs no other file and loads nothing from the internet. colorcnn evaluate, reproduce and demo write
records. Grids of images and activation maps beside a record are shown with it.
"""
EXAMPLES = """\
examples:
  colorcnn report experiments/results                 # report.html, of every record in the folder
  colorcnn report runs/a runs/b/record.json -o two.html --title "a and b"

exit status: 0 when the page was written, 1 when the work failed or a damaged record was left out, 2 for a
wrong option.
"""
_NAMED = 5  # maximum number of other files in a message
_DRAWN_ONCE = {
    "mappings": "Encoders and decoders, as trained",
    "cells": "Cells and codewords, as trained",
    "examples": "Images as they are stored",
    "causes": "Accuracy over error and inconsistency",
}
"""Figures beside a record that the page does not draw from the record."""


def main(argv: list[str]) -> int:
    """Run the command.

    Args:
        argv: the arguments of the command.

    Returns:
        0, or 1 when a record was left out because it is damaged.

    Raises:
        UsageError: a path does not exist, or holds no records.
        ColorCNNError: a file is not a record, or the page exists or cannot be written.
    """
    options = _parse(argv)
    for path in options.paths:
        if not path.exists():
            raise UsageError(f"{path} does not exist: give a record, or a folder of records.")
    if not options.force:
        refuse_existing(options.out)
    from colorcnn.reporting.page import write_report

    left_out: list[ColorCNNError] = []
    entries = [entry for path in dict.fromkeys(options.paths) for entry in _entries(path, left_out)]
    unread = len(left_out)
    if not entries and left_out:
        raise left_out[0]
    write_report(entries, options.out, title=options.title, overwrite=options.force, skip=left_out.append)
    for error in left_out:
        _log.error(f"left out: {error}")
    count = len(entries) - (len(left_out) - unread)
    _log.info(f"wrote {options.out}, of {count} record{'s' * (count != 1)}")
    return int(bool(left_out))


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        prog="colorcnn report",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    add = parser.add_argument
    add(
        "paths",
        metavar="PATH",
        nargs="+",
        type=Path,
        help="a record, or a folder of records, also deep inside",
    )
    add(
        *("-o", "--out"),
        type=Path,
        default=Path("report.html"),
        metavar="FILE",
        help="the page to write (default: report.html)",
    )
    add("--title", default="What a few colours keep", metavar="TEXT", help="heading of the page")
    add("--force", action="store_true", help="overwrite a page that exists (default: refuse)")
    return parser.parse_args(argv)


def _entries(path: Path, left_out: list[ColorCNNError]) -> Iterator[Entry]:
    """Yield the records of a file or folder, with their pictures.

    Args:
        path: path of the file or folder.
        left_out: list that gets the errors of records in the folder that cannot be read.
    """
    from colorcnn.reporting.page import Entry

    found = _records(path, left_out) if path.is_dir() else {path: read_record(path)}
    if not found and not left_out:
        raise UsageError(
            f"{path} holds no records: give a folder that colorcnn evaluate or reproduce wrote to."
        )
    for file, record in found.items():
        name = file.parent.resolve().name if file.stem == "record" else file.stem
        yield Entry(name, record, _pictures(file, record))


def _records(folder: Path, left_out: list[ColorCNNError]) -> dict[Path, Record]:
    """Read every record below a folder. Other JSON files are left out and counted in a message."""
    found, others = {}, list[str]()
    for file in sorted(folder.rglob("*.json")):
        try:
            found[file] = read_record(file)
        except ColorCNNError as error:
            if error.code == "no-record":
                others.append(str(file.relative_to(folder)))
            else:
                left_out.append(error)
    if others:
        names = ", ".join(others[:_NAMED]) + (" ..." if len(others) > _NAMED else "")
        files = f"{len(others)} other JSON file{'s' * (len(others) != 1)}"
        _log.info(f"note: left out {files} in {folder}: {names}.")
    return found


def _pictures(file: Path, record: Record) -> list[Picture]:
    """Return the grids beside a record, and its figure if the page does not draw the record's curves."""
    from colorcnn.reporting.figures import cam, depths, gallery
    from colorcnn.reporting.markup import Picture
    from colorcnn.reporting.naming import PICTURES

    stem = "" if file.stem == "record" else f"{file.stem}_"
    captions = {"grid": gallery.CAPTION, "cam": cam.CAPTION, "depths": depths.DEPTHS_CAPTION}
    kinds = [(f"{stem}{name}.png", title, captions.get(name, "")) for name, title in PICTURES.items()]
    if "methods" not in record.metrics or "temperatures" in record.metrics:
        kinds.append((f"{file.stem}.png", "Figure", ""))
    kinds += [(f"{stem}{ending}.png", title, "") for ending, title in _DRAWN_ONCE.items()]
    found = []
    for name, title, caption in kinds:
        picture = file.with_name(name)
        if picture.is_file():
            found.append(Picture(title, picture.read_bytes(), None, caption, title, wide=True))
    return found
