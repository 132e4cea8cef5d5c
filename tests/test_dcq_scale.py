"""The tools that measure builds: how they grow with the images, and what a whole training set takes."""

import sys

import numpy as np
import pytest
from PIL import Image

from colorcnn.cli import main
from colorcnn.dcq.storage import read_manifest
from colorcnn.records import read_record
from colorcnn.reproduce.pages import rendered


@pytest.fixture
def pictures(tmp_path):
    """Sixteen small pictures of two classes."""
    draws = np.random.RandomState(0)
    for number in range(16):
        path = tmp_path / "pictures" / "train" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draws.randint(256, size=(8, 8, 3), dtype=np.uint8)).save(path)
    return tmp_path / "pictures"


def call(tool, *argv, monkeypatch):
    """Run a tool in this process."""
    monkeypatch.setattr(sys, "argv", [tool.__name__, *map(str, argv)])
    assert tool.main() == 0


def build_here(data, store, options):
    """Build a store in this process; the test below measures two of their own."""
    assert main(["dcq", "build", str(data), "-o", str(store), *options]) == 0
    manifest = read_manifest(store)
    sizes = {"coded": manifest.bytes["coded"], "source": manifest.bytes["source"]}
    return {"images": manifest.images, "wall_seconds": 1.0, "cpu_seconds": 1.0, "peak_bytes": 2**27, **sizes}


@pytest.mark.slow
def test_stores_of_several_bits_and_how_fast_they_are_read(tmp_path, pictures, import_tool, monkeypatch):
    tool = import_tool("dcq_benchmark")
    monkeypatch.setattr(tool, "measure", build_here)
    argv = (pictures, tmp_path / "out", "--bits", "1", "3", "--clusters", "2")
    call(tool, *argv, monkeypatch=monkeypatch)
    record = read_record(tmp_path / "out" / "results.json")
    one, three = record.metrics["dcq_stores"]
    assert (one["bits"], three["bits"], one["images"]) == (1, 3, record.n)
    assert one["coded"] < three["coded"]
    for row in (one, three):
        assert min(row["store_milliseconds"], row["files_milliseconds"]) > 0
    page = rendered("<!-- table: results -->\n<!-- end -->\n", tmp_path / "out")
    assert "| bits | wall time |" in page
    assert f"n = {record.n} images" in page


@pytest.mark.slow
def test_two_builds_and_the_line_through_them(tmp_path, pictures, import_tool, monkeypatch):
    tool = import_tool("dcq_scale")
    measure = tool.measure
    monkeypatch.setattr(tool, "measure", lambda *args: measure(*args[:2], [*args[2], "--refine-steps", "2"]))
    call(tool, pictures, tmp_path / "out", "--side", "24", monkeypatch=monkeypatch)
    record = read_record(tmp_path / "out" / "results.json")
    few, many = record.metrics["dcq_scale"]
    assert few["images"] < many["images"] == record.n
    line = record.metrics["lines"]["peak_bytes"]
    for row in (few, many):
        assert row["peak_bytes"] > 2**26
        assert line["start"] + line["per_image"] * row["images"] == pytest.approx(row["peak_bytes"])
    assert line["at_many"] == pytest.approx(line["start"] + line["per_image"] * 1_200_000)
    assert Image.open(next((tmp_path / "out" / "whole-24").rglob("*.jpg"))).size == (24, 24)
    page = rendered("<!-- table: results -->\n<!-- end -->\n", tmp_path / "out")
    assert f"| {many['images']} | " in page
    assert "images of 24 x 24 pixels" in page


def test_formats_are_read_by_turns(tmp_path, import_tool, monkeypatch):
    tool = import_tool("dcq_formats_benchmark")
    monkeypatch.setattr(tool, "_installed", lambda library: False)
    draws = np.random.RandomState(0)
    (tmp_path / "photos").mkdir()
    Image.fromarray(draws.randint(256, size=(40, 60, 3), dtype=np.uint8)).save(tmp_path / "photos" / "a.png")
    argv = (tmp_path / "photos", tmp_path / "out", "--sides", "8", "20", "--repeats", "1")
    call(tool, *argv, monkeypatch=monkeypatch)
    record = read_record(tmp_path / "out" / "results.json")
    assert record.metrics["images"] == {"8": 24, "20": 6}
    for formats in record.metrics["dcq_formats"].values():
        assert set(formats) == {"store", "png", "png, full colour", "jpeg, full colour"}
        assert all(cell["images_per_second"] > 0 < cell["bytes"] for cell in formats.values())
    page = rendered("<!-- table: results -->\n<!-- end -->\n", tmp_path / "out")
    assert "| store | " in page
    assert "n = 24 and 6 images of 8 colours" in page
