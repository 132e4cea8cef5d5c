"""Tables of classifiers trained on stored training sets: accuracy on originals, and bytes of the sets.

The metrics have the layout of an evaluation, so the same code draws and tests them. ``sizes`` are numbers of
colours, and ``original`` is the training on the originals. A score under ``methods`` also has ``bytes``: name
-> stored bytes per image of the whole training set. Sets without palettes, such as JPEG files or fewer
images, have the number of colours that they are compared with.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

from scipy.stats import spearmanr

from colorcnn.records import Record
from colorcnn.reporting.markup import Table
from colorcnn.reporting.tables.accuracy import accuracy_cells, provenance, published_rows
from colorcnn.reporting.view import ORIGINAL, Metrics, RecordView, Stored

_LEVELS = 255
_LEAST_COMMON = 0.5
_LEAST_ROWS = 5


def stored_table(record: Record) -> str:
    """Return accuracies in per cent with coded bytes, then errors and inconsistencies, a row for each method.

    The last column of the first table is :func:`accuracy_gain` over the record's ``anchor``, in points.
    """
    view = RecordView(record.metrics)
    anchor = record.config.get("anchor") or view.methods[0]
    rows, errors = [], []
    for method in view.methods:
        name = view.names[method]
        measured, published = accuracy_cells(view, method)
        stored = [view.stored(method, size) for size in view.sizes]
        cells = [f"{cell}, {each.coded:,.0f} B" if each else "" for cell, each in zip(measured, stored)]
        rows.append([name, *cells, _gain(view, anchor, method)])
        rows += published_rows(view, method, name, [*published, ""])
        errors.append([name, *map(_error, stored)])
    heads = [f"{size} colours" for size in view.sizes]
    head = [
        "accuracy %, coded bytes per image",
        *heads,
        f"difference to {view.names[anchor]} at equal bytes, points",
    ]
    original, cost = "Trained on the originals", view.stored(ORIGINAL)
    if cost and not math.isnan(cost.coded):
        original += f" ({cost.coded:,.0f} B)"
    notes = [*_correlations(view), provenance(record, view, original)]
    error_table = Table(["error / inconsistency, levels of 255", *heads], errors, notes)
    return "\n".join([Table(head, rows).markdown(), error_table.markdown()])


def _correlations(view: RecordView) -> Iterator[str]:
    """Yield a line with rank correlations of accuracy with error and inconsistency, for enough rows."""
    found = []
    for size in view.sizes:
        lossy = [
            (score.accuracy, stored.mse, stored.inconsistency)
            for method in view.methods
            if (score := view.score(method, size)) and (stored := view.stored(method, size))
            if stored.mse > 0
        ]
        if len(lossy) >= _LEAST_ROWS:
            accuracies, *errors = zip(*lossy)
            values = (spearmanr(accuracies, error).statistic for error in errors)
            found.append(f"{size} colours {' / '.join(f'{value:+.2f}' for value in values)}")
    if found:
        yield f"Rank correlation of accuracy with error / inconsistency: {', '.join(found)}.\n"


def _gain(view: RecordView, anchor: str, method: str) -> str:
    """Return the mean gain over seeds in points, with its standard deviation."""
    seeds = view.metrics.get("per_seed", {"": view.metrics}).values()
    gains = [gain for seed in seeds if (gain := accuracy_gain(seed, anchor, method)) is not None]
    if len(gains) < len(seeds):
        return ""
    std = f" ± {100 * statistics.stdev(gains):.1f}" if len(gains) > 1 else ""
    return f"{100 * statistics.fmean(gains):+.1f}{std}"


def accuracy_gain(metrics: Metrics, anchor: str, method: str) -> float | None:
    """Return the gain in accuracy of a method over another at equal coded bytes (Bjontegaard's delta).

    Both curves are interpolated over the logarithm of the bytes. The gain is their mean difference over the
    range of bytes that they share.

    Args:
        metrics: metrics of a record.
        anchor: the method to compare with.
        method: the method.

    Returns:
        A difference of accuracies in [-1, 1]. None for the anchor itself, for fewer than two points, for two
        points of equal bytes, and if the curves share less than half of the shorter range of bytes.
    """
    import bjontegaard  # imports matplotlib and scipy

    view = RecordView(metrics)
    curves = [
        sorted(
            (stored.coded, score.accuracy)
            for size, score in view.scores(name).items()
            if (stored := view.stored(name, size))
        )
        for name in (anchor, method)
    ]
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


def _error(stored: Stored | None) -> str:
    return f"{_LEVELS * stored.mse**0.5:.1f} / {_LEVELS * stored.inconsistency:.1f}" if stored else ""
