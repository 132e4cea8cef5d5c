"""Further parts of an experiment's evaluation: files, attacks, and several classifiers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
import yaml

from colorcnn.cli import main
from colorcnn.errors import UsageError
from colorcnn.records import Clock, read_record
from colorcnn.reporting.page import Entry, summary
from colorcnn.reproduce.stages.evaluate import EvaluateStage

CONF = Path(__file__).resolve().parents[2] / "conf"
SMALL = {"train_size": 64, "validation_size": 16, "test_size": 16, "batch_size": 16}
DATA = {"class_path": "PhotoDigits", "init_args": SMALL}
ASKED = {"data": "photo-digits", "classifier": "tiny:classifier", "methods": {"median-cut": "median-cut"}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An experiment with a network of its own and another, attacks and files, run with two seeds."""
    folder = tmp_path_factory.mktemp("asked")
    shutil.copy(CONF / "classifier.yaml", folder)
    judge = {"kind": "fit", "config": "classifier.yaml", "data": DATA, "trainer": {"max_epochs": 1}}
    measure = {
        "data": DATA,
        "classifier": {"trained": "${judge}", "other": "tiny:classifier"},
        "colors": [2, 4],
        "methods": {"median-cut": "median-cut", "jpeg": "jpeg:50", "png": "png"},
        "attacks": ["fgsm:adaptive"],
        "epsilons": [8],
        "cam": True,
    }
    stages = [{"name": "judge", "shared": True, **judge}, {"name": "asked", "kind": "evaluate", **measure}]
    content = {
        "kind": "experiment",
        "title": "Everything",
        "scales": {"cpu": {"time": "seconds", "stages": stages}},
    }
    (folder / "everything.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    argv = ["-o", str(folder / "runs"), "--results", str(folder / "results"), "--seeds", "2"]
    argv += ["--allow-module", "tiny"]
    with torch.random.fork_rng():
        assert main(["reproduce", str(folder / "everything.yaml"), "--allow-module", "tiny", *argv]) == 0
    return folder


def test_the_record_holds_attacks_and_judges_and_no_path(folder):
    record = read_record(folder / "results" / "everything_cpu.json")
    assert record.metrics["judges"] == ["trained", "other"]
    assert set(record.metrics["attacks"]["results"]) == {"fgsm", "fgsm:adaptive"}
    assert record.metrics["attacks"]["epsilons"] == [0, 8]
    assert set(record.metrics["codecs"]) == {"jpeg:50", "png"}
    assert record.config["classifier"] == "judge"
    assert record.config["judges"] == {"trained": "judge", "other": "tiny:classifier"}
    assert record.config["attack_steps"] == 10
    assert "the classifier judge" in summary(Entry("", record))
    assert str(folder) not in record.to_json()


def test_figures_and_tables_follow_from_the_record(folder, capsys):
    names = {path.name for path in (folder / "results").glob("*.png")}
    endings = ("", "_attack-2", "_attack-4", "_classifiers-2", "_classifiers-4", "_grid", "_cam")
    assert names == {f"everything_cpu{ending}.png" for ending in endings}
    argv = [str(folder / "everything.yaml"), "--list", "--results", str(folder / "results")]
    assert main(["reproduce", "--allow-module", "tiny", *argv]) == 0
    told = capsys.readouterr().out
    assert "| accuracy % with | colours | trained | other |" in told
    assert "| accuracy % under FGSM through the quantizer, by largest change | colours | 0 | 8 |" in told
    assert "| files | colours | bits per pixel | accuracy % |" in told
    assert "| JPEG 50 | – |" in told


def test_attacks_decide_nothing_where_there_are_none():
    stage, home = EvaluateStage(), Path()
    plain = stage.describe(ASKED, home)
    assert not {"attacks", "epsilons", "attack_steps"} & set(plain)
    assert stage.describe({**ASKED, "attacks": [], "epsilons": [3]}, home) == plain
    attacked = stage.describe({**ASKED, "attacks": ["pgd"], "epsilons": [3]}, home)
    assert (attacked["epsilons"], attacked["attack_steps"]) == ([3], 10)


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ({"classifier": "resnet9-cifra"}, "no pretrained model 'resnet9-cifra'"),
        ({"methods": {"a": "colorcnn:cifra"}}, "no pretrained model 'cifra'"),
        (
            {"data": {"class_path": "PhotoDigits", "init_args": {"pth": 1}}},
            "Unknown option of PhotoDigits 'pth'",
        ),
        ({"methods": {"a": ["wu", "octree"]}}, "'wu' is in a list: lists hold ColorCNNs"),
        ({"attacks": ["magic"]}, "Unknown attack 'magic'"),
        ({"split": "tset"}, "Unknown split 'tset'"),
        ({"methods": {"a": "wuu"}}, "Unknown method 'wuu'"),
        ({"attacks": ["pgd:magic"]}, "Unknown path of pgd 'magic'"),
        ({"attacks": ["pgd"], "attack_steps": 0}, "use at least 1"),
        ({"attacks": ["pgd"], "epsilons": [0.5]}, "An epsilon is 0.5"),
    ],
)
def test_what_there_is_not_is_refused_before_the_work(option, told):
    with pytest.raises(UsageError, match=told):
        EvaluateStage().describe({**ASKED, **option}, Path())


@pytest.mark.parametrize(
    ("methods", "told"),
    [
        (["median-cut", "colorcnn", "colorcnn-plus (paper)", "colorcnn-plus"], "colorcnn-plus"),
        (["median-cut", "colorcnn", "colorcnn-plus (paper)", "colorcnn-plus:mine"], "colorcnn-plus (paper)"),
        (["octree", "colorcnn (DnCNN)", "colorcnn"], "colorcnn (DnCNN)"),
        (["octree", "median-cut"], "octree"),
    ],
)
def test_an_overview_tells_of_the_learned_method(methods, told):
    scores = {method: {"scores": {"2": {"accuracy": place / 10}}} for place, method in enumerate(methods)}
    record = Clock().record("x", n=1, metrics={"sizes": [2], "methods": scores})
    assert EvaluateStage().digest(record)[0].endswith(f": {10 * methods.index(told):.1f}")
