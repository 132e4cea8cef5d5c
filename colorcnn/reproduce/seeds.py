"""Mean and standard deviation of metrics over several seeds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any


def gather(per_seed: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the means over all seeds in the layout of one seed's metrics, with standard deviations.

    Every number becomes its mean. Other values stay if all seeds agree on them. Otherwise they are left out,
    for example the list of recognised images.

    Args:
        per_seed: seed -> metrics, as JSON values in the same layout.

    Returns:
        The means. For several seeds also ``std``, the sample standard deviations (divided by n - 1) in the
        same layout, and ``per_seed``, the metrics of each seed.
    """
    metrics = list(per_seed.values())
    if len(metrics) == 1:
        return dict(metrics[0])
    return {
        **_mapping(metrics, _mean),
        "std": _mapping(metrics, _std),
        "per_seed": {str(seed): dict(values) for seed, values in per_seed.items()},
    }


_NOTHING = object()


def _mapping(values: Sequence[Mapping[str, Any]], combine: Any) -> dict[str, Any]:
    """Combine mappings key by key. Keys that are missing in one of them are left out."""
    found = {}
    for key in values[0]:
        if all(key in value for value in values):
            item = _combined([value[key] for value in values], combine)
            if item is not _NOTHING:
                found[key] = item
    return found


def _combined(values: Sequence[Any], combine: Any) -> Any:
    if all(isinstance(value, Mapping) for value in values):
        return _mapping(values, combine)
    if all(isinstance(value, list) for value in values) and len({len(value) for value in values}) == 1:
        items = [_combined(items, combine) for items in zip(*values)]
        return _NOTHING if any(item is _NOTHING for item in items) else items
    return combine(values)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _mean(values: Sequence[Any]) -> Any:
    if all(value == values[0] for value in values):
        return values[0]  # equal values of any type stay, and whole numbers stay whole
    return statistics.fmean(values) if all(map(_is_number, values)) else _NOTHING


def _std(values: Sequence[Any]) -> Any:
    return statistics.stdev(values) if all(map(_is_number, values)) else _NOTHING
