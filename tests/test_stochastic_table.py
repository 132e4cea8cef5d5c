"""The tool that measures the table of Stochastic Quantization, on tiny pictures."""

import numpy as np
import pytest
from PIL import Image

from colorcnn.records import read_record
from colorcnn.reproduce.pages import rendered


@pytest.fixture
def tool(import_tool):
    return import_tool("stochastic_table")


@pytest.fixture
def pictures(tmp_path):
    random = np.random.default_rng(0)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(4):
        pixels = random.normal(128, 40, (6, 9, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_errors_are_those_of_the_nearest_colours(tool):
    pixels = np.array([[[0, 0, 0], [255, 0, 0]]], np.uint8)
    found = tool.scored(pixels, np.array([[0, 0, 0], [0, 0, 255]], np.uint8))
    assert found == pytest.approx({"mse": 1 / 6, "objective": 0.5, "distance": 0.5})


def test_the_record_becomes_both_tables(tool, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(tool, "COLORS", (2,))
    monkeypatch.setattr(tool, "RATES", dict.fromkeys(tool.METHODS, (0.01, 0.1)))
    monkeypatch.setattr(tool, "MOSAICS", ((1, 1), (2, 1)))
    assert tool.main([str(pictures), "--out", str(tmp_path / "sq.json")]) == 0
    record = read_record(tmp_path / "sq.json")
    assert record.n == 2, "rates are chosen on the other two"
    rows = record.metrics["stochastic"]["variants"]
    assert {row["name"] for row in rows} == {*tool.METHODS, "stochastic", "k-means"}
    assert rows[-1]["tuned"]["mse"] > 0
    plain = next(row for row in rows if row["name"] == "sgd")
    assert plain["ratio"] == pytest.approx([1, 1, 1]), "it is compared with itself"
    page = rendered("<!-- table: sq -->\n<!-- end -->\n<!-- claims: sq -->\n<!-- end -->\n", tmp_path)
    assert "| sgd, 0.001 |" in page
    assert "| published, 438x500 | 43.0 / 101.7 / 2.78 |" in page
    assert "| claim | published | measured here | verdict |" in page


def test_a_folder_of_too_few_pictures_is_an_error(tool, tmp_path, capsys):
    assert tool.main([str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err
