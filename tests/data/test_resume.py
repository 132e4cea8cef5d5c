"""Training that stops and goes on must see the batches it would have seen anyway."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from colorcnn.data import Batch, open_data


class Recorder(pl.LightningModule):
    """Notes which images each training step was given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.seen: dict[int, list[int]] = {}

    def training_step(self, batch: Batch, number: int) -> torch.Tensor:
        self.seen.setdefault(self.current_epoch, []).extend(batch.index.tolist())
        return self.weight.sum()

    def validation_step(self, batch: Batch, number: int) -> None:
        self.log("size", float(len(batch.labels)))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def run(folder: Path, epochs: int, **options: Any) -> Recorder:
    data = open_data("photo-digits", train_size=40, validation_size=10, test_size=10, batch_size=8)
    task = Recorder()
    every_epoch = pl.callbacks.ModelCheckpoint(
        folder, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=options.pop("at_train_end", None)
    )
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=[every_epoch],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(task, data, **options)
    return task


@pytest.mark.parametrize("at_train_end", [True, False])
def test_a_resumed_run_sees_the_batches_of_the_uninterrupted_one(tmp_path: Path, at_train_end: bool) -> None:
    whole = run(tmp_path / "whole", 4, at_train_end=at_train_end).seen
    resumed = run(
        tmp_path / "again", 4, ckpt_path=tmp_path / "whole" / "epoch=1.ckpt", at_train_end=at_train_end
    ).seen
    assert resumed == {epoch: whole[epoch] for epoch in (2, 3)}


def test_every_epoch_has_an_order_of_its_own(tmp_path: Path) -> None:
    seen = run(tmp_path, 3).seen
    assert all(sorted(order) == list(range(40)) for order in seen.values())
    assert len({tuple(order) for order in seen.values()}) == 3
