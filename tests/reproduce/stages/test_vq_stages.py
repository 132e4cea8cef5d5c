"""Experiments with compressors, on hardly any data: run, killed, gone on with, listed, refused."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from running import halt

from colorcnn.cli import INTERRUPTED, main
from colorcnn.evaluation import vq_measures
from colorcnn.records import read_record

CONF = Path(__file__).resolve().parents[2] / "conf" / "experiment-vq.yaml"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with eight small pictures below the data sets."""
    folder = tmp_path_factory.mktemp("home")
    draws = np.random.RandomState(0)
    (folder / "pictures").mkdir()
    for number in range(8):
        coarse = Image.fromarray(draws.randint(256, size=(4, 5, 3), dtype=np.uint8))
        coarse.resize((50, 37), Image.Resampling.BICUBIC).save(folder / "pictures" / f"{number}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLORCNN_DATA", str(folder))
        yield folder


def arguments(folder, *argv):
    return ["-o", str(folder / "runs"), "--results", str(folder / "results"), *argv]


def reproduce(folder, *argv):
    with torch.random.fork_rng():
        return main(["reproduce", str(CONF), *arguments(folder, *argv)])


def record(folder, stage):
    return read_record(folder / "results" / f"experiment-vq_{stage}_cpu.json")


@pytest.fixture(scope="module")
def whole(home):
    assert reproduce(home) == 0
    return home


def test_vectors_are_measured_beside_the_references(whole):
    metrics = record(whole, "vectors").metrics
    assert set(metrics["per_seed"]) == {"1", "2"}
    for scores in metrics["rows"].values():
        assert set(scores["8"]) == {"rate", "mse", "decibels", "loss", "coded_rate"}
        # A density that is hardly trained gives probability to integers that never occur, a code does not.
        assert 0 < scores["8"]["coded_rate"] < 1.05 * scores["8"]["rate"]
        assert scores["8"]["loss"] > metrics["references"]["ecsq"]["8"]["loss"]
    assert metrics["references"]["ecsq"]["8"]["loss"] == pytest.approx(2.711, abs=1e-3)
    assert metrics["bd_rate"] == {}, "one point is no curve"
    assert record(whole, "vectors").n == 2000


def test_pictures_are_coded_as_files_beside_image_formats(whole):
    measured = record(whole, "pictures")
    rows = measured.metrics["rows"]
    assert set(rows) == {"sphere-2d", "jpeg", "webp"}
    assert {"libjpeg-turbo", "libwebp"} <= measured.versions.keys()
    assert set(rows["sphere-2d"]) == {"0.01", "0.02"}
    assert rows["sphere-2d"]["0.01"]["round_trips"] == measured.n == 8
    assert rows["jpeg"]["5"]["rate"] < rows["jpeg"]["90"]["rate"]
    assert set(rows["webp"]) == {"50"}
    assert measured.metrics["published"]["bd_rate"]["sphere-2d"] == -7.20
    assert str(whole) not in measured.to_json()


def test_figures_and_drawings_stand_beside_the_records(whole):
    found = {path.name for path in (whole / "results").glob("*.png")}
    stem = "experiment-vq_{}_cpu{}.png"
    names = [("vectors", ""), ("vectors", "_mappings"), ("pictures", "")]
    assert found == {stem.format(*name) for name in names}


def test_the_list_shows_both_records(whole, capsys):
    listed = ["reproduce", str(CONF), "--list", "--results", str(whole / "results")]
    assert main(listed) == 0
    shown = capsys.readouterr().out
    assert "L = R + λ MSE, excess over ECSQ" in shown
    assert "Loss L of sphere relative to uq-aun: λ = 8" in shown
    assert "| sphere-2d | " in shown
    assert "decode to the same pixels (8 of 8)" in shown


def without(whole, folder, *stages):
    """A copy of the finished experiment in which some stages are still to be done."""
    shutil.copytree(whole / "runs", folder / "runs")
    removed = [path for stage in stages for path in sorted((folder / "runs").glob(f"{stage}-*"))]
    for path in removed:
        shutil.rmtree(path)
    return removed


