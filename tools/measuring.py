"""The command line of tools that measure on a folder of pictures and write one record."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from colorcnn.errors import ColorCNNError
from colorcnn.records import Clock, Record


def measure_folder(
    argv: Sequence[str] | None,
    name: str,
    description: str | None,
    out: Path,
    measure: Callable[[Path, Clock], Record],
) -> int:
    """Read the options ``KODAK [--out FILE]``, measure, and write the record.

    Args:
        argv: the arguments; None for those of the process.
        name: name of the tool, for its errors.
        description: text of its help.
        out: the record, unless ``--out`` names another file.
        measure: returns the record of a folder, with the clock that runs since the start.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="KODAK", help="folder of the pictures")
    parser.add_argument("--out", type=Path, default=out, help="the record (default: %(default)s)")
    options = parser.parse_args(argv)
    try:
        measure(options.folder, Clock()).write(options.out)
    except ColorCNNError as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0
