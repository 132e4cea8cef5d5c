"""The tables of the READMEs say what the committed records say."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from colorcnn.records import Clock, read_record
from colorcnn.reproduce.pages import command_of, rendered

ROOT = Path(__file__).resolve().parent.parent


def test_the_tables_agree_with_their_records():
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "render_tables.py", "--check"], capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()


def test_figures_are_drawn_from_their_records(tmp_path, import_tool):
    results = ROOT / "experiments" / "results"
    for name in ("vq-toy_boomerang_cpu.json", "photo-digits_demo.json"):
        shutil.copy(results / name, tmp_path)
    (tmp_path / "vq-toy_boomerang_cpu.png").write_bytes(b"old")
    assert import_tool("render_tables").redraw(tmp_path) == [tmp_path / "vq-toy_boomerang_cpu.png"]
    assert Image.open(tmp_path / "vq-toy_boomerang_cpu.png").width > 500
    assert not (tmp_path / "photo-digits_demo.png").exists(), "a record without a figure keeps none"


def test_a_record_of_the_benchmark_becomes_a_table_with_its_targets(tmp_path):
    cell = {"mse": 4.0, "above": 0.26, "milliseconds": 9.4}
    met = {"what": "k-means, 2 colours, above the best known", "value": 0.26, "limit": 1.0, "unit": " %"}
    targets = [{**met, "met": True}, {**met, "what": "slow", "value": 1.5, "unit": " s", "met": False}]
    slow = {"2": {**cell, "milliseconds": 18.8}}
    summary = {"k-means": {"2": cell, "3": cell}, "slow": slow}
    metrics = {"quantizers": summary, "sizes": [2, 3], "targets": targets}
    Clock().record("benchmark", n=24, metrics=metrics).write(tmp_path / "kodak.json")
    page = rendered("a\n<!-- table: kodak -->\nold\n<!-- end -->\nb\n", tmp_path)
    head = "MSE, % above the best known / time relative to k-means"
    assert page.startswith(f"a\n<!-- table: kodak -->\n| {head} | 2 colours | 3 colours |\n")
    assert "| k-means | 0.3 / 1.00 | 0.3 / 1.00 |" in page
    assert "| slow | 0.3 / 2.00 | – |" in page
    assert "n = 24 images; CPU time, one thread" in page
    assert "Targets met: 1 of 2.\n- missed: slow: 1.5 s, at most 1 s\n\nCommand: `benchmark`; " in page
    assert "<!-- end -->\nb\n" in page
    assert rendered(page, tmp_path) == page


def test_a_record_with_dssim_and_several_threads_has_two_tables(tmp_path):
    cell = {"mse": 4.0, "above": 0.26, "milliseconds": 9.4, "dssim": 0.0125}
    metrics = {"quantizers": {"wu": {"2": cell}}, "sizes": [2], "targets": [], "threads": 2}
    Clock().record("benchmark", n=3, metrics=metrics).write(tmp_path / "boats.json")
    page = rendered("<!-- table: boats -->\n<!-- end -->\n", tmp_path)
    assert "| DSSIM, thousandths | 2 colours |" in page
    assert "| wu | 12.5 |" in page
    assert "wall time, 2 threads" in page
    assert "Targets" not in page


def test_the_first_table_of_an_evaluation_can_stand_alone():
    whole, alone = (
        rendered(f"<!-- {what}: photo-digits_demo -->\n<!-- end -->\n", ROOT / "experiments" / "results")
        for what in ("table", "accuracy")
    )
    assert "minus method" in whole
    assert "minus method" not in alone
    *first, gap, command, end = alone.splitlines()[1:]
    assert (gap, end) == ("", "<!-- end -->")
    assert first == whole.splitlines()[1 : len(first) + 1]
    assert command in whole


def test_what_has_no_record_yet_is_said(tmp_path):
    page = "<!-- table: kodak -->\nNot measured yet.\n<!-- end -->\n"
    assert rendered(page, tmp_path) == page


def test_a_page_may_show_the_differences_of_any_method():
    page = rendered(
        "<!-- margins: cifar10-jpeg_resnet9 colorcnn-plus -->\n<!-- end -->\n",
        ROOT / "experiments" / "results",
    )
    assert "| ColorCNN+ minus method, points |" in page
    assert "| palette attention | -2.0 ★★★ |" in page
    assert "| ColorCNN+ | " not in page


def test_every_record_is_in_the_list_with_its_command_and_a_link():
    results = ROOT / "experiments" / "results"
    page = rendered("<!-- records -->\n<!-- end -->\n", results, ROOT / "docs" / "pages" / "results")
    for path in results.glob("*.json"):
        row = next(line for line in page.splitlines() if f"/{path.name})" in line)
        assert f"| `{command_of(read_record(path))}` |" in row


def test_the_command_and_the_record_follow_a_table():
    table = "<!-- table: photo-digits_demo -->\n<!-- end -->\n"
    page = rendered(table, ROOT / "experiments" / "results", ROOT)
    assert "\nCommand: `colorcnn demo --force`; record: [photo-digits_demo.json](" in page
    assert "](experiments/results/photo-digits_demo.json)" in page


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("colorcnn reproduce a --size cpu --panel b", "colorcnn reproduce a --scale cpu --variant b"),
        ("python tool.py --size 3", "python tool.py --size 3"),
    ],
)
def test_commands_are_shown_with_the_names_that_options_have_today(typed, shown):
    assert command_of(Clock().record(typed, n=1, metrics={})) == shown


def test_links_of_the_overview_start_where_the_page_is():
    results, page = ROOT / "experiments" / "results", "<!-- experiments -->\n<!-- end -->\n"
    assert "](results/transfer_cpu.json)" in rendered(page, results, ROOT / "experiments")
    deep = rendered(page, results, ROOT / "docs" / "pages" / "results")
    assert "](../../../experiments/results/transfer_cpu.json)" in deep
