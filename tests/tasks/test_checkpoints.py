"""Checkpoints without what only resuming needs."""

import pytest
import torch

from colorcnn.errors import UsageError
from colorcnn.reproduce.stages.fit import FitStage
from colorcnn.tasks.checkpoints import has_weights_alone, keep_weights


def test_weights_stay_and_the_optimizer_goes(tmp_path):
    path = tmp_path / "last.ckpt"
    weights = {"layer.weight": torch.ones(3)}
    whole = {
        "state_dict": weights,
        "hyper_parameters": {"width": 4},
        "epoch": 2,
        "optimizer_states": [{"state": torch.ones(6)}],
        "lr_schedulers": [{}],
        "callbacks": {},
        "loops": {},
    }
    torch.save(whole, path)
    assert not has_weights_alone(path)
    keep_weights(path)
    assert has_weights_alone(path)
    found = torch.load(path, weights_only=True)
    assert found.keys() == {"state_dict", "hyper_parameters", "epoch"}
    assert torch.equal(found["state_dict"]["layer.weight"], weights["layer.weight"])


def test_the_saving_of_a_stage_is_no_part_of_its_key(tmp_path):
    stage = FitStage()
    options = {
        "config": {
            "model": {"class_path": "ClassifierTask", "init_args": {"network": "resnet9"}},
            "data": {"class_path": "PhotoDigits"},
        }
    }
    kept = [stage.describe({**options, **more}, tmp_path) for more in ({}, {"save": "whole"})]
    assert [each["save"] for each in kept] == ["weights", "whole"]
    decisive = [
        {key: value for key, value in each.items() if key not in stage.cosmetic_options} for each in kept
    ]
    assert decisive[0] == decisive[1]
    with pytest.raises(UsageError, match="whole"):
        stage.check({**options, "save": "nothing"}, "stage")
