"""Stages of kind ``training-curve``: scores of trainings over their steps."""

from __future__ import annotations

import json

import pytest

from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.records import read_record
from colorcnn.reporting.page import write_report
from colorcnn.reporting.view import TrainingView
from colorcnn.reproduce.results import draw_figures
from colorcnn.reproduce.seeds import gather
from colorcnn.reproduce.stages import KINDS, kind_of_record
from colorcnn.reproduce.stages.base import RECORD, StageContext

KIND = KINDS["training-curve"]


def write_scores(folder, name, losses):
    """Write the scores of a training with 50 steps an epoch; validation scores only at the end."""
    path = KINDS["fit"].output(folder / name, "scores")
    path.parent.mkdir(parents=True)
    lines = [{"epoch": n, "step": 50 * (n + 1), "train/loss": loss} for n, loss in enumerate(losses)]
    lines[-1]["val/accuracy"] = 0.5
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def described(trainings, **options):
    return KIND.describe({"trainings": trainings, **options}, None)


def run(description, folder):
    folder.mkdir()
    KIND.run(description, StageContext(folder, 1, "cpu", False, fit=None, say=print))
    return read_record(folder / RECORD)


@pytest.fixture
def record(tmp_path):
    trainings = {
        "old": write_scores(tmp_path, "old", [2.5, 2.4, 2.3]),
        "new": write_scores(tmp_path, "new", [2.0, 1.0]),
    }
    description = described(trainings, guides={"train/loss": {"guessing": 2.303}})
    measured = run(description, tmp_path / "stage")
    metrics = KIND.complete(description, dict(measured.metrics))
    return type(measured)(**{**vars(measured), "metrics": metrics, "config": {"kind": "training-curve"}})


def test_a_record_holds_every_value_at_its_step(record):
    assert record.n == 150
    assert record.metrics["trainings"] == {
        "old": {"train/loss": {"50": 2.5, "100": 2.4, "150": 2.3}},
        "new": {"train/loss": {"50": 2.0, "100": 1.0}},
    }
    assert record.metrics["guides"] == {"train/loss": {"guessing": 2.303}}


def test_the_table_and_the_digest_show_them(record):
    lines = KIND.table(record).splitlines()
    assert lines[0] == "| train/loss | step 50 | step 100 | step 150 |"
    assert lines[2:4] == ["| old | 2.500 | 2.400 | 2.300 |", "| new | 2.000 | 1.000 | – |"]
    assert KIND.digest(record)[0] == "old 2.300; new 1.000"


def test_a_long_training_keeps_seven_columns_with_the_first_and_the_last(tmp_path):
    record = run(described({"a": write_scores(tmp_path, "a", [1.0] * 40)}), tmp_path / "stage")
    head = KIND.table(record).splitlines()[0]
    assert head.count("step") == 7
    assert "step 50 " in head
    assert "step 2,000 " in head


def test_several_seeds_become_means_with_deviations(tmp_path):
    both = {
        seed: run(
            described({"a": write_scores(tmp_path, f"a{seed}", [loss])}), tmp_path / f"stage{seed}"
        ).metrics
        for seed, loss in ((1, 1.0), (2, 3.0))
    }
    view = TrainingView(gather(both))
    assert view.curve("a", "train/loss") == {50: 2.0}
    assert view.std("a", "train/loss", 50) == pytest.approx(2**0.5)


def test_figures_and_pages_show_the_record(record, tmp_path):
    assert kind_of_record(record) is KIND
    (figure,) = draw_figures(record, tmp_path / "curve.json", KIND)
    assert figure.read_bytes().startswith(b"\x89PNG")
    page = write_report(record, tmp_path / "page.html").read_text()
    assert "150 steps" in page


def test_a_score_that_was_not_logged_is_refused(tmp_path):
    trainings = {"a": write_scores(tmp_path, "a", [1.0])}
    with pytest.raises(UsageError) as raised:
        run(described(trainings, scores=["train/los"]), tmp_path / "stage")
    assert raised.value.code == "unknown-name"
    assert "train/los" in str(raised.value)
    assert "train/loss" in str(raised.value)


@pytest.mark.parametrize("content", ["{", '{"step": 1, "train/loss": 1}\n[1]\n', None])
def test_damaged_or_missing_scores_are_named(content, tmp_path):
    path = tmp_path / "scores.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ColorCNNError) as raised:
        run(described({"a": str(path)}), tmp_path / "stage")
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("options", [{"trainings": {}}, {"trainings": {"a": "x"}, "scores": []}, {}])
def test_a_stage_without_trainings_or_scores_is_refused(options):
    with pytest.raises(UsageError):
        KIND.check(options, "the stage")
