"""Tables and figures of attacks, of several classifiers, of codecs and of several seeds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from evaluation_samples import metrics, record, score

from colorcnn.evaluation.scores import pack_bits
from colorcnn.reporting.figures.canvas import to_png
from colorcnn.reporting.figures.curves import rate_curve
from colorcnn.reporting.figures.robustness import robustness_curves
from colorcnn.reporting.figures.style import readable
from colorcnn.reporting.figures.transfer import transfer_map, transfer_matrix
from colorcnn.reporting.page import Entry, write_report
from colorcnn.reporting.tables.evaluation import attack_table, full_table, text_tables, transfer_table
from colorcnn.reporting.view import RecordView
from colorcnn.reproduce.seeds import gather


def cell(accuracy: float) -> dict:
    return {"accuracy": accuracy, "interval": [accuracy - 0.01, accuracy + 0.01], "correct": ""}


def curve(*accuracies: float) -> dict:
    return {epsilon: cell(accuracy) for epsilon, accuracy in zip(("0", "8"), accuracies)}


def attacked(shift: float = 0.0) -> dict:
    content = metrics(median_cut=[0.36 + shift, 0.73 + shift], octree=[0.5, 0.6])
    qualities = {"jpeg:10": 0.5, "jpeg:50": 0.6, "jpeg:90": 0.7, "png": 0.921}
    content["codecs"] = {
        name: {**score(accuracy, png_bpp=None, packed_bpp=None, palette_bpp=None), "file_bpp": 3 + accuracy}
        for name, accuracy in qualities.items()
    }
    result = {
        "original": curve(0.92, 0.05),
        "methods": {name: {"2": curve(0.36, 0.3), "4": curve(0.7, 0.2)} for name in ("median-cut", "octree")},
        "codecs": {name: curve(accuracy, 0.1) for name, accuracy in qualities.items()},
    }
    content["attacks"] = {"epsilons": [0, 8], "steps": 10, "results": {"fgsm": result, "pgd:soft": result}}
    return content


def judged() -> dict:
    content = metrics(median_cut=[0.36, 0.73], octree=[0.5])
    content["judges"] = ["ours", "runs/theirs"]
    scores = [content["original"], *(s for m in content["methods"].values() for s in m["scores"].values())]
    for one in scores:
        one["judges"] = {"ours": cell(one["accuracy"]), "runs/theirs": cell(one["accuracy"] / 2)}
    return content


def texts(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


@pytest.mark.parametrize("dark", [False, True])
def test_curves_under_attack_name_every_method_and_one_quality_of_a_codec(dark):
    figure = robustness_curves(RecordView(attacked()), 4, dark=dark)
    left, right = figure.axes
    assert left.get_title(loc="left") == "accuracy under FGSM"
    assert right.get_title(loc="left") == "accuracy under PGD through the soft image"
    assert {"MedianCut", "Octree", "JPEG 50", "no defence"} <= set(texts(figure))
    assert not {"JPEG 10", "JPEG 90", "PNG"} & set(texts(figure))
    lines = [[round(float(y), 6) for y in line.get_ydata()] for line in left.get_lines()]
    assert [70, 20] in lines
    assert to_png(figure)


def test_several_attacks_stand_in_rows_of_two():
    content = attacked()
    result = content["attacks"]["results"]["fgsm"]
    content["attacks"]["results"] = dict.fromkeys(("fgsm", "pgd", "pgd:adaptive"), result)
    figure = robustness_curves(RecordView(content), 4)
    corners = [axes.get_position() for axes in figure.axes]
    assert len(corners) == 3
    assert corners[0].y0 == corners[1].y0 > corners[2].y1 > corners[2].y0 > 0
    assert figure.get_figheight() == 2 * robustness_curves(RecordView(attacked()), 4).get_figheight()


def test_the_table_of_attacks_has_a_column_for_each_strength():
    table = attack_table(RecordView(attacked()), ["fgsm", "pgd:soft"])
    rows = table.rows
    assert table.head == ["method", "colours", "fgsm 0", "fgsm 8", "pgd:soft 0", "pgd:soft 8"]
    assert rows[0] == ["original", "all", "92.0", "5.0", "92.0", "5.0"]
    assert ["octree", "4", "70.0", "20.0", "70.0", "20.0"] in rows
    assert ["jpeg:90", "all", "70.0", "10.0", "70.0", "10.0"] in rows


def test_the_matrix_of_classifiers_leaves_out_what_is_not_there():
    view = RecordView(judged())
    assert transfer_matrix(view, 2) == {
        "MedianCut": [(0.36, None), (0.18, None)],
        "Octree": [(0.5, None), (0.25, None)],
        "full colour": [(0.921, None), (0.921 / 2, None)],
    }
    assert set(transfer_matrix(view, 4)) == {"MedianCut", "full colour"}
    table = transfer_table(view)
    assert table.head == ["method", "colours", "ours", "runs/theirs"]
    assert ["octree", "2", "50.0", "25.0"] in table.rows


@pytest.mark.parametrize("dark", [False, True])
def test_the_map_of_classifiers_holds_the_numbers(dark):
    figure = transfer_map(RecordView(judged()), 2, dark=dark)
    assert texts(figure) == ["36.0", "18.0", "50.0", "25.0", "92.1", f"{100 * 0.921 / 2:.1f}"]
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["ours", "theirs"]
    assert to_png(figure)


def test_classifiers_of_one_name_are_told_by_their_folders():
    content = judged()
    for one in (content["original"], *content["methods"]["octree"]["scores"].values()):
        if "judges" in one:
            one["judges"] = {f"{folder}/net": each for folder, each in zip("ab", one["judges"].values())}
    content["methods"] = {"octree": content["methods"]["octree"]}
    content["judges"] = ["a/net", "b/net"]
    labels = transfer_map(RecordView(content), 2).axes[0].get_xticklabels()
    assert [label.get_text() for label in labels] == content["judges"]


def test_numbers_are_written_in_what_can_be_read():
    black, white = "#000000", "#ffffff"
    assert readable("#0072b2", (black, white)) == white
    assert readable("#6eadd2", (black, white)) == black
    assert readable((0.0, 0.0, 0.0), ("#111111", "#333333")) == "#333333"


def test_codecs_are_dotted_curves_over_the_size_of_their_files():
    figure = rate_curve(RecordView(attacked()))
    assert {"JPEG", "PNG"} <= set(texts(figure))
    dotted = [line for line in figure.axes[0].get_lines() if line.get_linestyle() == ":"]
    assert [line.get_xdata().round(3).tolist() for line in dotted] == [[3.5, 3.6, 3.7], [3.921]]
    table = full_table(RecordView(attacked()))
    assert dict(zip(table.head, table.rows[-1]))["file bpp"] == "3.921"


def test_text_holds_every_table():
    text = text_tables(RecordView({**attacked(), "judges": judged()["judges"]}))
    assert "under attack" in text
    assert "with every classifier" in text
    assert "with every classifier" not in text_tables(RecordView(attacked()))


def test_differences_to_the_first_method_carry_stars():
    content = metrics(median_cut=[0.875], octree=[0.0])
    for method, flags in (("median-cut", [True] * 14 + [False] * 2), ("octree", [False] * 16)):
        content["methods"][method]["scores"]["2"]["correct"] = pack_bits(np.array(flags))
    table = full_table(RecordView(content))
    cells = [dict(zip(table.head, row))["difference"].strip() for row in table.rows]
    assert cells == ["–", "–", "-87.50 ★★★"]
    assert "difference" not in full_table(RecordView(metrics(octree=[0.5]))).head


def test_several_seeds_are_told_with_their_spread(tmp_path):
    gathered = gather({0: attacked(), 1: attacked(0.02)})
    table = full_table(RecordView(gathered))
    assert dict(zip(table.head, table.rows[1]))["accuracy %"] == "37.00 ± 1.41"
    page = write_report(record(gathered), tmp_path / "r.html").read_text()
    assert "37.0<small>± 1.4</small>" in page
    assert "standard deviation of 2 seeds" in page


def test_a_report_says_what_an_experiment_asks(tmp_path):
    asked = replace(record(judged()), config={"title": "Bits & colours", "source": "A, Table 1"})
    page = write_report([Entry("one", asked), Entry("two", asked)], tmp_path / "r.html").read_text()
    assert page.count('<p class="question">Bits &amp; colours: A, Table 1</p>') == 2
    assert page.count("<small>Bits &amp; colours</small>") == 2


def test_a_report_of_several_records_has_an_overview_and_lists_strangers(tmp_path):
    strange = record({"rate": {"bits": 1.23456}, "steps": [1, 2], "long": "x" * 100})
    entries = [Entry("one", record(attacked())), Entry("two", record(judged())), Entry("<vq>", strange)]
    page = write_report(entries, tmp_path / "r.html").read_text()
    assert '<a href="#2">&lt;vq&gt;</a>' in page
    assert '<h2 id="2">&lt;vq&gt;</h2>' in page
    assert '<p class="question">' not in page
    assert "<td>1.235</td>" in page
    assert "x" * 100 not in page
    assert "Under attack, with 2 colours (1 bit)" in page
    assert "With every classifier, 4 colours (2 bits)" in page
    assert page.count("<script") == 0
