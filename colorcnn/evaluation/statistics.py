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
"""Upper bound of the p-value and its mark: three stars as in the paper (Fig 12), and two weaker levels."""

STARS_EXPLAINED = (
    "exact McNemar test on the same images: ★ p < 0.05, ★★ p < 0.01, ★★★ p < 0.001, "
    "p corrected for all tests of the table (Benjamini-Hochberg)"
)
SEEDS_EXPLAINED = "with several seeds the largest p, and no star if the seeds disagree about which is better"


@dataclass(frozen=True)
class McNemar:
    """Test of two methods on the same images.

    Attributes:
        only_first: number of images that only the first method gets right.
        only_second: number of images that only the second method gets right.
        p_value: p-value of the exact test.
    """

    only_first: int
    only_second: int
    p_value: float


def mcnemar(first: np.ndarray, second: np.ndarray) -> McNemar:
    """Return the exact two-sided McNemar test (Q. McNemar, 1947) of two methods.

    It is a binomial test on the images that only one method gets right.

    Args:
        first: (n,) bool, True for each image that the first method gets right.
        second: (n,) bool, the same for the second method.

    Raises:
        UsageError: the lengths differ.
    """
    from scipy.stats import binomtest

    if first.shape != second.shape:
        raise UsageError(
            f"The methods were measured on {len(first)} and {len(second)} images: use the same images."
        )
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    differing = only_first + only_second
    p_value = float(binomtest(only_first, differing).pvalue) if differing else 1.0
    return McNemar(only_first, only_second, p_value)


def stars(p_value: float) -> str:
    """Return the mark of a p-value, which is empty from 0.05 up; see :data:`STARS`."""
    return next((mark for bound, mark in STARS if p_value < bound), "")


def compare(metrics: Metrics, first: tuple[str, str], second: tuple[str, str]) -> McNemar | None:
    """Test two cells of one record's table against each other.

    Args:
        metrics: metrics of a record. Each seed is tested.
        first: a method and the number of colours.
        second: another method and number of colours.

    Returns:
        The test. For several seeds it has the sums of the counts and the largest p-value, or 1 if the seeds
        disagree about which method is better. None if a cell is missing or has no list of recognised images.
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
    """Return the main method of a record: palette attention, else ColorCNN+, else the first ColorCNN.

    A variant, such as ``colorcnn-plus (no jitter)``, is used if the plain method is missing.
    """
    ranks = ("palette-attention", "palette-attention*", "colorcnn-plus", "colorcnn-plus*", "colorcnn*")
    found = (method for rank in ranks for method in metrics["methods"] if fnmatchcase(method, rank))
    return next(found, None)


def corrected(tests: Mapping[Any, McNemar]) -> dict[Any, McNemar]:
    """Correct the p-values of all tests of one table (Y. Benjamini and Y. Hochberg, 1995).

    Args:
        tests: any key -> test.

    Returns:
        The same tests, with p-values that control the false discovery rate.
    """
    from scipy.stats import false_discovery_control

    if not tests:
        return {}
    p_values = false_discovery_control([test.p_value for test in tests.values()], method="bh")
    return {key: replace(test, p_value=float(p)) for (key, test), p in zip(tests.items(), p_values)}


def against_first(metrics: Metrics) -> dict[str, dict[str, McNemar]]:
    """Test every method of a record against the first one, at each number of colours that both have.

    The p-values are corrected for the number of tests, see :func:`corrected`.

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


def ratio_interval(logs: np.ndarray) -> tuple[float, float, float]:
    """Return the geometric mean of paired ratios and its 95 % interval (Student's t over the pairs).

    Args:
        logs: (n,) logarithms of the ratios, n >= 2.
    """
    from scipy.stats import t

    half = t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / len(logs) ** 0.5
    mean, low, high = np.exp(logs.mean() + np.array([0.0, -half, half])).tolist()
    return mean, low, high
