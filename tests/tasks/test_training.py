"""The real command line on tiny experiment files: training, resuming, testing, and what goes wrong."""

import errno
import json
import os
import resource
import signal
from pathlib import Path

import pytest
import torch
from running import halt
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from colorcnn.cli import main
from colorcnn.data.imitation import ImitationTargets
from colorcnn.errors import ColorCNNError
from colorcnn.methods import load_quantizer
from colorcnn.tasks.checkpoints import WholeCheckpoints
from colorcnn.weights import load_lightning

TESTS = Path(__file__).resolve().parent.parent
CONF = TESTS / "conf"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run `colorcnn` in an empty folder, in this process; returns its exit status."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLORCNN_CACHE", str(tmp_path / "cache"))
    return lambda *argv: main([*map(str, argv), "--allow-module", "tiny"])


def scores(folder):
    return [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]


def validation(lines):
    return [{key: line[key] for key in line if key.startswith("val/")} for line in lines]


def test_a_classifier_is_trained_tested_and_asked(run, tmp_path):
    assert run("fit", "--config", CONF / "classifier.yaml") == 0
    folder = tmp_path / "runs" / "classifier"
    assert [line["epoch"] for line in scores(folder)] == [0, 1]
    model, config = load_lightning(folder / "checkpoints" / "last.ckpt")
    assert config.architecture == "resnet9"
    assert model(torch.rand(1, 3, 32, 32)).shape == (1, 10)
    saved = (folder / "config.yaml").read_text()
    assert run("test", "--config", CONF / "classifier.yaml") == 0
    assert (folder / "config.yaml").read_text() == saved, "testing keeps what replays the training"
    assert run("predict", "--config", folder / "config.yaml", "--ckpt_path", "last") == 0
    assert len((folder / "predictions" / "classes.csv").read_text().splitlines()) == 32


def test_colorcnn_plus_is_trained_watched_and_used(run, tmp_path):
    assert run("fit", "--config", CONF / "colorcnn-plus.yaml") == 0
    folder = tmp_path / "runs" / "colorcnn-plus"
    last = scores(folder)[-1]
    expected = {f"val/{what}_{size}" for what in ("accuracy", "colors") for size in (2, 5, 16)}
    assert expected | {"val/accuracy"} <= last.keys()
    events = EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()
    terms = {f"train/{name}" for name in ("loss", "color", "information", "confidence", "imitation")}
    watched = terms | {"train/recognition", "train/num_colors", "lr-SGD"}
    assert watched <= set(events.Tags()["scalars"])
    for name in ("train/loss", "lr-SGD"):
        assert [event.step for event in events.Scalars(name)][:4] == [0, 1, 2, 3], "the first steps are seen"
    pictures = events.Images("val/pictures")
    assert pictures[0].width >= 8 * 96, "32 pixels would be too small to look at"
    drawn = {event.value for event in events.Scalars("train/num_colors")}
    assert drawn <= {2, 5, 16}
    checkpoint = folder / "checkpoints" / "best.ckpt"
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert all(key.startswith("quantizer.") for key in state), "the judges stay outside"
    paletted = load_quantizer(f"colorcnn-plus:{checkpoint}")(torch.rand(2, 3, 9, 5), 7)
    assert (paletted.num_colors <= 7).all()
    assert run("predict", "--config", CONF / "colorcnn-plus.yaml") == 0
    assert len(list((folder / "predictions").glob("*-c5.png"))) == 32


def test_a_limited_run_computes_imitation_targets_for_what_it_sees(run, tmp_path, monkeypatch):
    monkeypatch.setattr(ImitationTargets, "__init__", lambda *_, **__: pytest.fail("all maps are computed"))
    assert run("fit", "--config", CONF / "colorcnn-plus.yaml", "--trainer.max_steps", "1") == 0
    assert not list((tmp_path / "cache").rglob("*targets*"))


def test_the_first_colorcnn_is_trained_for_one_number_of_colours(run, tmp_path):
    assert run("fit", "--config", CONF / "colorcnn.yaml") == 0
    checkpoint = tmp_path / "runs" / "colorcnn" / "checkpoints" / "last.ckpt"
    assert load_lightning(checkpoint)[0].num_colors == 2
    assert run("fit", "--config", CONF / "colorcnn.yaml", "--model.init_args.sizes", "[2, 4]") == 2


