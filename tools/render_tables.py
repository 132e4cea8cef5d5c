"""Render the tables of README.md, experiments/README.md and docs/ from committed records.

``python tools/render_tables.py`` rewrites the tables in place; ``--check`` only names the pages that would
change, and exits with 1 if one would. :mod:`colorcnn.reproduce.pages` describes the tables.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from colorcnn.errors import ColorCNNError
from colorcnn.reproduce.pages import render_pages, repository_pages

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "experiments" / "results"


def main() -> int:
    """Rewrite the pages, or check them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 if a page is stale")
    check = parser.parse_args().check
    try:
        stale = render_pages(repository_pages(ROOT), RESULTS, write=not check)
    except ColorCNNError as error:
        print(f"render_tables: error: {error}", file=sys.stderr)
        return error.exit_code
    if check and stale:
        names = ", ".join(page.name for page in stale)
        print(f"stale: {names}; run python tools/render_tables.py", file=sys.stderr)
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
