"""Render the tables of README.md, experiments/README.md and docs/ from committed records, and the figures.

``python tools/render_tables.py`` rewrites the tables in place; ``--check`` only names the pages that would
change, and exits with 1 if one would. ``--figures`` also draws the committed figures anew, for example after
a change of their style. :mod:`colorcnn.reproduce.pages` describes the tables.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from colorcnn.errors import ColorCNNError
from colorcnn.records import read_record
from colorcnn.reproduce.pages import render_pages, repository_pages
from colorcnn.reproduce.results import draw_figures
from colorcnn.reproduce.stages import kind_of_record

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "experiments" / "results"


def main() -> int:
    """Rewrite the pages, or check them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 if a page is stale")
    parser.add_argument("--figures", action="store_true", help="draw the figures of the records anew, too")
    options = parser.parse_args()
    check = options.check
    if check and options.figures:
        parser.error("--check changes nothing: leave out --figures")
    try:
        if options.figures:
            redraw(RESULTS)
        stale = render_pages(repository_pages(ROOT), RESULTS, write=not check)
    except ColorCNNError as error:
        print(f"render_tables: error: {error}", file=sys.stderr)
        return error.exit_code
    if check and stale:
        names = ", ".join(page.name for page in stale)
        print(f"stale: {names}; run python tools/render_tables.py", file=sys.stderr)
    return int(check and bool(stale))


def redraw(results: Path) -> list[Path]:
    """Draw the figures of the records of stages and of evaluations, where the folder has a figure of them.

    Args:
        results: folder of records.

    Returns:
        The files of the figures.
    """
    drawn = []
    for path in sorted(results.glob("*.json")):
        record = read_record(path)
        if path.with_suffix(".png").exists() and ("kind" in record.config or "original" in record.metrics):
            drawn += draw_figures(record, path, kind_of_record(record))
    return drawn


if __name__ == "__main__":
    sys.exit(main())
