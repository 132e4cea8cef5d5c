"""Markdown tables of records of one seed and of several, with published numbers beside."""

from __future__ import annotations

import pytest
from evaluation_samples import metrics

from colorcnn.records import Clock
from colorcnn.reporting.figures.curves import accuracy_curve
from colorcnn.reporting.markup import percent
from colorcnn.reporting.tables.accuracy import accuracy_cells, accuracy_table, evaluation_tables
from colorcnn.reporting.tables.benchmarks import scale_table
from colorcnn.reporting.view import RecordView
from colorcnn.reproduce.seeds import gather


def several():
    """Three seeds whose accuracies differ by 0.01."""
    found = {}
    for seed in (1, 2, 3):
        content = metrics()
        for result in content["methods"].values():
            for score in result["scores"].values():
                score["accuracy"] += 0.01 * seed
        found[seed] = content
    return gather(found)


def test_a_spread_is_told_where_there_is_one():
    assert percent(0.5, 0.0123) == "50.0 ± 1.2"
    assert percent(0.5, 0.0) == "50.0"
    assert percent(0.5) == "50.0"
    assert percent(None) == ""


def test_cells_of_several_seeds_have_mean_and_spread():
    view = RecordView(several())
    for method in view.methods:
        measured, _ = accuracy_cells(view, method)
        assert all(cell == "" or cell.endswith(" ± 1.0") for cell in measured)


def test_published_numbers_have_rows_of_their_own():
    content = metrics()
    method = next(iter(content["methods"]))
    size = str(content["sizes"][0])
    content["published"] = {"original": 0.9, "accuracy": {method.partition(":")[0]: {size: 0.123}}}
    table = accuracy_table(Clock().record("x", n=5, metrics=content), RecordView(content))
    assert "*published* | 12.3 |" in table
    assert "published 90.0 %" in table


def test_mean_average_precision_has_rows_of_its_own():
    content = metrics()
    content["original"]["mean_average_precision"] = 0.55
    for result in content["methods"].values():
        for score in result["scores"].values():
            score["mean_average_precision"] = 0.25
    table = accuracy_table(Clock().record("x", n=5, metrics=content), RecordView(content))
    assert ", mAP | 25.0" in table
    assert "mAP 55.0 %" in table


def test_a_figure_of_several_seeds_shows_their_spread():
    title = accuracy_curve(RecordView(several())).axes[0].get_title(loc="left")
    assert title == "accuracy, mean ± std of 3 seeds"
    axes = accuracy_curve(RecordView(metrics())).axes[0]
    assert axes.get_title(loc="left") == "accuracy, with 95 % interval"


def test_files_stand_by_size_and_codecs_by_name():
    content = metrics(median_cut=[0.4, 0.7])
    content["codecs"] = {"webp:30": {**content["methods"]["median-cut"]["scores"]["2"], "file_bpp": 2.0}}
    table = evaluation_tables(Clock().record("x", n=5, metrics=content))
    files = table.partition("| files |")[2].splitlines()[2:]
    assert files == [
        "| MedianCut | 2 | 1.500 | 40.0 |",
        "| WebP 30 | – | 2.000 | 40.0 |",
        "| MedianCut | 4 | 2.500 | 70.0 |",
    ]
    assert evaluation_tables(Clock().record("x", n=5, metrics=metrics())).count("|---") == 4


@pytest.mark.parametrize(
    ("slope", "told"),
    [(2.0**20, "peak memory in MiB: 100.0 + 1.0000 n. That is 0 hours and 1,100 MiB"),
     (-1.0, "peak memory does not grow with n. That is 0 hours and 300 MiB")],
)  # fmt: skip
def test_memory_is_reckoned_for_many_images_only_where_it_grows(slope, told):
    row = {"images": 10, "wall_seconds": 60, "cpu_seconds": 60, "coded": 10, "source": 20}
    rows = [{**row, "peak_bytes": megabytes * 2**20} for megabytes in (300, 200)]
    time = {"start": 1.0, "per_image": 0.5, "at_many": 501.0}
    memory = {"start": 100 * 2.0**20, "per_image": slope, "at_many": 1100 * 2.0**20}
    lines = {"wall_seconds": time, "cpu_seconds": time, "peak_bytes": memory}
    record = Clock().record("x", n=1, metrics={"dcq_scale": rows, "side": 8, "lines": lines, "many": 1000})
    assert told in scale_table(record)
