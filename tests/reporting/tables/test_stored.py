"""The figure and the table of what was trained on stored training sets, from a record made by hand."""

from __future__ import annotations

import pytest

from colorcnn.records import Clock
from colorcnn.reporting.figures.stored import stored_curves, stored_errors
from colorcnn.reporting.page import write_report
from colorcnn.reporting.tables.stored import accuracy_gain, stored_table
from colorcnn.reporting.view import RecordView
from colorcnn.reproduce.seeds import gather


def score(accuracy, coded, mse=0.01):
    return {
        "accuracy": accuracy,
        "interval": [accuracy - 0.01, accuracy + 0.01],
        "bytes": {"coded": coded},
        "mse": mse,
        "inconsistency": 0.1,
    }


def metrics(shift=0.0):
    return {
        "sizes": [2, 4],
        "original": {"accuracy": 0.8 + shift, "interval": [0.79, 0.81], "bytes": {"coded": 294.7}},
        "methods": {
            "dcq": {"scores": {"2": score(0.5 + shift, 54.2), "4": score(0.6 + shift, 107.0, 0.0025)}},
            "jpeg": {"scores": {"4": score(0.7 + shift, 106.9)}},
        },
    }


@pytest.fixture
def record():
    found = {**gather({1: metrics(), 2: metrics(0.02)})}
    found["published"] = {"original": 0.95, "accuracy": {"dcq": {"2": 0.799, "4": 0.8915}}}
    return Clock().record("x", n=100, metrics=found)


def test_the_table_has_accuracy_bytes_published_and_losses(record):
    lines = stored_table(record).splitlines()
    head = [
        "accuracy %, coded bytes per image",
        "2 colours",
        "4 colours",
        "difference to DCQ at equal bytes, points",
    ]
    assert lines[0] == f"| {' | '.join(head)} |"
    assert lines[2] == "| DCQ | 51.0 ± 1.4, 54 B | 61.0 ± 1.4, 107 B |  |"
    assert lines[3].startswith("| DCQ, *published* | 79.9 |")
    assert lines[4] == "| JPEG |  | 71.0 ± 1.4, 107 B |  |"
    assert "| DCQ | 25.5 / 25.5 | 12.8 / 25.5 |" in lines
    assert "| JPEG |  | 25.5 / 25.5 |" in lines
    assert lines[-1].startswith("Trained on the originals (295 B): 81.0 ± 1.4 % (95 % interval 79.0 to 81.0)")
    assert "published 95.0 %, n = 100, mean ± std of 2 seeds" in lines[-1]


@pytest.mark.parametrize(
    ("points", "gain"),
    [
        ({"2": score(0.7, 50), "4": score(0.8, 100)}, 0.2),
        ({"2": score(0.5, 25), "4": score(0.7, 100)}, 0.1),  # over log bytes 0.6 at 50
        ({"2": score(0.7, 200), "4": score(0.8, 400)}, None),
        ({"2": score(0.7, 75), "4": score(0.8, 75)}, None),
        ({"4": score(0.8, 75)}, None),
        ({"2": score(0.7, 99), "4": score(0.8, 200)}, None),
    ],
)
def test_methods_are_compared_at_equal_bytes(points, gain):
    methods = {"dcq": {"scores": {"2": score(0.5, 50), "4": score(0.6, 100)}}, "ours": {"scores": points}}
    assert accuracy_gain({"methods": methods}, "dcq", "ours") == (gain and pytest.approx(gain))
    assert accuracy_gain({"methods": methods}, "dcq", "dcq") is None


def test_the_gain_at_equal_bytes_is_told_with_its_spread_over_seeds():
    def of_seed(gain):
        ours = {"2": score(0.5 + gain, 50), "4": score(0.6 + gain, 100)}
        dcq = {"2": score(0.5, 50), "4": score(0.6, 100)}
        return {**metrics(), "methods": {"dcq": {"scores": dcq}, "k-means": {"scores": ours}}}

    record = Clock().record("x", n=100, metrics=gather({1: of_seed(0.1), 2: of_seed(0.2)}))
    assert "| +15.0 ± 7.1 |" in stored_table(record)
    record.config["anchor"] = "k-means"
    table = stored_table(record)
    assert "difference to k-means at equal bytes, points" in table
    assert "| -15.0 ± 7.1 |" in table


def test_causes_are_drawn_for_what_is_not_lossless(record):
    record.metrics["methods"]["random"] = {"scores": {"4": score(0.3, 100, 0)}}
    error, inconsistency = stored_errors(RecordView(record.metrics)).axes
    assert error.get_xlabel() == "error, levels of 255"
    assert inconsistency.get_xlabel() == "inconsistency, levels of 255"
    (curve,) = (
        line for line in error.get_lines() if len(line.get_xdata()) == 2 and line.get_marker() != "None"
    )
    assert list(curve.get_xdata()) == pytest.approx([12.75, 25.5])
    assert not any("random" in text.get_text() for text in error.texts)


def test_what_goes_with_accuracy_is_told_of_enough_rows():
    rows = {f"m{n}": {"scores": {"4": score(0.5 + n / 10, 50, (6 - n) / 100)}} for n in range(5)}
    for n, cells in enumerate(rows.values()):
        cells["scores"]["4"]["inconsistency"] = n / 10
    record = Clock().record("x", n=9, metrics={**metrics(), "sizes": [4], "methods": rows})
    assert "accuracy with error / inconsistency: 4 colours -1.00 / +1.00." in stored_table(record)
    del rows["m0"]
    assert "Rank correlation" not in stored_table(record)


def test_originals_may_have_no_known_cost(record):
    del record.metrics["original"]["bytes"]
    assert "Trained on the originals: 81.0" in stored_table(record)


def test_a_report_shows_it(record, tmp_path):
    page = write_report(record, tmp_path / "report.html").read_text()
    assert "trained on stored training sets" in page
    assert "<strong>71.0</strong>" in page
    assert "methods · dcq · scores · 4 · bytes · coded" in page


def test_one_panel_is_over_colours_and_one_over_coded_bytes(record):
    left, right = stored_curves(RecordView(record.metrics)).axes
    assert left.get_xlabel() == "colours in an image"
    assert right.get_xlabel() == "coded bytes per image of the whole training set"
    (curve,) = (line for line in right.get_lines() if list(line.get_xdata()) == [54.2, 107.0])
    assert list(curve.get_ydata()) == pytest.approx([51.0, 61.0])
    assert right.get_xscale() == "log"
