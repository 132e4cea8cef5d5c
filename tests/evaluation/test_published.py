from __future__ import annotations

import pytest

from colorcnn.errors import UsageError
from colorcnn.evaluation.published import PUBLISHED, published_table


def test_table_4_is_kept_as_printed():
    table = published_table("cifar100-resnet18")
    assert "Table" in table.source
    assert [table.lookup("median-cut", 2**bits) for bits in range(1, 7)] == [
        0.102, 0.261, 0.44, 0.578, 0.662, 0.708,
    ]  # fmt: skip
    assert table.lookup("colorcnn-plus", 2) == 0.199
    assert table.full == 0.764


def test_weights_do_not_change_which_published_curve_belongs_to_a_method():
    table = published_table("style14-resnet18")
    assert table.lookup("colorcnn-plus:somebody", 64) == 0.717
    assert table.lookup("colorcnn-plus:somebody+floyd-steinberg", 64) is None


def test_what_was_not_printed_is_absent():
    assert published_table("cifar10-alexnet").lookup("median-cut", 2) is None
    assert published_table("cifar100-resnet18").lookup("octree", 2) is None
    assert published_table("cifar100-resnet18").lookup("median-cut", 3) is None


def test_mean_average_precision_is_kept_apart_from_accuracy():
    table = published_table("voc2012-resnet18")
    assert table.mean_average_precision["colorcnn-plus"][2] == 0.334
    assert table.full_map == 0.553


def test_every_table_is_a_share_and_names_its_source():
    for name, table in PUBLISHED.items():
        assert table.name == name
        assert table.source
        values = [value for curve in table.accuracy.values() for value in curve.values()]
        assert all(0 < value < 1 for value in [table.full, *values])


def test_unknown_table_names_the_known_ones():
    with pytest.raises(UsageError, match="cifar100-resnet18"):
        published_table("imagenet")
