"""Significance of a difference: an exact test between methods on the same images, and the paper's stars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from colorcnn.errors import UsageError
from colorcnn.evaluation.scores import unpack_flags

Metrics = Mapping[str, Any]

STARS = ((0.001, "★★★"), (0.01, "★★"), (0.05, "★"))
"""Largest p-value and its mark: the paper's three stars (its Fig 12), and the two customary weaker ones."""

STARS_EXPLAINED = (
    "exact McNemar test on the same images: ★ p < 0.05, ★★ p < 0.01, ★★★ p < 0.001, "
    "p corrected for all tests of the table (Benjamini-Hochberg)"
)
SEEDS_EXPLAINED = "of several seeds the largest p, where all agree which is better"


@dataclass(frozen=True)
class McNemar:
    """Test of two methods on the same images.

    Attributes:
        only_first: images that the first method alone gets right.
        only_second: images that the second alone gets right.
        p_value: probability of a split at least that uneven if neither were better.
    """

    only_first: int
    only_second: int
    p_value: float


def mcnemar(first: np.ndarray, second: np.ndarray) -> McNemar:
    """Exact two-sided McNemar test (Q. McNemar, 1947): the binomial one over the images that tell them apart.

    Args:
        first: (n,) bool, which images one method gets right.
        second: (n,) bool, which the other does, in the same order.

    Raises:
        UsageError: they are of different lengths.
    """
    from scipy.stats import binomtest

    if first.shape != second.shape:
        raise UsageError(f"{len(first)} images and {len(second)}: compare methods on the same images.")
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    differing = only_first + only_second
    p_value = float(binomtest(only_first, differing).pvalue) if differing else 1.0
    return McNemar(only_first, only_second, p_value)


def stars(p_value: float) -> str:
    """The mark of a p-value, empty from 0.05 up; see :data:`STARS`."""
    return next((mark for bound, mark in STARS if p_value < bound), "")


def compare(metrics: Metrics, first: tuple[str, str], second: tuple[str, str]) -> McNemar | None:
    """Test two cells of one record's table against each other.

    Args:
        metrics: of a record; of several seeds, each is tested.
        first: a method and the number of colours.
        second: another method and number of colours.

    Returns:
        The test; for several seeds the counts of all, and the largest p-value, or 1 where the seeds do not
        agree which is better. None where a cell is missing or does not tell which images were right.
    """
    runs = list(metrics.get("per_seed", {"": metrics}).values())
    cells = [[_flags(run, *cell) for cell in (first, second)] for run in runs]
    tests = [mcnemar(one, other) for one, other in cells if one is not None and other is not None]
    if len(tests) < len(runs):
        return None
    agreed = len({test.only_first > test.only_second for test in tests}) == 1
    return McNemar(
        sum(test.only_first for test in tests),
        sum(test.only_second for test in tests),
        max(test.p_value for test in tests) if agreed else 1.0,
    )


def _flags(metrics: Metrics, method: str, size: str) -> np.ndarray | None:
    text = metrics["methods"].get(method, {}).get("scores", {}).get(size, {}).get("correct")
    return unpack_flags(text) if text else None


def stars_explained(metrics: Metrics) -> str:
    """Return the meaning of the stars of a record."""
    return STARS_EXPLAINED + (f"; {SEEDS_EXPLAINED}" if "per_seed" in metrics else "")


def leading_method(metrics: Metrics) -> str | None:
    """Return the method that a record is about: palette attention, else ColorCNN+, else the first ColorCNN.

    A variant, such as ``colorcnn-plus (no jitter)``, stands in for a method that the record does not have.
    """
    ranks = ("palette-attention", "palette-attention*", "colorcnn-plus", "colorcnn-plus*", "colorcnn*")
    found = (method for rank in ranks for method in metrics["methods"] if fnmatchcase(method, rank))
    return next(found, None)


def corrected(tests: Mapping[Any, McNemar]) -> dict[Any, McNemar]:
    """Correct the p values of all tests of one table (Y. Benjamini and Y. Hochberg, 1995).

    Args:
        tests: a key of the caller's -> test.

    Returns:
        The same tests with p values that bound the share of false differences among all differences.
    """
    from scipy.stats import false_discovery_control

    if not tests:
        return {}
    p_values = false_discovery_control([test.p_value for test in tests.values()], method="bh")
    return {key: replace(test, p_value=float(p)) for (key, test), p in zip(tests.items(), p_values)}


def against_first(metrics: Metrics) -> dict[str, dict[str, McNemar]]:
    """Test every method of a record against the first one, at each number of colours that both have.

    The p values are corrected for the number of tests, see :func:`corrected`.

    Returns:
        Method -> number of colours -> test; ``only_first`` counts for the method itself.
    """
    if not metrics["methods"]:
        return {}
    reference, *methods = metrics["methods"]
    tests: dict[tuple[str, str], McNemar] = {}
    for method in methods:
        for size in metrics["methods"][method]["scores"]:
            test = compare(metrics, (method, size), (reference, size))
            if test is not None:
                tests[method, size] = test
    found: dict[str, dict[str, McNemar]] = {method: {} for method in methods}
    for (method, size), test in corrected(tests).items():
        found[method][size] = test
    return found
