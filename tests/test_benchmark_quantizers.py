"""The benchmark of the quantizers, on tiny pictures in place of Kodak's."""

import json

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def run(tmp_path, monkeypatch, import_tool):
    """A call of the benchmark on two pictures in the names of the Kodak suite."""
    y, x = np.mgrid[0:30, 0:40]
    picture = np.stack([6 * x, 8 * y, (x * y) % 256], axis=2).astype(np.uint8)
    for number in ("01", "02"):
        Image.fromarray(picture).save(tmp_path / f"kodim{number}.png")
        picture = 255 - picture
    for name in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
        monkeypatch.setenv(f"{name}_NUM_THREADS", "1")  # as the benchmark itself sets it, and does not undo
    tool = import_tool("benchmark_quantizers")

    monkeypatch.setattr("best_palettes.EXCHANGES", 5)
    fixed = ["--no-sq", "--no-large", "--repeats", "1", "--methods", "wu;k-means;k-means best"]
    fixed += ["--cache", str(tmp_path / "best.json"), "--out-dir", str(tmp_path / "out")]

    def call(images, colors, *options):
        return tool.main([str(tmp_path), *fixed, "--images", images, "--colors", colors, *options])

    return call


@pytest.mark.slow
def test_a_stopped_run_goes_on_and_ends_in_a_record(run, tmp_path, capsys):
    assert run("kodim01", "2,12") == 0
    first = json.loads((tmp_path / "out" / "progress.json").read_text())["done"]["kodim01"]
    capsys.readouterr()
    assert run("kodim01,kodim02", "2,12") == 0
    record = json.loads((tmp_path / "out" / "results.json").read_text())
    metrics, pictures = record["metrics"], record["metrics"]["pictures"]
    assert pictures["kodim01"] == first
    assert record["n"] == len(pictures) == 2
    assert set(metrics["quantizers"]) == {"Pillow MEDIANCUT", "wu", "k-means", "k-means best"}
    cell = metrics["quantizers"]["wu"]["12"]
    assert cell["mse"] == pytest.approx(np.mean([pictures[n]["wu"]["12"]["mse"] for n in pictures]), rel=1e-4)
    assert cell["above"] > metrics["quantizers"]["k-means best"]["12"]["above"] >= 0
    assert str(tmp_path) not in record["command"]
    assert (
        0
        < metrics["quantizers"]["k-means"]["12"]["dssim"]
        < metrics["quantizers"]["k-means"]["2"]["dssim"]
        < 0.5
    )
    assert {"numpy", "pillow", "numba"} <= record["versions"].keys()
    missed = [target for target in metrics["targets"] if not target["met"]]
    assert capsys.readouterr().out.count("MISSED by") == len(missed)
    assert (tmp_path / "out" / "figure.png").read_bytes().startswith(b"\x89PNG")

    assert run("kodim01", "3") == 2
    assert "is of a run with other settings or sources: delete it" in capsys.readouterr().err


def test_a_missing_picture_is_named(run, capsys):
    assert run("kodim24", "2") == 1
    assert "has no picture kodim24: name the folder" in capsys.readouterr().err


def test_the_search_for_the_best_palettes_is_kept(run, tmp_path):
    assert run("kodim02", "4", "--prepare", "--restarts", "2") == 0
    entries = json.loads((tmp_path / "best.json").read_text())
    assert [entry["searched"] for entry in entries.values()] == [2]
    assert not (tmp_path / "out").exists()


def test_any_folder_is_measured_and_judged(run, tmp_path):
    for number in ("01", "02"):
        (tmp_path / f"kodim{number}.png").rename(tmp_path / f"boat-{number}.png")
    Image.new("RGB", (20, 20), "red").save(tmp_path / "plain.png")
    assert run("2", "4") == 0
    record = json.loads((tmp_path / "out" / "results.json").read_text())
    assert set(record["metrics"]["pictures"]) == {"boat-01", "boat-02"}, "spread evenly over three"
    assert record["metrics"]["targets"][0]["what"].startswith("k-means, 4 colours")


def test_libvips_gives_at_most_the_colours_asked_for(import_tool):
    pytest.importorskip("pyvips")
    peers = import_tool("quantizer_peers")
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)
    for size in (2, 8, 16, 256):
        indices, palette = peers.pyvips(pixels, size)
        assert indices.shape == (24, 20)
        assert len(np.unique(palette[indices].reshape(-1, 3), axis=0)) <= size
