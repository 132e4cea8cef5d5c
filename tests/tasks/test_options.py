"""Options of ColorCNNTask in groups, and their flat names in older configurations and checkpoints."""

from __future__ import annotations

import pytest
import torch
import yaml

from colorcnn.cli import main
from colorcnn.commands.config_classes import refuse_hidden_classes
from colorcnn.commands.flat_options import flags_in_groups, in_groups
from colorcnn.errors import UsageError
from colorcnn.reproduce.library import experiments_folder
from colorcnn.tasks.colorcnn import ColorCNNTask
from colorcnn.tasks.options import DEFAULTS, FLAT, GROUPS, Imitation, Optimization, flattened, grouped

NETWORK = {"quantizer_kwargs": {"backbone_kwargs": {"width": 4, "depth": 1}}, "sizes": [2, 4]}
REQUIRED = {"classifiers": ["tiny:classifier"], "num_classes": 10, "mean": [0.5] * 3, "std": [0.25] * 3}


def task(**options):
    return ColorCNNTask(**REQUIRED, **NETWORK, **options)


def test_every_option_has_a_group_and_goes_back_and_forth():
    assert {group for group, _ in FLAT.values()} == set(GROUPS)
    groups = grouped({**DEFAULTS, "sizes": [2]})
    assert groups.pop("sizes") == [2]
    assert flattened([GROUPS[name](**groups[name]) for name in GROUPS], {}) == DEFAULTS


def test_flat_and_grouped_options_make_the_same_checkpoint():
    flat = task(imitation_weight=0.5, stand_in="palette", learning_rate=0.25)
    groups = task(
        imitation=Imitation(weight=0.5),
        optimization=Optimization(forward_substitute="palette", learning_rate=0.25),
    )
    assert dict(flat.hparams) == dict(groups.hparams)
    assert flat.hparams["imitation_weight"] == 0.5
    with pytest.raises(UsageError, match="imitation_wieght"):
        task(imitation_wieght=1.0)


@pytest.mark.parametrize(
    ("option", "value", "choice"),
    [
        ("schedule", "one-cycle", "onecycle"),
        ("optimizer", "adam", "adamw"),
        ("stand_in", "re-inmax", "reinmax"),
        ("jitter_noise", "pixel", "per-pixel"),
        ("imitation_schedule", "sigmoidal", "sigmoid"),
    ],
)
def test_an_unknown_choice_is_refused_in_python_too(option, value, choice):
    with pytest.raises(UsageError, match=f"Unknown {option} '{value}'.*{choice}"):
        task(**{option: value})


def test_a_checkpoint_of_flat_options_loads(tmp_path):
    old = task(imitation_weight=0.5, crop_before=0)
    content = {"state_dict": old.state_dict(), "hyper_parameters": dict(old.hparams), "epoch": 0}
    torch.save({**content, "pytorch-lightning_version": "2.6.0"}, tmp_path / "old.ckpt")
    new = ColorCNNTask.load_from_checkpoint(tmp_path / "old.ckpt", map_location="cpu")
    assert dict(new.hparams) == dict(old.hparams)


@pytest.mark.parametrize("file", sorted(experiments_folder().glob("colorcnn/*resnet*_colorcnn-*.yaml")))
def test_configurations_of_flat_options_are_read(file):
    content = yaml.safe_load(file.read_text())
    options = in_groups(content)["model"]["init_args"]
    assert not FLAT.keys() & options.keys()
    kept = {name: value for name, value in content["model"]["init_args"].items() if name in FLAT}
    kinds = [kind(**options.get(name, {})) for name, kind in GROUPS.items()]
    assert flattened(kinds, {}) == {**DEFAULTS, **kept}
    assert in_groups(in_groups(content)) == in_groups(content)


def test_flags_of_flat_options_find_their_group(tmp_path):
    config = tmp_path / "a.yaml"
    config.write_text("model: {class_path: colorcnn.tasks.ColorCNNTask}\n")
    given = [
        "fit",
        "--config",
        str(config),
        "--model.init_args.augment.flip=true",
        "--model.learning_rate",
        "1",
    ]
    assert flags_in_groups(given)[3:] == [
        "--model.init_args.augmentation.after.flip=true", "--model.optimization.learning_rate", "1",
    ]  # fmt: skip
    other = ["fit", "--model=ClassifierTask", "--model.init_args.learning_rate=1"]
    assert flags_in_groups(other) == other


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"imitation": {"weight": 1}, "imitation_weight": 2}, "are the same option"),
        ({"imitation": {"wieght": 1}}, "option of imitation"),
    ],
)
def test_options_that_are_given_twice_or_unknown_are_refused(options, problem):
    with pytest.raises(UsageError, match=problem):
        grouped(options)


def test_a_class_inside_a_group_is_refused():
    options = {"augmentation": {"after": {"flip": {"class_path": "subprocess.Popen"}}}}
    with pytest.raises(UsageError, match=r"augmentation\.after\.flip has a class_path"):
        refuse_hidden_classes({"model": {"class_path": "colorcnn.tasks.ColorCNNTask", "init_args": options}})


def test_help_shows_the_groups(capsys):
    assert main(["fit", "--model.help", "ColorCNNTask"]) == 0
    shown = capsys.readouterr().out
    assert "\nimitation of a classical quantizer:\n" in shown
    assert "--model.imitation.weight" in shown
    assert "--model.imitation_weight" not in shown