def test_palette_attention_is_trained_and_used(run, tmp_path):
    config = CONF / "palette-attention.yaml"
    assert run("fit", "--config", config, "--trainer.log_every_n_steps", "1") == 0
    folder = tmp_path / "runs" / "palette-attention"
    assert {"val/accuracy_2", "val/accuracy_5", "val/accuracy_16"} <= scores(folder)[-1].keys()
    events = EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()
    assert "val/pictures" in events.Tags()["images"]
    model, described = load_lightning(folder / "checkpoints" / "last.ckpt")
    assert described.kwargs["trained_sizes"] == [2, 5, 16]
    assert all(queries[-1].weight.abs().sum() > 0 for queries in model.queries), "training changed the start"
    checkpoint = folder / "checkpoints" / "best.ckpt"
    paletted = load_quantizer(f"palette-attention:{checkpoint}")(torch.rand(2, 3, 9, 5), 7)
    assert (paletted.num_colors <= 7).all()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The scores of a run that nobody stops."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("COLORCNN_CACHE", str(folder / "cache"))
        assert main(["fit", "--config", str(CONF / "colorcnn-plus.yaml"), "--allow-module", "tiny"]) == 0
    return scores(folder / "runs" / "colorcnn-plus")


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_resuming_an_interrupted_run_gives_the_uninterrupted_numbers(stop, run, uninterrupted, tmp_path):
    command = ("fit", "--config", CONF / "colorcnn-plus.yaml")
    process = halt(
        [*command, "--allow-module", "tiny"],
        tmp_path / "ready",
        "colorcnn.tasks.checkpoints.WholeCheckpoints.save_checkpoint",
        "last.ckpt",
        cwd=tmp_path,
        env={"COLORCNN_CACHE": str(tmp_path / "cache")},
    )
    process.send_signal(stop)
    told = process.told()
    if stop == signal.SIGINT:
        assert process.returncode == 130
        assert "last.ckpt is complete: resume with --ckpt_path last" in told
    broken = tmp_path / "runs" / "colorcnn-plus"
    with (broken / "scores.jsonl").open("a") as stream:
        stream.write('{"epo')  # a line that was cut short
    assert len((broken / "scores.jsonl").read_text().splitlines()) < 4
    assert run(*command, "--ckpt_path", "last") == 0
    assert [line["epoch"] for line in scores(broken)] == [0, 1, 2]
    assert validation(scores(broken)) == validation(uninterrupted)


def test_a_schedule_of_another_length_is_not_resumed(run, capsys):
    argv = ("fit", "--config", CONF / "classifier.yaml")
    assert run(*argv, "--trainer.max_epochs", "1") == 0
    assert run(*argv, "--ckpt_path", "last", "--trainer.max_epochs", "3") == 2
    assert "planned for 3 steps, but this run has 9" in capsys.readouterr().err


def test_a_run_is_not_overwritten(run, tmp_path, capsys):
    argv = ("fit", "--config", CONF / "classifier.yaml", "--trainer.max_epochs", "1")
    assert run(*argv) == 0
    assert run(*argv) == 1
    assert "--ckpt_path last" in capsys.readouterr().err
    assert run(*argv, "--force", "true") == 0
    assert run(*argv, "--force") == 0


@pytest.mark.parametrize("asked", ["last", "best", "nowhere.ckpt"])
def test_a_missing_checkpoint_is_named_instead_of_starting_from_scratch(asked, run, capsys):
    assert run("fit", "--config", CONF / "classifier.yaml", "--ckpt_path", asked) == 2
    error = capsys.readouterr().err
    assert "There is no checkpoint" in error
    assert asked in error


def test_a_checkpoint_of_another_model_is_refused(run, tmp_path, capsys):
    assert run("fit", "--config", CONF / "classifier.yaml", "--trainer.max_epochs", "1") == 0
    last = tmp_path / "runs" / "classifier" / "checkpoints" / "last.ckpt"
    assert run("test", "--config", CONF / "colorcnn.yaml", "--ckpt_path", last) == 2
    assert "another model" in capsys.readouterr().err
    wider = ("--model.init_args.network_kwargs.width", "8")
    assert run("test", "--config", CONF / "classifier.yaml", *wider, "--ckpt_path", last) == 2
    assert "network_kwargs" in capsys.readouterr().err
    last.write_bytes(b"no checkpoint")
    assert run("test", "--config", CONF / "classifier.yaml", "--ckpt_path", last) == 1
    assert "not a readable checkpoint" in capsys.readouterr().err


def test_a_loss_that_is_no_number_stops_with_the_step_and_the_checkpoint(run, capsys):
    argv = ("fit", "--config", CONF / "classifier.yaml", "--model.init_args.learning_rate", "1e30")
    assert run(*argv) == 1
    error = capsys.readouterr().err
    assert "The loss became nan at step" in error
    assert "checkpoint" in error


