"""Every experiment of the repository at every size: it is read, its stages fit, its classes exist."""

from __future__ import annotations

import json
from pathlib import Path

import jsonargparse
import pytest
import pytorch_lightning as pl
import torch

import colorcnn.data.datamodule
import colorcnn.data.quantized
import colorcnn.data.recoded
import colorcnn.tasks
import colorcnn.tasks.dynamics  # noqa: F401 (so that configurations may name their classes)
from colorcnn.data.base import ImageDataModule
from colorcnn.evaluation.published import published_table
from colorcnn.reproduce.kinds import KINDS
from colorcnn.reproduce.library import experiment_files, experiments_folder, find_experiment
from colorcnn.reproduce.runner import Run
from colorcnn.tasks.base import ImageTask
from colorcnn.tasks.classifier import ClassifierTask
from colorcnn.tasks.colorcnn import ColorCNNTask
from colorcnn.zoo import available, parse_method

TASKS = {"ClassifierTask": ClassifierTask, "ColorCNNTask": ColorCNNTask}
FROM_DATA = {"num_classes", "mean", "std", "multi_label"}
CASES = [(name, size) for name in experiment_files() for size in ("cpu", "paper")]


@pytest.fixture(scope="module")
def parser():
    """The parts of the command line's parser that need no data."""
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--kind", type=str)
    parser.add_subclass_arguments(ImageTask, "model", skip=FROM_DATA)
    parser.add_subclass_arguments(ImageDataModule, "data")
    parser.add_class_arguments(pl.Trainer, "trainer")
    return parser


def jobs(name, size, tmp_path):
    run = Run(
        find_experiment(name), size, seeds=1, runs=tmp_path, results=tmp_path, fit=lambda *_: 0, say=print
    )
    return [job for panel in run.panels for job in run.plan(panel)]


def test_names_are_told_apart():
    files = [path.stem for path in experiments_folder().glob("*/*.yaml")]
    assert len(files) == len(set(files))
    assert {"accuracy-bits", "plus-variants", "colorcnn-ablation", "recipes"} <= experiment_files().keys()


@pytest.mark.parametrize(("name", "size"), CASES)
def test_every_stage_of_every_size_fits(name, size, parser, tmp_path):
    planned = jobs(name, size, tmp_path)
    assert len({job.key for job in planned}) == len({job.folder for job in planned})
    checked = set()
    for job in planned:
        description = job.resolved()
        if job.stage.kind == "fit":
            model, data = without_paths(description["model"]), without_root(description["data"])
            text = json.dumps({**description, "model": model, "data": data}, sort_keys=True)
            if text not in checked:
                checked.add(text)
                parser.parse_object(description)
                build(without_paths(description["model"]))
        elif job.stage.kind == "evaluate":
            check_evaluation(description, tmp_path)
        elif job.stage.kind == "dcq-build":
            check_build(description, tmp_path)
        elif job.stage.kind == "dcq-judge":
            check_judge(description, tmp_path)
    assert {job.stage.kind for job in planned} <= KINDS.keys()


def without_paths(model):
    """A model's configuration with judges that are always there."""
    options = {key: value for key, value in model["init_args"].items() if key != "start_from"}
    if "classifiers" in options:
        assert all(name.endswith(".ckpt") or name in available() for name in options["classifiers"])
        options["classifiers"] = ["tiny:classifier"]
    return {**model, "init_args": options}


def without_root(data):
    """A data set's configuration that is the same for all stored training sets of a kind."""
    options = {key: value for key, value in data["init_args"].items() if key != "root"}
    return {**data, "init_args": options}


def build(model):
    """Build the task's networks, without memory for their weights."""
    with torch.device("meta"):
        TASKS[model["class_path"]](
            num_classes=10, mean=[0.5, 0.5, 0.5], std=[0.2, 0.2, 0.2], **model["init_args"]
        )


def check_evaluation(description, tmp_path):
    for method in description["methods"].values():
        for one in [method] if isinstance(method, str) else method:
            checkpoint = parse_method(one).checkpoint
            assert checkpoint is None or checkpoint.startswith(str(tmp_path)) or checkpoint in available()


def check_build(description, tmp_path):
    method, classifier = description["settings"]["method"], description["classifier"]
    assert method is None or check_learned(parse_method(method).checkpoint, tmp_path)
    assert classifier is None or check_learned(classifier, tmp_path)


def check_learned(checkpoint, tmp_path):
    return checkpoint is None or checkpoint.startswith(str(tmp_path)) or checkpoint in available()


def check_judge(description, tmp_path):
    """Every classifier was trained on the store beside it, and published rows have their names."""
    for row in description["rows"].values():
        for store, classifier in zip(row["stores"], row["classifiers"], strict=True):
            assert (store is None) == (classifier is None)
            if store is not None:
                trained = Path(classifier).parent.parent.name.rpartition("-")[0].rpartition("_")[2]
                stored = Path(store).parent.name.rpartition("-")[0].rpartition("_")[2]
                assert trained == f"on-{stored}"
    if description["published"] is not None:
        printed = published_table(description["published"]).accuracy
        assert set(description["rows"]) & printed.keys()


def test_every_published_row_of_dataset_quantization_is_an_experiments(tmp_path):
    rows = set()
    for name in ("dcq-accuracy-bits", "dcq-ablation"):
        for job in jobs(name, "paper", tmp_path):
            if job.stage.kind == "dcq-judge":
                rows |= set(job.description["rows"])
    assert published_table("dcq-cifar10-resnet18").accuracy.keys() <= rows


def test_equal_trainings_are_shared_by_experiments(tmp_path):
    def keys(name, stage):
        return {job.key for job in jobs(name, "paper", tmp_path) if job.stage.name == stage}

    assert keys("plus-variants", "judge") <= keys("accuracy-bits", "classifier")
    assert keys("plus-variants", "lambda-3") <= keys("accuracy-bits", "plus")
    assert keys("plus-variants", "lambda-3").isdisjoint(keys("plus-variants", "lambda-1"))


def test_what_no_measurement_needs_is_left_out(tmp_path):
    assert "judge" not in {job.stage.name for job in jobs("plus-variants", "cpu", tmp_path)}
    assert {job.stage.name for job in jobs("recipes", "paper", tmp_path)} >= {"alexnet", "vgg16", "resnet18"}
