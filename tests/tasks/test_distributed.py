"""Two processes train and validate as one does at the same global batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from colorcnn.cli import main
from colorcnn.data.sampling import EpochSampler, SharedBatches
from colorcnn.errors import UsageError

TESTS = Path(__file__).resolve().parent.parent

CONFIG = """
kind: fit
model:
  class_path: ColorCNNTask
  init_args:
    classifiers: [tiny:classifier]
    quantizer_kwargs:
      backbone: dncnn
      backbone_kwargs: {width: 4, depth: 2}
      bottleneck: 0
      feature_channels: 16
    sizes: [2, 5, 16]
    task_batches: 1
    imitation_pixels: 1.0
    jitter: 0.0
    flip_before: false
    augment: {}
    learning_rate: 0.05
    schedule: constant
data:
  class_path: PhotoDigits
  init_args: {train_size: 65, validation_size: 33, test_size: 8}
trainer: {max_epochs: 2, accelerator: cpu, precision: 32-true}
"""
"""No BatchNorm, which each process has of its own, and nothing random but the number of colours."""


def arguments(name, batch):
    command = ["fit", "--config", "two.yaml", "--name", name, "--allow-module", "tiny"]
    return [*command, "--data.init_args.batch_size", str(batch)]


def scores(folder, name):
    return [json.loads(line) for line in (folder / "runs" / name / "scores.jsonl").read_text().splitlines()]


def fit_in_two_processes(folder, name, batch):
    """Train in processes of their own; returns the scores."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
        "COLORCNN_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "colorcnn", *arguments(name, batch)]
    command += ["--trainer.strategy", "ddp", "--trainer.devices", "2"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return scores(folder, name)


def test_two_processes_give_the_validation_numbers_of_one(tmp_path, monkeypatch):
    (tmp_path / "two.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    assert main(arguments("one", 32)) == 0
    one = scores(tmp_path, "one")
    two = fit_in_two_processes(tmp_path, "two", 16)
    assert len(one) == len(two) == 2
    for alone, shared in zip(one, two):
        names = [name for name in alone if name.startswith("val/")]
        assert {"val/accuracy", "val/colors_16"} <= set(names)
        assert [shared[name] for name in names] == pytest.approx([alone[name] for name in names], abs=1e-5)
        assert shared["train/num_colors"] == alone["train/num_colors"]
        assert shared["step"] == alone["step"]
    assert one[0] != one[1], "the training moves"


def test_shared_epochs_are_one_epoch_of_larger_batches():
    whole = list(EpochSampler(23, seed=5))
    parts = [list(EpochSampler(23, 5, rank, 3)) for rank in range(3)]
    assert (
        [len(part) for part in parts] == [len(EpochSampler(23, 5, rank, 3)) for rank in range(3)] == [7] * 3
    )
    for start in (0, 2, 4):
        batch = {position for part in parts for position in part[start : start + 2]}
        assert batch == set(whole[3 * start : 3 * (start + 2)])


@pytest.mark.parametrize("length", [2, 3, 16, 31, 32, 33, 97])
@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize("batch", [1, 8])
def test_every_image_is_looked_at_once_in_equally_many_batches(length, processes, batch):
    if length < processes:
        with pytest.raises(UsageError, match="fewer devices"):
            SharedBatches(length, batch, 0, processes)
        return
    shared = [list(SharedBatches(length, batch, rank, processes)) for rank in range(processes)]
    assert len({len(batches) for batches in shared}) == 1
    assert all(0 < len(found) <= batch + 1 for batches in shared for found in batches)
    seen = np.concatenate([np.concatenate(batches) for batches in shared])
    assert sorted(seen) == list(range(length))
