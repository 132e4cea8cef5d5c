"""Classifiers trained on stored training sets: their accuracy on originals over what the sets cost.

The metrics are laid out as those of an evaluation, so that its tables and tests serve: ``sizes`` are numbers
of colours, ``original`` is training on the originals, and a score under ``methods`` has, beside ``accuracy``,
``bytes``: what is stored, by name, divided by the number of images of the whole training set. Sets without
palettes, such as JPEG files or fewer images, stand at the number of colours that they are compared with.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping
from typing import Any

from scipy.stats import spearmanr

from colorcnn.records import Record
from colorcnn.reporting.markdown import curves, markdown_table, provenance
from colorcnn.reporting.naming import display_names

Metrics = Mapping[str, Any]

_LEVELS = 255
_LEAST_COMMON = 0.5
_LEAST_ROWS = 5


def is_stored(metrics: Metrics) -> bool:
    """Whether metrics laid out as those of an evaluation are of stored training sets."""
    scores = [score for result in metrics["methods"].values() for score in result["scores"].values()]
    return any("bytes" in score for score in scores)


def stored_table(record: Record) -> str:
    """Accuracies in percent with coded bytes, then what was lost: a row per method, a column per size.

    The last column of the first table is :func:`accuracy_gain` over the record's ``anchor``, in points.
    """
    metrics = record.metrics
    sizes = [str(size) for size in metrics["sizes"]]
    heads = [f"{size} colours" for size in sizes]
    anchor = record.config.get("anchor") or next(iter(metrics["methods"]))
    rows, losses = [], []
    for method, (name, measured, published) in zip(metrics["methods"], curves(metrics)):
        scores = metrics["methods"][method]["scores"]
        cells = [
            f"{cell}, {scores[size]['bytes']['coded']:,.0f} B" if cell else ""
            for size, cell in zip(sizes, measured)
        ]
        rows.append([name, *cells, _gain(metrics, anchor, method)])
        if any(published):
            rows.append([f"{name}, *published*", *published, ""])
        losses.append([name, *(_loss(scores[size]) if size in scores else "" for size in sizes)])
    against = f"points at equal bytes, against {display_names(metrics['methods'])[anchor]}"
    tables = [
        markdown_table(["accuracy %, coded bytes per image", *heads, against], rows),
        markdown_table(["error / inconsistency, levels of 255", *heads], losses),
    ]
    return "\n".join([*tables, *_causes(metrics), provenance(record, _original(metrics))]) + "\n"


def _causes(metrics: Metrics) -> Iterator[str]:
    """A line on what goes with accuracy at equal numbers of colours, where there are rows enough to ask."""
    found = []
    for size in map(str, metrics["sizes"]):
        scores = [result["scores"].get(size, {}) for result in metrics["methods"].values()]
        lossy = [score for score in scores if score.get("mse")]
        if len(lossy) < _LEAST_ROWS:
            continue
        pairs = (
            spearmanr([score["accuracy"] for score in lossy], [score[cause] for score in lossy]).statistic
            for cause in ("mse", "inconsistency")
        )
        found.append(f"{size} colours {' / '.join(f'{value:+.2f}' for value in pairs)}")
    if found:
        yield f"Rank correlation of accuracy with error / inconsistency: {', '.join(found)}.\n"


def _gain(metrics: Metrics, anchor: str, method: str) -> str:
    """The mean of the seeds' gains in points, and its deviation."""
    seeds = metrics.get("per_seed", {"": metrics}).values()
    gains = [gain for seed in seeds if (gain := accuracy_gain(seed, anchor, method)) is not None]
    if len(gains) < len(seeds):
        return ""
    spread = f" ± {100 * statistics.stdev(gains):.1f}" if len(gains) > 1 else ""
    return f"{100 * statistics.fmean(gains):+.1f}{spread}"


def accuracy_gain(metrics: Metrics, anchor: str, method: str) -> float | None:
    """How much more accurate a method is than another at equal coded bytes (Bjontegaard's delta).

    Both are interpolated over the logarithm of the bytes, and the mean of the difference is taken where both
    are known.

    Returns:
        A difference of accuracies in [-1, 1]; None for the anchor itself, and where there is nothing to
        compare: fewer than two points, two of equal bytes, or less than half of the shorter curve in common.
    """
    import bjontegaard  # draws in matplotlib and scipy

    curves = []
    for name in (anchor, method):
        scores = metrics["methods"][name]["scores"].values()
        curves.append(sorted((score["bytes"]["coded"], score["accuracy"]) for score in scores))
    if anchor == method or min(map(len, curves)) < 2:
        return None
    sizes = [[size for size, _ in curve] for curve in curves]
    if any(len(set(each)) < len(each) for each in sizes):
        return None
    spans = [math.log(each[-1] / each[0]) for each in sizes]
    common = math.log(min(each[-1] for each in sizes) / max(each[0] for each in sizes))
    if common < _LEAST_COMMON * min(spans):
        return None
    values = [column for curve in curves for column in zip(*curve)]
    return float(bjontegaard.bd_psnr(*values, method="pchip", require_matching_points=False, min_overlap=0))


def _loss(score: Metrics) -> str:
    return f"{_LEVELS * score['mse'] ** 0.5:.1f} / {_LEVELS * score['inconsistency']:.1f}"


def _original(metrics: Metrics) -> str:
    """What is told of training on the originals, and what these cost."""
    size = metrics["original"].get("bytes", {}).get("coded")
    return "Trained on the originals" + ("" if size is None else f" ({size:,.0f} B)")
