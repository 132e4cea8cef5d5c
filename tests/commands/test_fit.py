"""Messages of `colorcnn fit` before, during and after a training, and its end after an interruption."""

import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import pytorch_lightning as pl
import running
import torch
import yaml
from torch import nn

from colorcnn.cli import main
from colorcnn.commands.fit_arguments import find_config, prepare_arguments, resuming_command
from colorcnn.data.base import ImageDataModule
from colorcnn.errors import UsageError
from colorcnn.reproduce.locks import claimed
from colorcnn.tasks.classifier import ClassifierTask
from colorcnn.tasks.colorcnn import ColorCNNTask
from colorcnn.tasks.progress import duration, warnings_about

CONF = Path(__file__).resolve().parents[1] / "conf"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run `colorcnn` in an empty folder, in this process; returns its exit status."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLORCNN_CACHE", str(tmp_path / "cache"))
    return lambda *argv: main([str(word) for word in argv])


def wrong_classifier():
    """A classifier of 7 classes that does not say so."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 7))


class TestArguments:
    def test_experiments_are_found_by_name(self):
        found = find_config("cifar10-jpeg_resnet9")
        assert Path(found).is_file()
        assert prepare_arguments(["fit", "-c", "cifar10-jpeg_resnet9"]) == ["fit", "--config", found]
        assert find_config("mine.yaml") == "mine.yaml"

    def test_names_that_are_no_training_are_told(self):
        with pytest.raises(UsageError, match="colorcnn reproduce accuracy-bits"):
            find_config("accuracy-bits")
        with pytest.raises(UsageError, match="Unknown configuration 'nothing'"):
            find_config("nothing")

    @pytest.mark.parametrize(
        ("given", "rewritten"),
        [
            (["--force"], ["--force=true"]),
            (["--force", "false"], ["--force=false"]),
            (["--force", "--name", "x"], ["--force=true", "--name", "x"]),
            (["--device", "cpu"], ["--trainer.accelerator=cpu", "--trainer.devices=1"]),
            (["--device=auto"], ["--trainer.accelerator=auto"]),
            (["--device", "cuda:1"], ["--trainer.accelerator=cuda", "--trainer.devices=[1]"]),
        ],
    )
    def test_flags_and_devices_are_as_in_other_commands(self, given, rewritten):
        assert prepare_arguments(["fit", *given]) == ["fit", *rewritten]

    def test_unknown_devices_are_refused(self):
        with pytest.raises(UsageError, match="Unknown device 'abacus'"):
            prepare_arguments(["fit", "--device", "abacus"])

    def test_the_command_that_resumes_has_no_force(self):
        argv = ["fit", "--config", "my file.yaml", "--force", "true", "--ckpt_path=best"]
        assert resuming_command(argv) == "colorcnn fit --config 'my file.yaml' --ckpt_path last"


def test_a_training_prints_a_line_an_epoch_and_ends_with_its_result(run, tmp_path, capsys):
    argv = ("fit", "--config", CONF / "colorcnn.yaml", "--device", "cpu", "--allow-module", "tiny")
    assert run(*argv) == 0
    lines = [line.removeprefix("colorcnn: ") for line in capsys.readouterr().err.splitlines()]
    epochs = [line for line in lines if line.startswith("epoch ")]
    best = tmp_path / "runs" / "colorcnn" / "checkpoints" / "best.ckpt"
    assert len(epochs) >= 1
    for word in ("loss", "validation", "learning rate", "left"):
        assert word in epochs[-1]
    step = torch.load(best, weights_only=True)["global_step"]
    (result,) = [line for line in lines if line.startswith("best validation score")]
    assert f"at step {step}: " in result
    assert "best.ckpt" in result
    (command,) = [line for line in lines if line.startswith("use it with: ")]
    assert "colorcnn quantize IMAGE --colors 2 --method colorcnn:" in command


def test_testing_adds_no_event_files(run, tmp_path):
    assert run("fit", "--config", CONF / "classifier.yaml", "--trainer.max_epochs", "1") == 0
    folder = tmp_path / "runs" / "classifier"
    before = sorted(folder.glob("events.*"))
    assert before
    assert run("test", "--config", CONF / "classifier.yaml") == 0
    assert run("predict", "--config", CONF / "classifier.yaml") == 0
    assert sorted(folder.rglob("events.*")) == before
    assert (folder / "predictions" / "classes.csv").exists()


def test_a_classifier_of_other_classes_is_refused_before_training(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "odd", sys.modules[__name__])
    judges = ("--model.init_args.classifiers", "[odd:wrong_classifier]", "--allow-module", "odd")
    assert run("fit", "--config", CONF / "colorcnn.yaml", *judges) == 2
    assert "'odd:wrong_classifier' has 7 classes and the data set has 10" in capsys.readouterr().err
    assert not (tmp_path / "runs" / "colorcnn" / "checkpoints").exists()


def test_a_task_without_a_training_is_refused(run, tmp_path, capsys):
    content = yaml.safe_load((CONF / "classifier.yaml").read_text())
    content["model"] = {"class_path": "colorcnn.tasks.base.Task", "init_args": {}}
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(content))
    assert run("fit", "--config", tmp_path / "base.yaml") == 2
    assert "cannot be trained: name a task" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="a lock of POSIX")
def test_two_trainings_of_one_name_are_refused(run, tmp_path, capsys):
    with claimed(tmp_path / "runs" / "classifier" / ".lock"):
        assert run("fit", "--config", CONF / "classifier.yaml") == 2
    assert "is trained by another process" in capsys.readouterr().err
    assert run("fit", "--config", CONF / "classifier.yaml", "--trainer.max_epochs", "1") == 0


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="a signal of POSIX")
def test_sigterm_ends_a_training_with_143_and_the_command_that_resumes(tmp_path):
    argv = ["fit", "--config", str(CONF / "classifier.yaml"), "--trainer.max_epochs", "100000"]
    process = running.run(argv, cwd=tmp_path, env={"COLORCNN_CACHE": str(tmp_path / "cache")})
    last = tmp_path / "runs" / "classifier" / "checkpoints" / "last.ckpt"
    while not last.exists() and process.returncode is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    told = process.told()
    assert process.returncode == 143, told
    assert "last.ckpt is complete: resume with --ckpt_path last" in told
    assert f"`colorcnn {' '.join(argv)} --ckpt_path last`" in told
    assert "Traceback" not in told
    assert torch.load(last, weights_only=True)["epoch"] >= 0


class _Task(pl.LightningModule):
    pass


def test_a_task_of_another_kind_gives_no_warnings():
    trainer = pl.Trainer(logger=False, enable_checkpointing=False)
    assert list(warnings_about(trainer, _Task())) == []


def warned(task, classes, images, **scores):
    """The warnings about a result, as the FAQ quotes them: ``...`` stands for what differs."""
    data = Mock(spec=ImageDataModule, multi_label=False, num_classes=classes, val=range(images))
    return list(warnings_about(SimpleNamespace(callback_metrics=scores, datamodule=data), task))


def test_few_validation_images_are_told_with_an_accuracy_above_guessing():
    task = Mock(spec=ClassifierTask)
    (warning,) = warned(task, 3, 6, **{"val/accuracy": 0.5})
    for words in ("50.0% of the 6 validation images", "33.3%", "so few images"):
        assert words in warning
    (warning,) = warned(task, 3, 600, **{"val/accuracy": 0.3})
    assert "so few images" not in warning
    assert not warned(task, 3, 600, **{"val/accuracy": 0.5})


def test_the_page_of_questions_quotes_the_warnings():
    page = (Path(__file__).parents[2] / "docs" / "pages" / "faq.md").read_text()
    task = Mock(spec=ColorCNNTask, scored_sizes=(8,))
    warnings = warned(task, 2, 100, **{"val/colors_8": 1.0, "val/accuracy": 0.5})
    quoted = [row.split("|")[1].strip() for row in page.splitlines() if row.startswith("| the ")]
    assert len(quoted) == len(warnings) == 2
    for row, warning in zip(quoted, warnings, strict=True):
        assert all(part.strip() in warning for part in row.split("...")), row


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (89, "89 s"), (720, "12 min"), (12000, "3 h 20 min")]
)
def test_times_are_written_for_people(seconds, text):
    assert duration(seconds) == text
