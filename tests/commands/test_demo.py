"""`colorcnn demo` from end to end, with hardly any training."""

import json
from pathlib import Path

import pytest
from PIL import Image

from colorcnn.cli import main
from colorcnn.commands import demo

METHODS = {"colorcnn-plus", "median-cut", "median-cut+floyd-steinberg", "octree"}


@pytest.fixture
def tiny_budget(monkeypatch, tmp_path):
    budget = demo.Budget(
        train_images=128, classifier_epochs=1, quantizer_epochs=1, validation_images=40, test_images=40
    )
    monkeypatch.setattr(demo, "FAST", budget)
    monkeypatch.setenv("COLORCNN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "demo"


@pytest.mark.slow
def test_a_demo_that_is_stopped_resumes_and_shows_everything(tiny_budget, capsys, monkeypatch):
    argv = ["demo", "--fast", "--out", str(tiny_budget)]
    usual = demo._report

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "_report", stop)
    monkeypatch.setattr(demo, "SILENCE", 0.0001)
    assert main(argv) == 130
    shown = capsys.readouterr().err
    assert f"resume with `colorcnn {' '.join(argv)}`" in shown
    assert "epoch 1 of 1, " in shown
    trained = {path: path.read_bytes() for path in tiny_budget.glob("*/checkpoints/last.ckpt")}
    assert len(trained) == 2
    monkeypatch.setattr(demo, "_report", usual)
    assert main(argv) == 0
    assert {path: path.read_bytes() for path in trained} == trained, "nothing is trained again"
    told = capsys.readouterr()
    assert "resuming the unfinished demo" in told.err
    assert {"MedianCut", "ColorCNN+"} <= set(told.out.split())
    _check_results(tiny_budget)
    assert main(argv) == 1, "a finished demo is not overwritten"


def _check_results(folder):
    results = json.loads((folder / "results.json").read_text())
    assert 0 <= results["full"] <= 1
    assert set(results["accuracy"]) == METHODS
    for curve in results["accuracy"].values():
        assert set(curve) == {"1", "2", "3", "4", "5", "6"}
        assert all(0 <= value <= 1 for value in curve.values())
    for name in ("grid.png", "curve.png"):
        assert Image.open(folder / name).width > 500
    page = (folder / "report.html").read_text()
    assert "PhotoDigits (a smoke test: " in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_the_pages_and_the_help_state_the_same_time():
    root = Path(__file__).parents[2]
    texts = [(root / page).read_text() for page in ("README.md", "docs/pages/index.md")]
    for text in (*texts, demo.DESCRIPTION):
        assert "bout 10 minutes on one core" in text
    assert all("--fast" in text and "two minutes" in text.replace("\n", " ") for text in texts)


def test_a_seed_that_cannot_be_meant_is_told(tiny_budget, capsys):
    assert main(["demo", "--fast", "--seed", "-1", "--out", str(tiny_budget)]) == 2
    assert "--seed is -1: choose a whole number from 0 up" in capsys.readouterr().err


def test_the_demo_does_not_overwrite_results(tiny_budget, capsys):
    tiny_budget.mkdir()
    (tiny_budget / "results.json").write_text("mine")
    assert main(["demo", "--fast", "--out", str(tiny_budget)]) == 1
    assert "--force" in capsys.readouterr().err
    assert (tiny_budget / "results.json").read_text() == "mine"


def test_an_unfinished_demo_of_other_options_is_forgotten(tmp_path):
    options = demo._parse(["--fast", "--out", str(tmp_path)])
    (tmp_path / demo.PROGRESS).write_text('{"fast": true, "seed": 0}')
    assert demo._resumes(options)
    options.seed = 1
    assert not demo._resumes(options)
    assert not (tmp_path / demo.PROGRESS).exists()


def test_a_device_that_is_not_there_is_refused(tiny_budget, capsys):
    assert main(["demo", "--fast", "--out", str(tiny_budget), "--device", "cuda:99"]) == 2
    assert "Device 'cuda:99' is not available" in capsys.readouterr().err