def same(folder, whole):
    return all(
        record(folder, name).metrics == record(whole, name).metrics for name in ("vectors", "pictures")
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "function"),
    [
        ("references", "measure_references"),
        ("vectors", "measure_vectors"),
        ("pictures", "measure_codec"),
    ],
)
def test_an_interrupted_measurement_is_done_again(stage, function, whole, tmp_path, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    removed = without(whole, tmp_path, stage)
    with monkeypatch.context() as patch:
        patch.setattr(vq_measures, function, stop)
        assert reproduce(tmp_path) == INTERRUPTED
    assert not list((tmp_path / "results").iterdir())
    assert reproduce(tmp_path) == 0
    assert all(path.exists() for path in removed)
    assert same(tmp_path, whole)


@pytest.mark.slow
def test_what_was_killed_is_gone_on_with(whole, tmp_path):
    without(whole, tmp_path, "vectors", "pictures")
    measuring = "colorcnn.evaluation.vq_measures.measure_vectors"
    process = halt(["reproduce", CONF, *arguments(tmp_path)], tmp_path / "ready", measuring)
    process.send_signal(signal.SIGKILL)
    process.told()
    assert not list((tmp_path / "runs").glob("pictures-*/state.json"))
    assert reproduce(tmp_path) == 0
    assert same(tmp_path, whole)


def test_a_code_that_decodes_to_something_else_is_told(whole, tmp_path, monkeypatch, capsys):
    without(whole, tmp_path, "pictures")
    original = vq_measures.decompress_pixels
    monkeypatch.setattr(vq_measures, "decompress_pixels", lambda *args: original(*args) ^ 1)
    assert reproduce(tmp_path) == 1
    assert "decodes to wrong pixels: this is a bug" in capsys.readouterr().err
    (state,) = (tmp_path / "runs").glob("pictures-*/state.json")
    assert json.loads(state.read_text())["done"] is False


def changed(tmp_path, stage, **options):
    """The experiment with other options of a stage, written to a file."""
    content = yaml.safe_load(CONF.read_text())
    for one in content["sizes"]["cpu"]["stages"]:
        if one["name"] == stage:
            one.update(options)
    for name in ("vq", "vq-images"):
        shutil.copy(CONF.with_name(f"{name}.yaml"), tmp_path)
    path = tmp_path / "changed.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


@pytest.mark.parametrize(
    ("stage", "options", "problem"),
    [
        ("vectors", {"rows": []}, "give a mapping of names to trainings"),
        ("vectors", {"rows": {"a": "${uq-aun-8}"}}, "rows 'a' is '${uq-aun-8}'; give a mapping"),
        ("vectors", {"anchor": "magic"}, "'magic' is not a row; use one of uq-aun, sphere"),
        ("vectors", {"compare": {"sphere": "magic"}}, "'magic' is not a row"),
        ("vectors", {"drawn": 9}, "drawn is 9; give a lambda of one of the rows"),
        ("vectors", {"source": "magic"}, "Unknown source 'magic'"),
        ("vectors", {"split": "train"}, "split is 'train'; give one of test, val"),
        ("references", {"trade_offs": 8}, "trade_offs is 8; give a list of numbers"),
        ("references", {"source": "magic"}, "Unknown source 'magic'"),
        ("pictures", {"codecs": ["png"]}, "no curve of the codec 'png'"),
        ("pictures", {"codecs": ["magic"]}, "no curve of the codec 'magic'"),
    ],
)
def test_options_that_cannot_be_meant_are_told_before_any_work(stage, options, problem, tmp_path, capsys):
    assert main(["reproduce", str(changed(tmp_path, stage, **options)), *arguments(tmp_path)]) == 2
    assert problem in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_validation_vectors_are_others_and_the_table_says_so(whole, tmp_path, capsys):
    without(whole, tmp_path)
    path = changed(tmp_path, "vectors", split="val")
    assert main(["reproduce", str(path), *arguments(tmp_path)]) == 0
    chosen_by = read_record(tmp_path / "results" / "changed_vectors_cpu.json")
    assert chosen_by.metrics["rows"] != record(whole, "vectors").metrics["rows"]
    assert main(["reproduce", str(path), "--list", "--results", str(tmp_path / "results")]) == 0
    assert "n = 2,000 validation vectors" in capsys.readouterr().out


def test_a_training_in_the_wrong_place_is_refused(whole, tmp_path, capsys):
    without(whole, tmp_path)
    path = changed(tmp_path, "vectors", rows={"uq-aun": {9: "${uq-aun-8}"}}, compare={}, anchor=None, drawn=9)
    assert main(["reproduce", str(path), *arguments(tmp_path)]) == 1
    assert "was trained with lambda 8 in 1 dimensions" in capsys.readouterr().err
