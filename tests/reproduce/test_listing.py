"""Output of `colorcnn reproduce --list`: numbers with their columns, and reasons for what was not run."""

from __future__ import annotations

import pytest
import yaml

from colorcnn.records import Clock
from colorcnn.reproduce.listing import listing

METRICS = {
    "sizes": [2, 4],
    "original": {"accuracy": 0.9},
    "methods": {"colorcnn-plus": {"scores": {"2": {"accuracy": 0.5}, "4": {"accuracy": 0.75}}}},
    "published": {"accuracy": {"colorcnn-plus": {"2": 0.6}}},
}


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """Write an experiment that measures on a data set, below an empty data root."""
    monkeypatch.setenv("COLORCNN_DATA", str(tmp_path / "sets"))

    def write(class_path, **options):
        stage = {
            "name": "score",
            "kind": "evaluate",
            "data": {"class_path": class_path, "init_args": options},
            "classifier": "tiny:classifier",
            "methods": {"wu": "wu"},
        }
        scales = {"cpu": {"time": "an hour", "stages": [stage]}}
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump({"kind": "experiment", "title": "Mine", "scales": scales}))
        return str(path)

    return write


def test_every_experiment_is_listed_with_its_time_at_every_scale(tmp_path):
    shown = listing(tmp_path)
    assert "plus-variants: Variants of ColorCNN+" in shown
    assert shown.count("\n  cpu, ") == shown.count("\n  paper, ")


def test_measured_and_published_numbers_stand_below_their_numbers_of_colours(
    experiment, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        "colorcnn.reproduce.listing.experiment_files", lambda: {"mine": tmp_path / "mine.yaml"}
    )
    experiment("PhotoDigits")
    Clock().record("x", n=3, metrics=METRICS, seeds={"seed 1": 1}).write(tmp_path / "mine_cpu.json")
    lines = [line.strip() for line in listing(tmp_path).splitlines()]
    assert lines[3:] == ["colours    2, 4", "measured   ColorCNN+: 50.0, 75.0", "published  60.0, –"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"class_path": "PhotoDigits"}, "not run"),
        ({"class_path": "CIFAR10"}, "(CIFAR10 is not in {root}; it can be downloaded)"),
        ({"class_path": "ImageFolder", "path": "mine"}, "(mine is not in {root}; it cannot be downloaded)"),
        (
            {"class_path": "TinyImageNet200", "folder": "tiny-imagenet-200"},
            "(tiny-imagenet-200 is not in {root}; it can be downloaded)",
        ),
    ],
)
def test_data_that_are_missing_are_named(data, reason, experiment, tmp_path):
    shown = listing(tmp_path, experiment(**data))
    assert shown.splitlines()[-1].endswith(reason.format(root=tmp_path / "sets"))


def test_data_that_are_there_are_not_named(experiment, tmp_path):
    (tmp_path / "sets" / "cifar-10-batches-py").mkdir(parents=True)
    assert listing(tmp_path, experiment("CIFAR10")).splitlines()[-1] == "    not run"
