"""Does a quantizer made for one network serve another: every method before every classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from colorcnn.reporting.naming import display_names

Metrics = Mapping[str, Any]


@dataclass(frozen=True)
class TransferMatrix:
    """Accuracies at one number of colours.

    Attributes:
        judges: names of the classifiers, the columns.
        rows: readable method -> accuracy before each; the last row is the images in full colour.
        spreads: the same of standard deviations over seeds, where there are several.
    """

    judges: list[str]
    rows: dict[str, list[float]]
    spreads: dict[str, list[float]]


FULL_COLOR = "full colour"


def transfer_matrix(metrics: Metrics, num_colors: int) -> TransferMatrix:
    """Take the matrix out of a record whose images several classifiers judged.

    Args:
        metrics: of a record, with ``judges``.
        num_colors: methods without a score there are left out.
    """
    judges = list(metrics["judges"])
    names = display_names(metrics["methods"])
    std = metrics.get("std", {})
    rows, spreads = {}, {}
    for method, result in metrics["methods"].items():
        score = result["scores"].get(str(num_colors))
        if score:
            spread = std.get("methods", {}).get(method, {}).get("scores", {}).get(str(num_colors), {})
            rows[names[method]] = _accuracies(score, judges)
            spreads[names[method]] = _accuracies(spread, judges)
    rows[FULL_COLOR] = _accuracies(metrics["original"], judges)
    spreads[FULL_COLOR] = _accuracies(std.get("original", {}), judges)
    return TransferMatrix(judges, rows, spreads if std else {})


def _accuracies(score: Metrics, judges: list[str]) -> list[float]:
    return [score.get("judges", {}).get(judge, {}).get("accuracy", 0.0) for judge in judges]
