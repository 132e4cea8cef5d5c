"""Gathering the metrics of several seeds: mean and standard deviation of every number in them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any


def gather(per_seed: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the metrics of all seeds as the metrics of one, with their spread.

    Every number becomes its mean. Other values stay if all seeds agree on them. Otherwise they are left out,
    such as the list of recognised images.

    Args:
        per_seed: seed -> metrics, of JSON's types and the same layout.

    Returns:
        The means. For several seeds also ``std``, the standard deviations (of a sample, with n - 1) in the
        same layout, and ``per_seed``, the metrics of each seed.
    """
    metrics = list(per_seed.values())
    if len(metrics) == 1:
        return dict(metrics[0])
    return {
        **_mapping(metrics, _mean),
        "std": _mapping(metrics, _spread),
        "per_seed": {str(seed): dict(values) for seed, values in per_seed.items()},
    }


_NOTHING = object()


def _mapping(values: Sequence[Mapping[str, Any]], fold: Any) -> dict[str, Any]:
    """Fold mappings entry by entry. Entries that some of them lack are left out."""
    found = {}
    for key in values[0]:
        if all(key in value for value in values):
            item = _folded([value[key] for value in values], fold)
            if item is not _NOTHING:
                found[key] = item
    return found


def _folded(values: Sequence[Any], fold: Any) -> Any:
    if all(isinstance(value, Mapping) for value in values):
        return _mapping(values, fold)
    if all(isinstance(value, list) for value in values) and len({len(value) for value in values}) == 1:
        items = [_folded(items, fold) for items in zip(*values)]
        return _NOTHING if any(item is _NOTHING for item in items) else items
    return fold(values)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _mean(values: Sequence[Any]) -> Any:
    if all(value == values[0] for value in values):
        return values[0]  # also other values than numbers; whole numbers stay whole
    return statistics.fmean(values) if all(map(_is_number, values)) else _NOTHING


def _spread(values: Sequence[Any]) -> Any:
    return statistics.stdev(values) if all(map(_is_number, values)) else _NOTHING
