"""The test between methods, against binomial sums worked out by hand."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from evaluation_samples import metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from colorcnn.errors import UsageError
from colorcnn.evaluation.scores import pack_bits
from colorcnn.evaluation.statistics import (
    McNemar,
    against_first,
    compare,
    corrected,
    leading_method,
    mcnemar,
    stars,
)
from colorcnn.records import Clock
from colorcnn.reporting.tables.accuracy import evaluation_tables
from colorcnn.reporting.tables.evaluation import margin_table
from colorcnn.reporting.view import RecordView


def flags(both: int, first: int, second: int, neither: int = 0) -> tuple[np.ndarray, np.ndarray]:
    one = [True] * both + [True] * first + [False] * second + [False] * neither
    other = [True] * both + [False] * first + [True] * second + [False] * neither
    return np.array(one), np.array(other)


def exact(first: int, second: int) -> Fraction:
    """Twice the lower tail of the binomial distribution of n = first + second and p = 1/2, at most 1."""
    n = first + second
    tail = sum(comb(n, k) for k in range(min(first, second) + 1))
    return min(Fraction(1), Fraction(2 * tail, 2**n))


def test_one_against_nine_is_21_in_1024_twice():
    test = mcnemar(*flags(50, 1, 9, 20))
    assert (test.only_first, test.only_second) == (1, 9)
    assert test.p_value == pytest.approx(2 * (1 + 10) / 1024)


@settings(deadline=None)  # the first example imports scipy
@given(st.integers(0, 40), st.integers(0, 40))
def test_the_p_value_is_the_exact_binomial_one(first, second):
    assert mcnemar(*flags(3, first, second)).p_value == pytest.approx(float(exact(first, second)))


def test_images_both_get_right_or_wrong_do_not_count():
    assert mcnemar(*flags(0, 2, 8)) == mcnemar(*flags(500, 2, 8, 300))


def test_methods_that_agree_everywhere_do_not_differ():
    assert mcnemar(*flags(5, 0, 0, 5)).p_value == 1


def test_different_images_are_refused():
    with pytest.raises(UsageError, match="same images"):
        mcnemar(np.ones(3, bool), np.ones(4, bool))


@pytest.mark.parametrize(
    ("p_value", "mark"),
    [(0.0009, "★★★"), (0.001, "★★"), (0.009, "★★"), (0.01, "★"), (0.049, "★"), (0.05, ""), (1, "")],
)
def test_stars(p_value, mark):
    assert stars(p_value) == mark


def measured(first: np.ndarray, second: np.ndarray) -> dict:
    content = metrics(median_cut=[first.mean()], octree=[second.mean()])
    for method, which in (("median-cut", first), ("octree", second)):
        content["methods"][method]["scores"]["2"]["correct"] = pack_bits(which)
    return content


def test_methods_of_a_record_are_compared_with_its_first():
    found = against_first(measured(*flags(3, 1, 9)))  # 13 images: three bits of padding
    assert set(found) == {"octree"}
    assert (found["octree"]["2"].only_first, found["octree"]["2"].only_second) == (9, 1)


def test_a_record_that_does_not_tell_which_images_is_not_compared():
    assert against_first(metrics()) == {"median-cut": {}}
    assert compare(metrics(), ("median-cut", "2"), ("median-cut", "512")) is None
    assert against_first({"methods": {}}) == {}


def test_of_several_seeds_the_least_sure_counts_and_all_must_agree():
    sure, unsure, reverse = (measured(*flags(20, *split)) for split in ((12, 1), (8, 3), (1, 12)))
    cells = ("median-cut", "2"), ("octree", "2")
    both = compare({**sure, "per_seed": {"0": sure, "1": unsure}}, *cells)
    assert (both.only_first, both.only_second) == (20, 4)
    assert both.p_value == pytest.approx(float(exact(8, 3)))
    assert compare({**sure, "per_seed": {"0": sure, "1": reverse}}, *cells).p_value == 1


@pytest.mark.parametrize(
    ("methods", "leader"),
    [
        (["median-cut", "colorcnn", "colorcnn-plus (paper)", "colorcnn-plus"], "colorcnn-plus"),
        (["colorcnn", "colorcnn-plus (paper)", "colorcnn-plus:mine"], "colorcnn-plus (paper)"),
        (["octree", "colorcnn (DnCNN)"], "colorcnn (DnCNN)"),
        (["colorcnn-plus", "palette-attention", "wu"], "palette-attention"),
        (["octree", "median-cut"], None),
    ],
)
def test_a_record_is_about_its_learned_method(methods, leader):
    assert leading_method({"methods": dict.fromkeys(methods)}) == leader


def test_the_learned_method_is_set_against_each_other_one():
    right, wrong = flags(5, 12, 1, 2)  # 17 and 6 of 20 images
    content = measured(right, wrong)
    content["methods"] = {
        "octree": content["methods"]["octree"],
        "colorcnn-plus": content["methods"]["median-cut"],
        "wu": content["methods"]["median-cut"],
    }
    table = margin_table(RecordView(content))
    assert list(map(str, table.head)) == ["ColorCNN+ minus method, points", "2 colours"]
    assert table.rows == [["Octree", "+55.0 ★★"], ["Wu", "+0.0"]]
    assert margin_table(RecordView(measured(right, wrong))) is None
    tables = evaluation_tables(Clock().record("x", n=20, metrics=content))
    assert "| ColorCNN+ minus method, points | 2 colours |" in tables
    assert "| Octree | +55.0 ★★ |" in tables


def test_many_tests_are_corrected_by_the_procedure_of_benjamini_and_hochberg():
    tests = {key: McNemar(0, 0, p_value) for key, p_value in zip("abcd", (0.04, 0.01, 0.03, 0.5))}
    found = {key: test.p_value for key, test in corrected(tests).items()}
    # p times 4 / rank, and no p value above that of a larger rank: 0.01 * 4, 0.04 * 4 / 3 twice, 0.5.
    assert found == pytest.approx({"a": 0.16 / 3, "b": 0.04, "c": 0.16 / 3, "d": 0.5})
    assert corrected({}) == {}
