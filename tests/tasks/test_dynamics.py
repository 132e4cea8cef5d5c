from pathlib import Path

import numpy as np
import pytest
import torch

from colorcnn.cli import main
from colorcnn.dcq.pruning import entropies, prune, read_dynamics
from colorcnn.errors import ColorCNNError
from colorcnn.tasks.dynamics import TrainingDynamics
from colorcnn.weights import load_lightning

CONF = Path(__file__).resolve().parent.parent / "conf" / "classifier.yaml"
begin = TrainingDynamics.on_train_epoch_start
RECORD = "--trainer.callbacks+=TrainingDynamics"


@pytest.fixture
def fit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *argv: main(["fit", "--config", str(CONF), RECORD, *argv])


def test_a_training_run_leaves_the_scores_of_its_images(fit, tmp_path):
    assert fit() == 0
    folder = tmp_path / "runs" / "classifier"
    dynamics = read_dynamics(folder)
    assert dynamics.margin.shape == dynamics.error.shape == (2, 96)
    assert np.isfinite(dynamics.margin).all()  # 96 images are three whole batches
    assert (np.abs(dynamics.margin) <= 1).all()
    np.testing.assert_array_equal(dynamics.rows, np.arange(96))
    from colorcnn.data import PhotoDigits

    data = PhotoDigits(train_size=96, validation_size=32, test_size=32)
    model, _ = load_lightning(folder / "checkpoints" / "last.ckpt")
    images = torch.from_numpy(data.train.pixels(slice(None)).transpose(0, 3, 1, 2)) / 255
    with torch.no_grad():
        expected = entropies(model(images).softmax(dim=1).double().numpy())
    np.testing.assert_allclose(dynamics.entropy, expected, atol=1e-3)
    assert len(prune("ccs-aum", 96, 0.25, dynamics, dropped=0.1)) == 24


def test_a_run_that_is_resumed_records_all_of_its_epochs(fit, tmp_path, monkeypatch):
    assert fit("--name", "whole") == 0
    with monkeypatch.context() as patch:
        patch.setattr(TrainingDynamics, "on_train_epoch_start", stop_at_the_second)
        assert fit("--name", "cut") != 0
    assert not (tmp_path / "runs" / "cut" / "dynamics.npz").exists()
    assert fit("--name", "cut", "--ckpt_path", "last") == 0
    whole, cut = (read_dynamics(tmp_path / "runs" / name) for name in ("whole", "cut"))
    np.testing.assert_array_equal(whole.margin, cut.margin)
    np.testing.assert_array_equal(whole.entropy, cut.entropy)


def stop_at_the_second(self, trainer, pl_module):
    if trainer.current_epoch == 1:
        raise ColorCNNError("The power is gone.")
    begin(self, trainer, pl_module)


def test_a_run_whose_first_epochs_were_not_recorded_is_refused(fit, capsys):
    assert main(["fit", "--config", str(CONF), "--trainer.max_epochs", "1"]) == 0
    assert fit("--trainer.max_epochs", "1", "--ckpt_path", "last") == 0, "there was nothing left to train"
    assert fit("--ckpt_path", "last", "--model.init_args.schedule", "constant") != 0
    assert "from the first epoch" in capsys.readouterr().err
