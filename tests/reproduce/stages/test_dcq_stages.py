"""Stages that store a training set and judge what was trained on it: done, interrupted, gone on with."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from PIL import Image

from colorcnn.cli import INTERRUPTED, main
from colorcnn.data import RecodedFolder
from colorcnn.dcq.storage import Store
from colorcnn.errors import UsageError
from colorcnn.records import read_record
from colorcnn.reproduce.stages import KINDS
from colorcnn.reproduce.stages.dcq_images import costs


def reproduce(path, folder, *argv):
    with torch.random.fork_rng():
        return main(
            ["reproduce", str(path), "-o", str(folder / "runs"), "--results", str(folder / "results"), *argv]
        )


@pytest.fixture(scope="module")
def whole(stored_experiment, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    assert reproduce(stored_experiment, folder) == 0
    return folder


@pytest.fixture
def copy(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "copy")
    return tmp_path / "copy"


def record(folder):
    return read_record(folder / "results" / "stored_cpu.json")


def stage_folder(folder, stage):
    (found,) = (folder / "runs").glob(f"{stage}-????????????")
    return found


def test_the_record_tells_accuracy_cost_and_loss_of_every_store(whole):
    found = record(whole)
    methods = found.metrics["methods"]
    assert list(methods) == ["dcq", "octree", "dcq (ccs-aum)", "jpeg", "random"]
    assert set(methods["dcq"]["scores"]) == {"2", "4"}
    assert set(methods["jpeg"]["scores"]) == {"4"}
    score = methods["dcq"]["scores"]["4"]
    assert 0 <= score["accuracy"] <= 1
    assert (score["images"], score["of"]) == (40, 40)
    assert score["bytes"]["nominal"] == 256 * 2 / 8
    assert score["bytes"]["palettes"] == 2 * 4 * 3 / 40
    assert 0 < score["mse"] < methods["dcq"]["scores"]["2"]["mse"] < 0.1
    assert found.n == 12
    assert found.metrics["original"]["bytes"]["coded"] < found.metrics["original"]["bytes"]["files"]
    assert found.metrics["original"]["mse"] == 0
    assert str(whole) not in found.to_json(), "a record does not tell where it was made"


def test_half_of_the_images_cost_half(whole):
    score = record(whole).metrics["methods"]["dcq (ccs-aum)"]["scores"]["4"]
    assert (score["images"], score["of"]) == (20, 40)
    assert score["bytes"]["nominal"] == 256 * 2 / 8 / 2


def test_pruning_like_a_store_keeps_as_many_files_as_cost_the_same(whole):
    methods = record(whole).metrics["methods"]
    pruned, like = methods["random"]["scores"]["4"], methods["octree"]["scores"]["4"]
    one = record(whole).metrics["original"]["bytes"]["coded"]
    assert abs(pruned["bytes"]["coded"] - like["bytes"]["coded"]) < one / 40 + 1
    assert pruned["mse"] == 0


def test_stores_hold_the_images_that_training_on_the_originals_sees(whole):
    from colorcnn.data import open_described
    from colorcnn.reproduce.yaml_file import read_yaml

    data = open_described(read_yaml(stage_folder(whole, "full") / "fit.yaml")["data"])
    rows = sorted(data.train.rows.tolist())
    assert Store(stage_folder(whole, "dcq-1") / "store").rows.tolist() == rows
    files = stage_folder(whole, "jpeg-2") / "files"
    copies = RecodedFolder(str(files), str(data.folder), val_size=0.2, batch_size=4)
    assert copies.train.rows.tolist() == list(range(40))
    assert copies.rows.tolist() == rows
    assert copies.mean == data.mean
    assert copies.val.pixels(slice(None)).tolist() == data.val.pixels(slice(None)).tolist()


def test_trainings_take_equally_many_steps(whole):
    for stage in ("full", "on-dcq-1", "on-half-2", "on-random-2"):
        path = stage_folder(whole, stage) / "checkpoints" / "last.ckpt"
        assert torch.load(path, weights_only=True)["global_step"] == 8


def test_table_and_figure(whole, capsys, stored_experiment):
    for ending in ("", "_causes", "_examples"):
        assert Image.open(whole / "results" / f"stored_cpu{ending}.png").width > 1000
    assert main(["reproduce", str(stored_experiment), "--list", "--results", str(whole / "results")]) == 0
    shown = capsys.readouterr().out
    assert "| DCQ, *published* | 79.9 |" in shown
    assert "inconsistency" in shown
    assert "Trained on the originals (" in shown


@pytest.mark.slow
def test_what_is_done_is_not_done_again(copy, stored_experiment, monkeypatch, capsys):
    for kind in ("dcq-build", "dcq-recode", "dcq-judge", "fit"):
        monkeypatch.setattr(KINDS[kind], "run", lambda *_: pytest.fail("it was done again"))
    assert reproduce(stored_experiment, copy) == 0
    assert capsys.readouterr().err.count("done already") == 17


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "point"),
    [
        ("dcq-1", "colorcnn.dcq.build.Build.refine"),
        ("dcq-1", "colorcnn.reproduce.stages.dcq_build.write_costs"),
        ("jpeg-2", "colorcnn.reproduce.stages.dcq_recode.write_costs"),
        ("verdict", "colorcnn.evaluation.loaded.LoadedEvaluation.measure"),
    ],
)
def test_a_stage_that_was_interrupted_goes_on(stage, point, copy, stored_experiment, whole, monkeypatch):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    folder = stage_folder(copy, stage)
    shutil.rmtree(folder)
    (copy / "results" / "stored_cpu.json").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(point, stop)
        assert reproduce(stored_experiment, copy) == INTERRUPTED
    assert json.loads((folder / "state.json").read_text())["done"] is False
    assert reproduce(stored_experiment, copy) == 0
    assert record(copy).metrics == record(whole).metrics


def test_a_classifier_decides_only_where_settings_ask_for_it(whole):
    runs = {run["stage"]: run for run in record(whole).config["runs"]}
    stages = record(whole).config["stages"]
    assert stages["octree-1"]["classifier"] is None
    assert stages["dcq-1"]["classifier"] == "${full}"
    assert next(iter(runs)) == "full"


def test_costs_are_read_beside_the_output(whole):
    found = costs(str(stage_folder(whole, "jpeg-2") / "files"))
    assert found["quality"] == 20
    assert found["bytes"]["coded"] < found["bytes"]["files"]
    assert found["bits_per_class"] * found["classes"] == pytest.approx(8 * found["bytes"]["coded"])


@pytest.mark.parametrize(
    ("kind", "options", "problem"),
    [
        ("dcq-build", {}, "data is missing"),
        ("dcq-build", {"data": "x", "prune": {"share": 0.5}}, "method is missing"),
        ("dcq-recode", {"data": "x", "format": "jpeg", "bytes": 9, "quality": 9}, "bytes and quality"),
        ("dcq-recode", {"data": "x", "format": "source", "bytes": 9}, "add prune to keep fewer of them"),
        ("dcq-judge", {"data": "x", "colors": [2], "rows": {}, "original": {"classifier": "y"}}, "rows is"),
        (
            "dcq-judge",
            {
                "data": "x",
                "colors": [2, 4],
                "original": {"classifier": "y"},
                "rows": {"a": {"stores": ["b"], "classifiers": ["c"]}},
            },
            "for each of the 2",
        ),
        (
            "dcq-judge",
            {
                "data": "x",
                "colors": [2],
                "original": {"classifier": "y"},
                "rows": {"a": {"stores": ["b"], "classifiers": ["c"]}},
                "anchor": "d",
            },
            "'d' is not a row",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(kind, options, problem):
    with pytest.raises(UsageError, match=problem):
        KINDS[kind].check(options, "here")


def test_settings_that_change_nothing_are_refused(tmp_path):
    options = {"data": "x", "settings": {"method": "octree", "clusters": 3}}
    with pytest.raises(UsageError, match="clusters changes nothing"):
        KINDS["dcq-build"].describe(options, tmp_path)
    with pytest.raises(UsageError, match="Unknown setting 'magic'"):
        KINDS["dcq-build"].describe({"data": "x", "settings": {"magic": 3}}, tmp_path)
