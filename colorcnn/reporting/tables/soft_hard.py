"""Tables of a learned quantizer's soft images beside its hard ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from colorcnn.reporting.markdown import markdown_table, percent
from colorcnn.reporting.naming import display_names

Metrics = Mapping[str, Any]


def soft_hard_table(metrics: Metrics) -> str:
    """Hard accuracy and colours used of each method; of learned ones soft accuracy and entropy, too."""
    names, sizes = display_names(metrics["methods"]), [str(size) for size in metrics["sizes"]]
    columns, spreads = [f"{size} colours" for size in sizes], metrics.get("std", {}).get("methods", {})
    hard, soft = [], []
    for method, result in metrics["methods"].items():
        spread = spreads.get(method, {}).get("scores", {})
        cells = [_cell(result["scores"], spread, size) for size in sizes]
        hard.append([names[method], *cells])
        for at in (f"{at:g}" for at in metrics["temperatures"]):
            cells = [_cell(result["scores"], spread, size, at) for size in sizes]
            if any(cells):
                soft.append([f"{names[method]}, T = {at}", *cells])
    tables = [markdown_table(["accuracy of files %, colours used", *columns], hard)]
    if soft:
        tables.append(markdown_table(["accuracy of soft images %, entropy in nats", *columns], soft))
    return "\n".join(tables)


def _cell(scores: Metrics, spread: Metrics, size: str, temperature: str = "") -> str:
    """Accuracy with its spread and colours used, or of the soft image and its entropy; empty without any."""
    score, wide = scores.get(size, {}), spread.get(size, {})
    if temperature:
        score, wide = (each.get("soft", {}).get(temperature, {}) for each in (score, wide))
    if not score:
        return ""
    further = f"{score['entropy']:.2f}" if temperature else f"{score['colors']['mean']:.1f}"
    return f"{percent(score['accuracy'], wide.get('accuracy'))}, {further}"
