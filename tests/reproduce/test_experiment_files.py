"""Every experiment of the repository at every scale: it is read, its stages fit, its classes exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonargparse
import pytest
import torch
import yaml

import colorcnn.data.datamodule
import colorcnn.data.quantized
import colorcnn.data.recoded
import colorcnn.tasks
import colorcnn.tasks.dynamics  # noqa: F401 (so that configurations may name their classes)
from colorcnn.commands.flat_options import in_groups
from colorcnn.data.base import ImageDataModule
from colorcnn.data.compression import DrawnData
from colorcnn.evaluation.codecs import find_codecs
from colorcnn.methods import parse_method
from colorcnn.pretrained import available
from colorcnn.quantizers import QUANTIZERS
from colorcnn.records import read_record
from colorcnn.reporting.published import published_table
from colorcnn.reproduce.library import (
    experiment_files,
    experiments_folder,
    find_experiment,
    results_folder,
)
from colorcnn.reproduce.plan import Plan
from colorcnn.reproduce.stages import KINDS
from colorcnn.reproduce.state import State
from colorcnn.tasks.base import ImageTask, Task
from colorcnn.tasks.classifier import ClassifierTask
from colorcnn.tasks.colorcnn import ColorCNNTask
from colorcnn.tasks.trainer import Trainer
from colorcnn.tasks.vq import VQTask
from colorcnn.vq.sources import create_source

TASKS = {"ClassifierTask": ClassifierTask, "ColorCNNTask": ColorCNNTask}
BASES = {True: (Task, DrawnData), False: (ImageTask, ImageDataModule)}
FROM_DATA = {"num_classes", "mean", "std", "multi_label", "source_dimension"}
NUMBER = re.compile(r"\b\d+\b")
"""Options that differ in whole numbers, or in digits behind a point, have the same types: one is parsed."""

CASES = [(name, scale) for name in experiment_files() for scale in ("cpu", "paper")]


@pytest.fixture(scope="module")
def parsers():
    """The parts of the command line's parser that need no data, for compressors and for other tasks."""

    def parser(task, data):
        parser = jsonargparse.ArgumentParser(exit_on_error=False)
        parser.add_argument("--kind", type=str)
        parser.add_subclass_arguments(task, "model", skip=FROM_DATA)
        parser.add_subclass_arguments(data, "data")
        parser.add_class_arguments(Trainer, "trainer")
        return parser

    return {compresses: parser(*bases) for compresses, bases in BASES.items()}


def jobs(name, scale, tmp_path, seeds=1, variant=None):
    plan = Plan(find_experiment(name), scale, seeds, tmp_path, variant)
    return [job for planned in plan.variants for job in planned.jobs]


def test_names_are_told_apart():
    files = [path.stem for path in experiments_folder().glob("*/*.yaml")]
    assert len(files) == len(set(files))
    assert {"accuracy-bits", "plus-variants", "colorcnn-ablation", "recipes"} <= experiment_files().keys()
    assert {"vq-toy", "vq-kodak"} <= experiment_files().keys()


@pytest.mark.parametrize("name", experiment_files())
def test_no_list_of_mappings_is_merged(name):
    """In which order it would be depends on PyYAML's version, and methods' order decides their key."""
    assert not re.search(r"<<:\s*(\[|\n\s*-)", experiment_files()[name].read_text())


def test_trainings_of_images_take_the_precision_of_the_device():
    """Compressors are trained in float32, which their task demands."""
    configurations = [yaml.safe_load(path.read_text()) for path in experiments_folder().glob("*/*.yaml")]
    trainings = [each for each in configurations if each["kind"] == "fit"]
    assert len(trainings) > 10
    for each in trainings:
        if each["model"]["class_path"] != "VQTask":
            assert each["trainer"]["precision"] == "auto", each["model"]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "scale"), CASES)
def test_every_stage_of_every_scale_fits(name, scale, parsers, tmp_path):
    planned = jobs(name, scale, tmp_path)
    assert len({job.key for job in planned}) == len({job.folder for job in planned})
    parsed, built = set(), set()
    for job in planned:
        description = job.resolved()
        if job.stage.kind == "fit":
            model, data = without_paths(description["model"]), without_root(description["data"])
            text = json.dumps({**description, "model": model, "data": data}, sort_keys=True)
            compresses = description["model"]["class_path"] == "VQTask"
            if (form := NUMBER.sub("0", text)) not in parsed:
                parsed.add(form)
                of_fit = {key: value for key, value in description.items() if key != "save"}
                parsers[compresses].parse_object(in_groups(of_fit))
            if text not in built:
                built.add(text)
                if compresses:
                    build_compressor(description)
                else:
                    build(without_paths(description["model"]))
        elif job.stage.kind in CHECKS:
            CHECKS[job.stage.kind](description, tmp_path)
        elif job.stage.kind.startswith("vq-"):
            check_rows(job, description, planned)
    assert {job.stage.kind for job in planned} <= KINDS.keys()


