"""Render the accuracy tables of README.md and experiments/README.md from the committed result records.

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``, NAME being a record in
experiments/results/ without its ending. ``python tools/render_tables.py`` rewrites the tables in place;
``--check`` only says which would change, and exits with 1 if one would.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from colorcnn.evaluation.naming import display_names
from colorcnn.files import write_atomically
from colorcnn.records import Record, read_record

ROOT = Path(__file__).resolve().parent.parent
PAGES = (ROOT / "README.md", ROOT / "experiments" / "README.md")
RESULTS = ROOT / "experiments" / "results"
TABLE = re.compile(r"(<!-- table: ([\w.-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def accuracy_table(record: Record) -> str:
    """Accuracies in percent as a Markdown table: a row per method, a column per number of colours."""
    metrics = record.metrics
    sizes = [str(size) for size in metrics["sizes"]]
    names = display_names(metrics["methods"])
    lines = [
        "| accuracy % | " + " | ".join(f"{size} colours" for size in sizes) + " |",
        "|---" * (len(sizes) + 1) + "|",
    ]
    for method, results in metrics["methods"].items():
        cells = [
            f"{100 * results['scores'][size]['accuracy']:.1f}" if size in results["scores"] else ""
            for size in sizes
        ]
        lines.append(f"| {names[method]} | " + " | ".join(cells) + " |")
    original = metrics["original"]
    low, high = (100 * bound for bound in original["interval"])
    lines.append("")
    lines.append(
        f"Full colour: {100 * original['accuracy']:.1f} % (95 % interval {low:.1f} to {high:.1f}), "
        f"n = {record.n:,}; {record.device}, {record.date[:10]}."
    )
    return "\n".join(lines) + "\n"


def rendered(page: str) -> str:
    """The text of a page with every table made anew from its record."""
    return TABLE.sub(
        lambda match: match[1] + accuracy_table(read_record(RESULTS / f"{match[2]}.json")) + match[3], page
    )


def main() -> int:
    """Rewrite the pages, or check them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 if a page is stale")
    check = parser.parse_args().check
    stale = []
    for page in PAGES:
        text = page.read_text()
        if (new := rendered(text)) != text:
            stale.append(page.name)
            if not check:
                write_atomically(page, new.encode())
    if check and stale:
        print(f"stale: {', '.join(stale)}; run python tools/render_tables.py", file=sys.stderr)
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
