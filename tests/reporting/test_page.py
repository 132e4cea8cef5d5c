from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from evaluation_samples import N, metrics, record

from colorcnn.errors import ColorCNNError
from colorcnn.evaluation.scores import pack_bits
from colorcnn.reporting.figures.curves import accuracy_curve, rate_curve
from colorcnn.reporting.figures.style import one_page, styles
from colorcnn.reporting.markup import MISSING, Picture, percent
from colorcnn.reporting.page import Entry, summary, write_report
from colorcnn.reporting.published import published_table
from colorcnn.reporting.tables.evaluation import columns_explained, full_table, text_tables
from colorcnn.reporting.view import RecordView
from colorcnn.reproduce.seeds import gather


def table_of(content):
    table = full_table(RecordView(content))
    return table.head, table.rows


def with_gap():
    content = metrics(median_cut=[0.36, 0.73], colorcnn=[0.6])
    content["methods"]["colorcnn"]["unavailable"] = {"4": "made for 2 colours."}
    return content


def test_the_table_holds_the_originals_and_every_cell():
    head, rows = table_of(with_gap())
    assert [row[:2] for row in rows] == [
        ["original", "all"],
        ["median-cut", "2"],
        ["median-cut", "4"],
        ["colorcnn", "2"],
        ["colorcnn", "4"],
    ]
    first = dict(zip(head, rows[1]))
    assert first["accuracy %"] == "36.00"
    assert first["95 % interval"] == "33.08-39.02"
    assert first["colours used"] == "1.5 (1-2)"
    assert (first["file bpp"], first["index bpp"], first["palette bpp"]) == ("1.500", "1.000", "0.125")
    assert (first["PSNR dB"], first["SSIM"], first["images/s"]) == ("21.50", "0.7500", "800")
    assert set(rows[-1][2:]) == {MISSING}


def test_published_and_measured_numbers_have_their_own_columns():
    content = metrics()
    assert "published %" not in table_of(content)[0]
    content["published"] = published_table("cifar100-resnet18").to_json()
    head, rows = table_of(content)
    cells = [dict(zip(head, row)) for row in rows]
    assert [row["published %"] for row in cells[:3]] == ["76.4", "19.9", "39.7"]
    assert [row["accuracy %"] for row in cells[:3]] == ["92.10", "78.40", "87.00"]
    assert "Published numbers" in text_tables(RecordView(content))


def test_precision_has_a_column_for_several_labels_only():
    content = metrics(median_cut=[0.3])
    assert "mAP %" not in table_of(content)[0]
    content["original"]["mean_average_precision"] = 0.5
    content["methods"]["median-cut"]["scores"]["2"]["mean_average_precision"] = 0.25
    content["published"] = published_table("voc2012-resnet18").to_json()
    head, rows = table_of(content)
    cells = [dict(zip(head, row)) for row in rows]
    assert [(row["mAP %"], row["published mAP %"]) for row in cells] == [("50.0", "55.3"), ("25.0", "24.5")]


def test_the_text_is_aligned_and_says_what_is_missing():
    text = text_tables(RecordView(with_gap()))
    lines = text.splitlines()
    assert len({line.index("  ", 10) for line in lines[:2]}) == 1
    assert lines[-1] == "colorcnn at 4 colours is not available: made for 2 colours."
    assert all(line == line.rstrip() for line in lines)


def test_broken_logits_are_said():
    content = metrics(median_cut=[0.3])
    content["methods"]["median-cut"]["scores"]["2"]["not_finite"] = 3
    text = text_tables(RecordView(content))
    assert "gave 3 images of median-cut at 2 colours a logit that is not finite" in text


def test_every_column_is_explained():
    content = metrics()
    content["original"]["mean_average_precision"] = 0.5
    content["published"] = published_table("voc2012-resnet18").to_json()
    head = table_of(content)[0]
    assert set(head) - set(columns_explained(head)) == {"method", "colours"}


def test_the_summary_names_the_best_at_both_ends():
    assert summary(Entry("", record())) == (
        "On 1,000 test images of tiny, the classifier small recognises 92.1 % in full colour. "
        "With 2 colours (1 bit), 78.4 % are recognised with ColorCNN+ and 36.0 % with MedianCut. "
        "With 8 colours (3 bits), 91.0 % are recognised with MedianCut and 90.0 % with ColorCNN+."
    )