def without_paths(model):
    """A model's configuration with judges that are always there, and without what needs weights."""
    needs = ("start_from", "frozen_backbone")
    options = {key: value for key, value in model["init_args"].items() if key not in needs}
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


def build_compressor(description):
    data = description["data"]["init_args"]
    dimension = create_source(data["source"], data.get("dimension")).dimension if "source" in data else None
    with torch.device("meta"):
        VQTask(source_dimension=dimension, **description["model"]["init_args"])


def check_rows(job, description, planned):
    """Every row has the trainings of its own name and lambda."""
    fits = {str(KINDS["fit"].output(each.folder, "")): each.stage for each in planned}
    rows = description.get("rows", {})
    used = []
    for name, row in rows.items():
        if set(row.values()) <= set(available()):
            continue  # pretrained
        assert row.keys() == next(iter(rows.values())).keys(), "curves over the same lambdas"
        for trade_off, path in row.items():
            stage = fits[path]
            assert stage.name == f"{name}-{trade_off}"
            assert stage.options["model"][0]["trade_off"] == trade_off
            used.append(path)
    assert len(set(used)) == len(used)
    if job.stage.kind == "vq-measure":
        assert set(job.outputs["references"].description["trade_offs"]) == set(next(iter(rows.values())))


def check_evaluation(description, tmp_path):
    judges = description["classifier"]
    for judge in judges.values() if isinstance(judges, dict) else [judges]:
        assert judge.startswith(str(tmp_path)) or judge in available()
    for method in description["methods"].values():
        for one in [method] if isinstance(method, str) else method:
            if find_codecs(one):
                continue
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


def check_curves(description, tmp_path):
    assert all(path.startswith(str(tmp_path)) for path in description["trainings"].values())
    assert all(path.endswith("scores.jsonl") for path in description["trainings"].values())


CHECKS = {
    "evaluate": check_evaluation,
    "soft-hard": check_evaluation,
    "dcq-build": check_build,
    "dcq-judge": check_judge,
    "training-curve": check_curves,
}


@pytest.mark.slow
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


def test_every_quantizer_has_its_bits_counted_and_is_attacked(tmp_path):
    for name in ("bitrate", "defence"):
        (light,) = jobs(name, "cpu", tmp_path)
        assert {*QUANTIZERS, "colorcnn", "colorcnn-plus"} <= set(light.description["methods"])
    assert {"pgd", "pgd:adaptive", "fgsm", "fgsm:adaptive"} <= set(light.description["attacks"])


def test_every_network_judges_what_was_made_for_each_and_for_all(tmp_path):
    for size, networks in (("cpu", ["resnet9", "alexnet"]), ("paper", ["resnet18", "vgg16", "alexnet"])):
        planned = jobs("transfer", size, tmp_path)
        made = [job for job in planned if job.stage.name.startswith("for-")]
        judges = [len(job.description["model"]["init_args"]["classifiers"]) for job in made]
        assert sorted(judges) == [1] * len(networks) + [len(networks)]
        assert list(planned[-1].description["classifier"]) == networks


def test_finalists_take_over_what_was_trained_for_all(tmp_path):
    planned = jobs("gap", "cpu", tmp_path)
    twice = [job for job in planned if job.stage.name in ("paper", "default")]
    assert len(twice) == 4
    assert len({job.key for job in twice}) == len({job.folder for job in twice}) == 2


def test_work_that_another_variant_has_begun_meanwhile_is_found(tmp_path):
    first, second = (job for job in jobs("gap", "cpu", tmp_path) if job.stage.name == "paper")
    begun = tmp_path / f"another-{first.key}"
    begun.mkdir()
    assert first.folder == second.folder == begun
    done = tmp_path / f"zz-{first.key}"
    done.mkdir()
    State(first.key, done=True).write(done)
    assert first.folder == done, "what is done goes first"


def test_every_record_is_of_its_experiment_as_that_is_now(tmp_path):
    """Else the command of the record would refuse to go on with it."""
    for path in results_folder(tmp_path).glob("*.json"):
        config = read_record(path).config
        if "keys" in config:
            asked = (
                config["experiment"],
                config["size"],
                tmp_path,
                len(config["keys"]),
                config["panel"] or None,
            )
            assert set(config["keys"]) <= {job.key for job in jobs(*asked)}, path.name
