"""Gathering the metrics of several seeds: mean and standard deviation of every number in them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any


def gather(per_seed: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """The metrics of all seeds as those of one, with their spread.

    Every number becomes its mean. What is no number stays where all seeds agree on it, and is left out where
    they do not, as which images are recognised.

    Args:
        per_seed: seed -> metrics, of JSON's types and the same layout.

    Returns:
        The means; for several seeds also ``std``, laid out as the metrics, of standard deviations (those of
        a sample, with n - 1), and ``per_seed`` with the metrics of each.
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
    """Fold mappings entry by entry; entries that not all have are left out."""
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
        return values[0]  # also what is no number, and whole numbers stay whole
    return statistics.fmean(values) if all(map(_is_number, values)) else _NOTHING


def _spread(values: Sequence[Any]) -> Any:
    return statistics.stdev(values) if all(map(_is_number, values)) else _NOTHING
