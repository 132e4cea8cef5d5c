"""A stranger's configuration runs nothing: the real command line on files that name code."""

import os
import sys

import pytest
import torch
import yaml

from colorcnn import trust
from colorcnn.cli import main
from colorcnn.errors import UsageError

RUN = {"class_path": "subprocess.Popen", "init_args": {"args": "touch touched", "shell": True}}
OWN_MODULE = """
import pathlib
pathlib.Path("touched").touch()
from pytorch_lightning.callbacks import Callback
class Mine(Callback):
    def on_fit_start(self, trainer, pl_module):
        pathlib.Path("called").touch()
def classifier():
    pass
"""


def configuration(**changes):
    """A small training; a change is named by its place, such as ``model__init_args__network``."""
    config = {
        "kind": "fit",
        "model": {
            "class_path": "ClassifierTask",
            "init_args": {"network": "resnet9", "network_kwargs": {"width": 4}},
        },
        "data": {
            "class_path": "PhotoDigits",
            "init_args": {"train_size": 32, "validation_size": 32, "test_size": 32, "batch_size": 32},
        },
        "trainer": {"max_epochs": 1, "accelerator": "cpu"},
    }
    for place, value in changes.items():
        *sections, key = place.split("__")
        section = config
        for name in sections:
            section = section[name]
        section[key] = value
    return config


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    """An empty folder with a stranger's module, which leaves a file when it is imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "stranger.py").write_text(OWN_MODULE)
    yield tmp_path
    sys.modules.pop("stranger", None)


def fit(*argv, **changes):
    with open("fit.yaml", "w") as file:
        yaml.safe_dump(configuration(**changes), file)
    return main(["fit", "--config", "fit.yaml", *argv])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"model__init_args__network_kwargs": {"width": RUN}}, "network_kwargs.width has a class_path"),
        ({"model__init_args__network_kwargs": RUN}, "names subprocess.Popen"),
        (
            {"model__init_args__network_kwargs": {"width": [{"a": RUN}]}},
            "network_kwargs.width[0].a has a class_path",
        ),
        ({"model__init_args__network_kwargs": {"width": str(RUN)}}, "network_kwargs.width has a class_path"),
        ({"model__init_args__augment": {"flip": {"class_path": "torch.nn.ReLU"}}}, "flip has a class_path"),
        ({"model__class_path": "stranger.Mine"}, "names stranger.Mine"),
        ({"model": RUN}, "names subprocess.Popen"),
        ({"data__class_path": "stranger.Mine"}, "names stranger.Mine"),
        ({"trainer__callbacks": [{"class_path": "stranger.Mine"}]}, "names stranger.Mine"),
        ({"trainer__callbacks": RUN}, "names subprocess.Popen"),
        ({"trainer__logger": RUN}, "names subprocess.Popen"),
        ({"trainer__strategy": {"class_path": "torch.os.system"}}, "names torch.os.system"),
        ({"trainer__profiler": {"class_path": "torch.hub.load"}}, "names torch.hub.load"),
        (
            {"trainer__plugins": [{"class_path": "colorcnn.commands.demo.main"}]},
            "names colorcnn.commands.demo.main",
        ),
        (
            {
                "trainer__callbacks": [
                    {
                        "class_path": "pytorch_lightning.callbacks.LambdaCallback",
                        "init_args": {"on_fit_start": "colorcnn.pretrained.load_any"},
                    }
                ]
            },
            "names the function load_any",
        ),
        (
            {
                "model": {
                    "class_path": "ColorCNNTask",
                    "init_args": {"classifiers": ["stranger:classifier"]},
                },
            },
            "names stranger",
        ),
    ],
)
def test_code_in_a_file_is_refused_before_it_is_imported(workplace, capsys, changes, problem):
    assert fit(**changes) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("colorcnn: error: ")
    assert problem in error
    assert not (workplace / "touched").exists()


@pytest.mark.parametrize(
    "option",
    [
        "--model.class_path=stranger.Mine",
        "--model=stranger.Mine",
        "--model.help=stranger.Mine",
        "--data=stranger.Mine",
        "--trainer.callbacks+=stranger.Mine",
        "--trainer.logger=stranger.Mine",
        '--trainer.callbacks=[{"class_path": "stranger.Mine"}]',
        '--model.init_args.network_kwargs={"width": {"class_path": "stranger.Mine"}}',
    ],
)
def test_code_on_the_command_line_is_refused_before_it_is_imported(workplace, capsys, option):
    assert fit(option) == 2
    assert "stranger" in (error := capsys.readouterr().err.splitlines()[-1]) or "class_path" in error
    assert not (workplace / "touched").exists()


def test_a_module_that_the_user_allows_is_run_for_that_command_alone(workplace, capsys):
    callbacks = {"trainer__callbacks": [{"class_path": "stranger.Mine"}]}
    assert fit("--allow-module", "stranger", **callbacks) == 0
    assert (workplace / "called").exists()
    assert fit("--force", "true", **callbacks) == 2
    assert "add --allow-module stranger" in capsys.readouterr().err


def test_a_file_cannot_allow_itself(capsys):
    assert fit(allow_module=["stranger"], trainer__callbacks=[{"class_path": "stranger.Mine"}]) == 2
    assert not os.path.exists("touched")


@pytest.mark.parametrize("name", ["", "no module", "jsonargparse", "../stranger"])
def test_what_is_no_module_is_not_allowed(capsys, name):
    assert fit("--allow-module", name) == 2
    assert "--allow-module" in capsys.readouterr().err


@pytest.mark.parametrize(
    "stage",
    [
        {"model": {"class_path": "stranger.Mine"}},
        {"model": {"init_args": {}, "class_path": "ColorCNNTask"}, "trainer": {"callbacks": RUN}},
        {"model": configuration(model__init_args__network_kwargs={"width": RUN})["model"]},
    ],
)
def test_an_experiment_of_a_stranger_runs_nothing(workplace, capsys, stage):
    base = configuration()
    fit_stage = {"name": "judge", "kind": "fit", "config": {**base, **stage}}
    evaluation = {"name": "score", "kind": "evaluate", "data": "photo-digits", "classifier": "${judge}"}
    evaluation["methods"] = {"median-cut": "median-cut"}
    scales = {"cpu": {"time": "seconds", "stages": [fit_stage, evaluation]}}
    content = {"kind": "experiment", "title": "t", "scales": scales}
    (workplace / "mine.yaml").write_text(yaml.safe_dump(content))
    assert main(["reproduce", "mine.yaml", "-o", "runs"]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not (workplace / "touched").exists()


def test_a_checkpoint_that_lightning_finds_by_itself_is_not_unpickled(workplace):
    class Touch:
        def __reduce__(self):
            return os.mkdir, (str(workplace / "touched"),)

    torch.save({"state_dict": Touch()}, workplace / "hpc_ckpt_1.ckpt")
    main(["fit", "--config", "fit.yaml"]) if fit(trainer__default_root_dir=str(workplace)) else None
    assert not (workplace / "touched").exists()


def test_names_of_classes_in_a_checkpoint_are_not_imported(workplace, capsys):
    assert fit() == 0
    last = workplace / "runs" / "fit" / "checkpoints" / "last.ckpt"
    content = torch.load(last, weights_only=True)
    content["hyper_parameters"] |= {"_class_path": "stranger.Mine", "network_kwargs": {"width": {**RUN}}}
    torch.save(content, workplace / "bad.ckpt")
    assert fit("--ckpt_path", "bad.ckpt") == 2
    assert main(["evaluate", "--data", "photo-digits", "--classifier", "bad.ckpt", "--methods", "wu"]) != 0
    assert "Traceback" not in capsys.readouterr().err
    assert not (workplace / "touched").exists()


class TestLimits:
    @pytest.mark.parametrize("path", ["colorcnn.tasks.ColorCNNTask", "torch.nn.ReLU", "ColorCNNTask"])
    def test_classes_of_known_packages_are_allowed(self, path):
        with trust.limited():
            trust.check_class_path(path)

    @pytest.mark.parametrize(
        "path", ["torch.hub.load", "colorcnnx.Task", "os.system", 3, None, "a b.C", ".C"]
    )
    def test_others_are_refused(self, path):
        with trust.limited(), pytest.raises(UsageError, match=r"class_path|--allow-module"):
            trust.check_class_path(path)

    def test_python_has_no_limits_and_limits_end_with_their_context(self):
        trust.check_class_path("os.system")
        with trust.limited(["os"]):
            with trust.limited(["mine"]) as allowed:
                assert allowed == {"os", "mine"}
                trust.check_class_path("os.path.Thing")
            with pytest.raises(UsageError, match="mine"):
                trust.check_module("mine.part")
        trust.check_module("mine.part")

    def test_the_option_is_taken_out_of_a_command_line(self):
        argv = ["fit", "--allow-module", "a", "--name", "n", "--allow_module=b.c"]
        assert trust.take_allowed(argv) == (["fit", "--name", "n"], ["a", "b.c"])
        with pytest.raises(UsageError, match="no value"):
            trust.take_allowed(["--allow-module"])
