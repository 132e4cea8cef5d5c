"""Record statistics of every training image for data pruning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from colorcnn.data.datasets import Batch
from colorcnn.dcq.pruning import DYNAMICS, Dynamics, entropies, errors, margins
from colorcnn.errors import UsageError
from colorcnn.paletted import from_bytes
from colorcnn.tasks.classifier import ClassifierTask


class TrainingDynamics(Callback):
    """Callback that records error and margin of every training image in every epoch, and its final entropy.

    It writes ``dynamics.npz`` into the run's folder, for pruning in dataset quantization. It needs one extra
    pass over the training images at the end. Checkpoints hold the recorded values, so a run can be resumed. A
    run without the callback in earlier epochs, or with several processes, is refused.
    """

    def __init__(self) -> None:
        self._epochs: list[tuple[np.ndarray, np.ndarray]] = []
        self._logits: list[Tensor] = []
        self._written = False

    def state_dict(self) -> dict[str, Any]:
        """Return error and margin (E, 2, N) of the epochs so far, for the checkpoint."""
        return {"epochs": torch.from_numpy(np.array(self._epochs, dtype=np.float32))}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the checkpoint's values."""
        self._epochs = [(error, margin) for error, margin in state_dict["epochs"].numpy()]

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Raise UsageError if the dynamics of this training cannot be recorded."""
        if not isinstance(pl_module, ClassifierTask) or pl_module.hparams["multi_label"]:
            raise UsageError("TrainingDynamics needs a ClassifierTask with one label per image.")
        if trainer.world_size > 1:
            raise UsageError("TrainingDynamics works in one process only: train on one device.")
        self._handle = pl_module.classifier.register_forward_hook(self._remember)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Raise UsageError if earlier epochs were not recorded."""
        if len(self._epochs) != trainer.current_epoch:
            raise UsageError("TrainingDynamics must be used from the first epoch: start the training again.")

    def _remember(self, module: torch.nn.Module, inputs: object, output: Tensor) -> None:
        if module.training:
            self._logits.append(output.detach())

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start an epoch with NaN for all images."""
        count = len(trainer.datamodule.train)  # type: ignore[attr-defined]
        self._epochs.append((np.full(count, np.nan, np.float32), np.full(count, np.nan, np.float32)))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Record error and margin of the batch."""
        probabilities = self._logits.pop().float().softmax(dim=1).cpu().numpy().astype(np.float64)
        labels, index = batch.labels.cpu().numpy(), batch.index.cpu().numpy()
        error, margin = self._epochs[-1]
        error[index] = errors(probabilities, labels)
        margin[index] = margins(probabilities, labels)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the results before the last checkpoint, so that a run with ``last.ckpt`` also has them."""
        if trainer.global_step >= trainer.estimated_stepping_batches:
            self._write(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the results if training ended early."""
        self._handle.remove()
        if not self._written:
            self._write(trainer, pl_module)

    @torch.no_grad()
    def _write(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        classifier: Any = pl_module.classifier
        classifier.eval()
        found = []
        for start in range(0, len(data.train), data.batch_size):
            batch = data.train.__getitems__(range(start, min(start + data.batch_size, len(data.train))))
            logits = classifier(from_bytes(batch.images.to(pl_module.device)))
            found.append(entropies(logits.float().softmax(dim=1).cpu().numpy().astype(np.float64)))
        classifier.train()
        error, margin = (np.stack(values) for values in zip(*self._epochs, strict=True))
        dynamics = Dynamics(error, margin, np.concatenate(found).astype(np.float32), data.train.rows)
        dynamics.write(Path(trainer.log_dir or trainer.default_root_dir) / DYNAMICS)
        self._written = True
