"""Render the tables of README.md and experiments/README.md from the committed result records.

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``, NAME being a record in
experiments/results/ without its ending, of ``colorcnn evaluate`` or of the benchmark of the quantizers.
``python tools/render_tables.py`` rewrites the tables in place; ``--check`` only says which would change, and
exits with 1 if one would.
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


def quantizer_table(record: Record) -> str:
    """Error and time of the quantizers as a Markdown table, then how the targets were met."""
    summary, sizes = record.metrics["quantizers"], [str(size) for size in record.metrics["sizes"]]
    lines = [
        "| MSE, % above the best known / CPU ms | " + " | ".join(f"{size} colours" for size in sizes) + " |",
        "|---" * (len(sizes) + 1) + "|",
    ]
    for method, cells in summary.items():
        row = [f"{cells[size]['above']:.1f} / {cells[size]['milliseconds']:.0f}" for size in sizes]
        lines.append(f"| {method} | " + " | ".join(row) + " |")
    targets = record.metrics["targets"]
    missed = [target for target in targets if not target["met"]]
    lines.append("")
    lines.append(f"n = {record.n} images; {record.device}, one thread, {record.date[:10]}.")
    lines.append(f"Targets met: {len(targets) - len(missed)} of {len(targets)}.")
    for target in missed:
        value, limit = (f"{target[key]:.4g}{target['unit']}" for key in ("value", "limit"))
        lines.append(f"- missed: {target['what']}: {value}, at most {limit}")
    return "\n".join(lines) + "\n"


def table(name: str) -> str:
    """The table of a record, by its name; where there is none yet, a line that says so."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        return "Not measured yet.\n"
    record = read_record(path)
    return (quantizer_table if "quantizers" in record.metrics else accuracy_table)(record)


def rendered(page: str) -> str:
    """The text of a page with every table made anew from its record."""
    return TABLE.sub(lambda match: match[1] + table(match[2]) + match[3], page)


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