def test_a_judge_of_other_classes_is_refused(run, tmp_path, capsys):
    assert run("fit", "--config", CONF / "classifier.yaml", "--trainer.max_epochs", "1") == 0
    last = tmp_path / "runs" / "classifier" / "checkpoints" / "last.ckpt"
    content = torch.load(last, weights_only=True)
    content["hyper_parameters"]["num_classes"] = 7
    for key in ("classifier.head.2.weight", "classifier.head.2.bias"):
        content["state_dict"][key] = content["state_dict"][key][:7]
    torch.save(content, tmp_path / "seven.ckpt")
    judges = ("--model.init_args.classifiers", f"[{tmp_path / 'seven.ckpt'}]")
    assert run("fit", "--config", CONF / "colorcnn.yaml", *judges) == 2
    assert "7 classes" in capsys.readouterr().err


def test_a_full_disk_is_told_and_the_earlier_checkpoint_is_whole(run, tmp_path, capsys):
    config = CONF / "classifier.yaml"
    constant = ("--model.init_args.schedule", "constant")
    assert run("fit", "--config", config, "--trainer.max_epochs", "1", *constant) == 0
    last = tmp_path / "runs" / "classifier" / "checkpoints" / "last.ckpt"
    size = last.stat().st_size

    full = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, full[1]))  # Python ignores the signal
    try:
        status = run("fit", "--config", config, "--ckpt_path", "last", *constant)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, full)
    error = capsys.readouterr().err
    assert status == 1, error
    assert "free some space" in error
    assert "Traceback" not in error
    assert last.stat().st_size == size
    load_lightning(last)


def test_a_checkpoint_is_never_seen_half_written(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    WholeCheckpoints().save_checkpoint({"epoch": 1}, path)

    def fail(*_):
        assert torch.load(path, weights_only=True) == {"epoch": 1}
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(ColorCNNError, match="No space left"):
        WholeCheckpoints().save_checkpoint({"epoch": 2}, path)
    assert torch.load(path, weights_only=True) == {"epoch": 1}
    assert os.listdir(tmp_path) == ["last.ckpt"]


def test_help_of_a_subcommand_and_unknown_classes(run, capsys):
    assert run("fit", "--help") == 0
    capsys.readouterr()
    assert run("fit", "--model", "Nothing", "--data", "PhotoDigits") == 2
    assert "Nothing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("right", "wrong", "option"),
    [
        ("max_epochs:", "max_epoch:", "'trainer.max_epoch' (did you mean max_epochs?)"),
        ("trainer:", "trainr:", "(did you mean trainer?)"),
        ("learning_rate:", "learning_rat:", "'learning_rat' (did you mean learning_rate?)"),
        ("batch_size:", "btch_size:", "'btch_size' (did you mean batch_size?)"),
    ],
)
def test_a_mistyped_option_in_a_file_is_told_with_the_file_and_the_right_name(
    run, tmp_path, capsys, right, wrong, option
):
    text = (CONF / "classifier.yaml").read_text()
    assert right in text
    (tmp_path / "typo.yaml").write_text(text.replace(right, wrong))
    assert run("fit", "--config", "typo.yaml") == 2
    message = capsys.readouterr().err
    assert "typo.yaml" in message
    assert option in message


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        (
            "--model.init_args.learning_rat",
            "0.1",
            "'learning_rat' (did you mean learning_rate?)",
        ),
        ("--trainer.max_epocs", "1", "'trainer.max_epocs' (did you mean max_epochs?)"),
        ("--model.init_args.optimizer", "adam", "Expected a typing.Literal['sgd', 'adamw']. Got value: adam"),
        ("--model.init_args.augment", "{flips: true}", "Unknown augmentation 'flips'"),
        ("--model.init_args.augment", "{fill: 0}", "multiple values for keyword argument 'fill'"),
        ("--model.init_args.learning_rate", "-1", "learning_rate is -1 and weight_decay is 0.0005: choose"),
        ("--data.init_args.train_size", "-5", "train, validation and test are -5, 32, 32: choose"),
        ("--trainer.accelerator", "abacus", "invalid accelerator name"),
        ("--trainer.max_epochs", "two", "Given value: two"),
        ("--config", "nowhere.yaml", "nowhere.yaml"),
    ],
)
def test_mistyped_options_are_told_in_one_sentence(run, capsys, option, value, problem):
    assert run("fit", "--config", CONF / "classifier.yaml", option, value) == 2
    lines = capsys.readouterr().err.splitlines()
    assert problem in lines[-1]
    assert lines[-1].startswith("colorcnn: error: ")
    assert not any(line.startswith("usage:") for line in lines)
