"""Two processes train and validate as one does at the same global batch."""

import json
import socket
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
from running import run

from colorcnn.cli import main
from colorcnn.data.sampling import EpochSampler, SharedBatches
from colorcnn.errors import UsageError

HERE = Path(__file__).resolve().parent

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
    command += ["--allow-module", "test_distributed"]
    command += ["--trainer.callbacks+=test_distributed.DrawnColors"]
    return [*command, "--data.init_args.batch_size", str(batch)]


def scores(folder, name):
    return [json.loads(line) for line in (folder / "runs" / name / "scores.jsonl").read_text().splitlines()]


class DrawnColors(pl.Callback):
    """Writes the number of colours of every step, in each process."""

    def on_train_batch_end(self, trainer, task, *_):
        with open(f"drawn-{trainer.world_size}-{trainer.global_rank}.txt", "a") as file:
            file.write(f"{task.num_colors}\n")


def start(folder, rank, port):
    """Start one of two processes as torchrun does."""
    variables = {
        "COLORCNN_CACHE": folder / "cache",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "WORLD_SIZE": 2,
        "LOCAL_WORLD_SIZE": 2,
        "GROUP_RANK": 0,
        "RANK": rank,
        "LOCAL_RANK": rank,
        "TORCHELASTIC_RUN_ID": "two",
    }
    options = ["--trainer.strategy", "ddp", "--trainer.devices", "2"]
    environment = {name: str(value) for name, value in variables.items()}
    return run([*arguments("two", 16), *options], cwd=folder, env=environment)


@contextmanager
def two_processes(folder):
    """Train in two processes while the block runs, and wait for them at its end."""
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        port = some.getsockname()[1]
    started = [start(folder, rank, port) for rank in (0, 1)]
    yield
    for process in started:
        told = process.told()
        assert process.returncode == 0, told


@pytest.mark.slow
def test_two_processes_give_the_validation_numbers_of_one(tmp_path, monkeypatch):
    (tmp_path / "two.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(HERE))
    with two_processes(tmp_path):
        assert main(arguments("one", 32)) == 0
    one, two = scores(tmp_path, "one"), scores(tmp_path, "two")
    assert len(one) == len(two) == 2
    for alone, shared in zip(one, two):
        names = [name for name in alone if name.startswith("val/")]
        assert {"val/accuracy", "val/colors_16"} <= set(names)
        assert [shared[name] for name in names] == pytest.approx([alone[name] for name in names], abs=1e-5)
        assert shared["train/num_colors"] == alone["train/num_colors"]
        assert shared["step"] == alone["step"]
    assert one[0] != one[1], "the training moves"
    drawn = [(tmp_path / f"drawn-{name}.txt").read_text().split() for name in ("1-0", "2-0", "2-1")]
    assert drawn[0] == drawn[1] == drawn[2]
    assert len(set(drawn[0])) > 1, "the number of colours changes"


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