def test_the_summary_of_one_method_at_one_size_is_short():
    assert summary(Entry("", record(metrics(octree=[0.5])))).endswith(
        "With 2 colours (1 bit), 50.0 % are recognised with Octree."
    )


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.links += [value for name, value in attributes if name in ("src", "srcset", "href", "data")]
        if tag not in ("meta", "img", "source", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_a_report_is_one_file_that_asks_for_nothing(tmp_path):
    png = b"\x89PNG\r\n\x1a\n"
    picture = Picture("Grid", png + b"light", png + b"dark", "A caption.", "alt <text>", wide=True)
    path = write_report(record(with_gap()), tmp_path / "report.html", pictures=[picture])
    text = path.read_text()
    page = Page(text)
    assert page.open == []
    assert len(page.links) == 6  # two curves and a picture, light and dark
    assert all(link.startswith(("data:image/png", "data:image/svg+xml")) for link in page.links)
    assert not re.search(r"url\(|@import|<script|<link", text)
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text
    assert "made for 2 colours." in text
    assert "A caption." in text
    assert "alt &lt;text&gt;" in text


def test_names_cannot_break_out_of_the_page(tmp_path):
    content = metrics(median_cut=[0.5])
    content["methods"]["<script>alert(1)</script>"] = content["methods"].pop("median-cut")
    path = write_report(record(content), tmp_path / "r.html", title="<b>&")
    text = path.read_text()
    assert "<script" not in text
    assert "<h1>&lt;b&gt;&amp;</h1>" in text


def test_several_records_get_a_section_each(tmp_path):
    path = write_report([record(), record(with_gap())], tmp_path / "r.html")
    text = path.read_text()
    assert text.count("<h2 id=") == 2
    assert Page(text).open == []


def test_an_existing_report_is_left_alone(tmp_path):
    path = tmp_path / "r.html"
    path.write_text("mine")
    with pytest.raises(ColorCNNError, match="exists already"):
        write_report(record(), path, overwrite=False)
    assert path.read_text() == "mine"


class TestComparisons:
    def test_the_overview_compares_all_records_at_one_number_of_colours(self, tmp_path):
        content = metrics(wu=[0.3, 0.6])
        content["sizes"] = [4]
        del content["methods"]["wu"]["scores"]["2"]
        entries = [Entry("both", record(metrics(octree=[0.2, 0.5]))), Entry("four", record(content))]
        page = write_report(entries, tmp_path / "r.html").read_text()
        overview = page[page.index("<table>") : page.index("</table>")]
        assert "best method, 4 colours (2 bits)" in overview
        assert "Octree, 50.0 %" in overview
        assert "Wu, 60.0 %" in overview

    def test_a_method_has_one_look_on_the_whole_page(self):
        with one_page(["new", "other:weights", "k-means"]):
            alone, together = styles(["other:weights"]), styles(["k-means", "other:weights", "new"])
        assert alone["other:weights"] == together["other:weights"]
        assert len({(look.color, look.marker) for look in together.values()}) == 3
        known = ["wu", "k-means", "palette-attention", "variance-cut", "stochastic", "jpeg", "octree"]
        assert {name: styles([name])[name] for name in known} == styles(known)

    def test_stars_say_ahead_or_behind(self, tmp_path):
        content = metrics(octree=[0.5], wu=[0.9], median_cut=[0.1], k_means=[0.5])
        for name, result in content["methods"].items():
            right = {"octree": 500, "wu": 900, "median-cut": 100, "k-means": 500}[name]
            result["scores"]["2"]["correct"] = pack_bits(np.arange(N) < right)
        page = write_report(record(content), tmp_path / "r.html").read_text()
        marks = re.findall("<sup>([▲▼]★+)</sup>", page)
        assert [mark[0] for mark in marks] == ["▲", "▼"]
        assert "▲ and ▼: better and worse than Octree" in page

    def test_a_spread_of_nothing_is_not_shown(self, tmp_path):
        seeds = {seed: metrics(octree=[0.5], colorcnn_plus__mine=[0.7 + 0.02 * seed]) for seed in (0, 1)}
        content = gather(seeds)
        page = write_report(record(content), tmp_path / "r.html").read_text()
        assert "± 1.4" in page
        assert "± 0.0" not in page
        assert percent(0.5, 0.0002) == "50.0"

    def test_vectors_are_not_called_images(self, tmp_path):
        entries = [Entry("one", record()), Entry("two", record({"dimension": 2, "rate": {"bits": 1.5}}))]
        page = write_report(entries, tmp_path / "r.html").read_text()
        assert "<td>1,000 images</td>" in page
        assert "<td>1,000 vectors</td>" in page
        assert "<figcaption>1,000 vectors.</figcaption>" in page

    def test_an_accuracy_stands_beside_that_of_guessing(self):
        given = record(metrics(octree=[0.11]))
        given = dataclasses.replace(given, config={**given.config, "num_classes": 10})
        assert summary(Entry("", given)).endswith("11.0 % are recognised with Octree (chance: 10.0 %).")

    def test_axes_of_bits_have_ticks(self):
        for figure in (accuracy_curve(RecordView(metrics())), rate_curve(RecordView(metrics()))):
            axis = figure.axes[0].xaxis
            low, high = figure.axes[0].get_xlim()
            assert sum(low <= place <= high for place in axis.get_ticklocs()) >= 2
            assert all(tick.tick1line.get_markersize() > 0 for tick in axis.get_major_ticks())

    def test_curves_scroll_on_a_narrow_screen(self, tmp_path):
        page = write_report(record(), tmp_path / "r.html").read_text()
        assert ".curves img { min-width: 34rem; }" in page
        assert '<div class="scroll"><picture>' in page
