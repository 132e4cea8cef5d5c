from __future__ import annotations

import pytest

from colorcnn.errors import UsageError
from colorcnn.reporting.published import AHEAD_OF_JPEG, PUBLISHED, published_table
from colorcnn.reporting.tables.accuracy import published_rows
from colorcnn.reporting.view import RecordView


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
        assert all(0 < value < 1 for value in [table.full or 0.5, *values])


def test_the_tables_of_dataset_quantization_are_kept_as_printed():
    table = published_table("dcq-cifar10-resnet18")
    assert [table.lookup("dcq", 2**bits) for bits in (1, 2, 3, 4, 5, 6)] == [
        0.799, 0.8915, 0.9102, 0.9334, 0.9439, 0.9489,
    ]  # fmt: skip
    assert table.lookup("dcq (1 cluster)", 2) == 0.7102
    assert table.lookup("dcq (kept 80 %)", 32) == 0.9305
    assert table.lookup("dcq (rise)", 32) is None, "it is printed for four sizes"
    pruned = published_table("dcq-pruned-cifar10-resnet18")
    assert (pruned.lookup("dcq (ccs-aum)", 2), pruned.lookup("dcq (ccs-aum)", 32)) == (None, 0.7992)
    assert published_table("dcq-tiny200-resnet18").full is None


def test_unknown_table_names_the_known_ones():
    with pytest.raises(UsageError, match="cifar100-resnet18"):
        published_table("imagenet")


def test_rows_that_the_paper_prints_as_loose_numbers_are_marked_inferred():
    table = published_table("cifar100-resnet18")
    bottleneck = "colorcnn-plus (no bottleneck)"
    assert set(table.inferred) == {
        bottleneck,
        "colorcnn-plus (no top-k)",
        "colorcnn-plus (no augmentation)",
        "colorcnn-plus (distillation)",
    }
    assert table.lookup("colorcnn-plus (no top-k)", 2) == 0.189
    assert table.lookup("colorcnn-plus (distillation)", 64) == 0.68
    assert table.tables[bottleneck] == "4"
    metrics = {"published": table.to_json(), "methods": {bottleneck: {}, "colorcnn-plus": {}}}
    view = RecordView(metrics)
    assert published_rows(view, bottleneck, "a", ["1"]) == [["a, *published, inferred*", "1"]]
    assert published_rows(view, "colorcnn-plus", "b", ["", "2"]) == [["b, *published*", "", "2"]]
    assert published_rows(view, "colorcnn-plus", "b", ["", ""]) == []


def test_numbers_outside_the_main_tables_are_kept():
    table = published_table("stl10-alexnet")
    assert table.colors_per_image["colorcnn (no regularization)"] == {8: 5.1}
    assert table.bits_per_pixel["colorcnn"] == {8: 0.425}
    assert [
        published_table(f"tiny200-{network}").lookup("median-cut", 2)
        for network in ("alexnet", "vgg16", "resnet18")
    ] == [0.113, 0.102, 0.062]
    assert AHEAD_OF_JPEG == {"colorcnn": 0.132, "colorcnn-plus": 0.193}
