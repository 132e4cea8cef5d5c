from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from colorcnn.cli import main
from colorcnn.records import Clock, read_record

MEASURED = Path(__file__).resolve().parent.parent / "experiments" / "results" / "photo-digits_demo.json"


def png(color: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), color).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Two records with pictures beside them, one of something else, and a stranger."""
    measured = read_record(MEASURED)
    measured.write(tmp_path / "results" / "first.json")
    (tmp_path / "results" / "first_grid.png").write_bytes(png("red"))
    (tmp_path / "results" / "first.png").write_bytes(png("green"))  # its curves are drawn anew
    measured.write(tmp_path / "results" / "runs" / "second" / "record.json")
    (tmp_path / "results" / "runs" / "second" / "cam.png").write_bytes(png("blue"))
    Clock().record("other", n=3, metrics={"rate": 1.5}).write(tmp_path / "results" / "third.json")
    (tmp_path / "results" / "third.png").write_bytes(png("white"))
    (tmp_path / "results" / "third_cells.png").write_bytes(png("black"))
    (tmp_path / "results" / "state.json").write_text(json.dumps({"done": True}))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results"


def test_every_record_of_a_folder_gets_a_section(results, capsys):
    assert main(["report", "results", "--title", "Mine"]) == 0
    page = Path("report.html").read_text()
    assert "<h1>Mine</h1>" in page
    for place, name in enumerate(("first", "second", "third")):
        assert f'<h2 id="{place}">{name}</h2>' in page
    assert page.count("<h3>What the classifier sees") == 1
    assert page.count("<h3>Where the classifier looks") == 1
    assert page.count("<h3>Cells and codewords, as trained") == 1
    assert page.count("data:image/png") == 4  # the grid, the maps, the figure of the third, and its cells
    error = capsys.readouterr().err
    assert "left out 1 other JSON file in results" in error
    assert "wrote report.html, of 3 records" in error


def test_records_can_be_named_one_by_one(results):
    assert main(["report", "results/third.json", "results/runs", "-o", "two.html"]) == 0
    page = Path("two.html").read_text()
    assert page.index('<h2 id="0">third') < page.index('<h2 id="1">second')


def test_a_single_record_needs_no_overview(results):
    assert main(["report", "results/first.json", "-o", "one.html"]) == 0
    assert "<h2 id=" not in Path("one.html").read_text()


@pytest.mark.parametrize(
    ("argv", "status", "problem"),
    [
        (["nowhere"], 2, "nowhere does not exist"),
        (["empty"], 2, "empty holds no records"),
        (["results/state.json"], 1, "results/state.json holds no record"),
        (["results", "-o", "results/third.png"], 1, "exists already"),
    ],
)
def test_bad_input_is_told_in_one_sentence(results, capsys, argv, status, problem):
    Path("empty").mkdir()
    assert main(["report", *argv]) == status
    lines = capsys.readouterr().err.splitlines()
    assert problem in lines[-1]
    assert lines[-1].startswith("colorcnn: error: ")


def test_a_record_without_what_its_kind_has_is_named(results, capsys):
    measured = json.loads(MEASURED.read_text())
    del measured["metrics"]["original"]["accuracy"]
    (results / "fourth.json").write_text(json.dumps(measured))
    assert main(["report", "results"]) == 1
    assert "The record fourth does not hold what it should (KeyError: 'accuracy')" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{", "fourth.json is not valid JSON"),
        (b"\xff\xfe{", "fourth.json is not valid JSON"),
        (
            b'{"n": ' + b"[" * 3000 + b"]" * 3000 + b"}",
            "fourth.json is nested more than 64 levels deep",
        ),
        ({"n": "many"}, "fourth.json is invalid (n: "),
        ({"metrics": []}, "fourth.json is invalid (metrics: "),
        ({"format": 99}, "fourth.json has format 99"),
    ],
)
def test_a_damaged_record_is_told_and_the_page_shows_the_others(results, capsys, content, problem):
    if isinstance(content, dict):
        content = json.dumps(json.loads((results / "third.json").read_text()) | content).encode()
    (results / "fourth.json").write_bytes(content)
    assert main(["report", "results"]) == 1
    error = capsys.readouterr().err
    assert f"colorcnn: error: left out: results/{problem}" in error
    assert "wrote report.html, of 3 records" in error
    assert Path("report.html").read_text().count("<h2 id=") == 3


def test_a_folder_whose_only_record_is_damaged_makes_no_page(results, capsys):
    Path("alone").mkdir()
    Path("alone/record.json").write_text("{")
    assert main(["report", "alone"]) == 1
    assert "alone/record.json is not valid JSON" in capsys.readouterr().err
    assert not Path("report.html").exists()


def test_a_folder_that_is_named_twice_counts_once(results, capsys):
    assert main(["report", "results", "results"]) == 0
    assert "of 3 records" in capsys.readouterr().err


def test_an_existing_page_is_replaced_by_force_only(results):
    Path("report.html").write_text("mine")
    assert main(["report", "results"]) == 1
    assert Path("report.html").read_text() == "mine"
    assert main(["report", "results", "--force"]) == 0
    assert Path("report.html").read_text() != "mine"
