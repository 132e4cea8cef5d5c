"""Base classes of the tasks: float batches on the device, optimisers, schedules, and a guard against NaN."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal, get_args

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    LRScheduler,
    OneCycleLR,
)

from colorcnn.data.datasets import Batch
from colorcnn.errors import ColorCNNError, UsageError, unknown_name
from colorcnn.models import ColorCNNPlus
from colorcnn.paletted import from_bytes
from colorcnn.tasks.finite import BadLoss, FiniteCheck

OptimizerName = Literal["sgd", "adamw"]
ScheduleName = Literal["onecycle", "cosine-restarts", "cosine", "constant"]


def make_optimizer(
    parameters: Iterable[nn.Parameter], name: OptimizerName, learning_rate: float, weight_decay: float
) -> Optimizer:
    """Build the paper's SGD (momentum 0.9) or AdamW.

    Args:
        parameters: weights to train.
        name: ``sgd`` or ``adamw``.
        learning_rate: peak learning rate, above 0.
        weight_decay: L2 penalty, 0 or more.

    Raises:
        UsageError: the name is unknown, or a number is out of range.
    """
    if name not in get_args(OptimizerName):
        raise unknown_name("optimizer", name, get_args(OptimizerName))
    if not learning_rate > 0 or weight_decay < 0:
        raise UsageError(
            f"learning_rate is {learning_rate:g} and weight_decay is {weight_decay:g}: "
            "choose the first above 0 and the second 0 or more."
        )
    if name == "sgd":
        return SGD(parameters, learning_rate, momentum=0.9, weight_decay=weight_decay)
    return AdamW(parameters, learning_rate, weight_decay=weight_decay)


def make_schedule(
    optimizer: Optimizer, name: ScheduleName, learning_rate: float, steps: int, restart_steps: int
) -> LRScheduler:
    """Build a schedule that is stepped after every batch.

    Args:
        optimizer: the optimiser whose learning rate is scheduled.
        name: ``onecycle`` (L. Smith, 2017), ``cosine-restarts`` (Loshchilov and Hutter, 2017) down to 0,
            ``cosine`` once down to 0, or ``constant``.
        learning_rate: peak learning rate.
        steps: number of batches in the whole training.
        restart_steps: number of batches between two restarts.

    Raises:
        UsageError: the name is unknown.
    """
    if name not in get_args(ScheduleName):
        raise unknown_name("schedule", name, get_args(ScheduleName))
    if name == "onecycle":
        return OneCycleLR(optimizer, learning_rate, total_steps=steps)
    if name == "cosine-restarts":
        return CosineAnnealingWarmRestarts(optimizer, restart_steps)
    if name == "cosine":
        return CosineAnnealingLR(optimizer, steps)
    return ConstantLR(optimizer, factor=1.0)


def copy_weights(source: object, target: nn.Module, name: str) -> None:
    """Start a training from the weights of another network of the same architecture.

    Args:
        source: the network with the weights.
        target: the network to train.
        name: the user's name of ``source``.

    Raises:
        UsageError: the networks differ.
    """
    state = source.state_dict() if isinstance(source, nn.Module) else {}
    try:
        target.load_state_dict(target.adapted(state) if isinstance(target, ColorCNNPlus) else state)
    except RuntimeError as error:
        raise UsageError(
            f"start_from {name!r} has another architecture than the configuration: "
            "use weights of this architecture, or change the options."
        ) from error


@contextmanager
def first_process_first(trainer: pl.Trainer) -> Iterator[None]:
    """Run a block in the first process, then in the others, which read its files from the disk."""
    shared = getattr(trainer, "world_size", 1) > 1
    if shared and not trainer.is_global_zero:
        trainer.strategy.barrier()
    yield
    if shared and trainer.is_global_zero:
        trainer.strategy.barrier()


class Task(pl.LightningModule, ABC):
    """Base class of all trainings; subclasses keep their options in ``self.hparams``."""

    quantizes_first: ClassVar[bool] = False
    """True if a classical quantizer may work on the training images before the training."""

    def __init__(self) -> None:
        super().__init__()
        self.finite = FiniteCheck()

    def on_train_start(self) -> None:
        """Raise an error if the checkpoint's schedule was planned for another number of steps.

        Raises:
            UsageError: the checkpoint's number of steps differs from this run's.
        """
        schedules, steps = self.lr_schedulers(), int(self.trainer.estimated_stepping_batches)
        for schedule in schedules if isinstance(schedules, list) else [schedules]:
            planned = getattr(schedule, "total_steps", getattr(schedule, "T_max", steps))
            if planned != steps:
                raise UsageError(
                    f"The checkpoint's learning rate is planned for {planned} steps, but this run has "
                    f"{steps}: resume with the original trainer.max_epochs, batch size and data."
                )

    def check_trainer(self, trainer: pl.Trainer) -> None:
        """Raise an error if a trainer cannot run this training; called before other processes start.

        Raises:
            UsageError: an option of the trainer is not supported.
        """
        if getattr(trainer, "workers", None) is not None and not self.quantizes_first:
            raise UsageError(
                f"{type(self).__name__} quantizes no images before the training: leave trainer.parallel out."
            )
        if trainer.max_epochs == -1 and trainer.max_steps == -1:
            raise UsageError(
                "Schedules need the number of steps: set trainer.max_epochs or trainer.max_steps."
            )

    def checked(self, loss: Tensor) -> Tensor:
        """Return ``loss``, or stop the training if it is NaN or infinite.

        On a GPU the losses are checked every 50 steps, after each epoch and before each checkpoint.

        Raises:
            ColorCNNError: a loss is NaN or infinite; names the step and the last good checkpoint.
        """
        self._stop_at(self.finite.note(loss, self.global_step))
        return loss

    def on_train_epoch_end(self) -> None:
        """Check the losses of the epoch; see :meth:`checked`."""
        self._stop_at(self.finite.check())

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Check the losses before anything is written; see :meth:`checked`."""
        self._stop_at(self.finite.check())

    def _stop_at(self, bad: BadLoss | None) -> None:
        if bad is None:
            return
        saved = [
            callback.best_model_path or callback.last_model_path
            for callback in self.trainer.checkpoint_callbacks
            if isinstance(callback, ModelCheckpoint)
        ]
        last = next((path for path in reversed(saved) if path), None)
        kept = f"the last good checkpoint is {last}" if last else "no checkpoint exists yet"
        raise ColorCNNError(
            f"The loss became {bad.value} at step {bad.step} (epoch {self.current_epoch}), {kept}: "
            f"lower the option learning_rate and {'resume' if last else 'start again'}."
        )


class ImageTask(Task):
    """Base class of trainings on images."""

    _index: Tensor | None = None

    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Keep the batch's index on the host, so that reading it does not wait for a GPU."""
        self._index = batch.index
        return batch

    def shares(self, batch: Batch) -> int:
        """Return the weight of a batch in the mean over all processes.

        Lightning divides the sum of the weights by the number of processes and drops the remainder.
        """
        return len(batch.images) * getattr(self.trainer, "world_size", 1)

    def host_index(self, batch: Batch) -> Tensor:
        """Return the index of the batch that was transferred last, on the host."""
        return batch.index if self._index is None else self._index

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Convert uint8 images to floats in [0, 1] on the device, in channels-last layout."""
        images = from_bytes(batch.images).contiguous(memory_format=torch.channels_last)
        return batch._replace(images=images)

    @abstractmethod
    def trained(self) -> nn.Module:
        """Return the network whose weights are trained."""

    def configure_optimizers(self) -> Any:
        """Return the optimiser of the trained network, and a schedule stepped after every batch."""
        options = self.hparams
        optimizer = make_optimizer(
            self.trained().parameters(),
            options["optimizer"],
            options["learning_rate"],
            options["weight_decay"],
        )
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = make_schedule(
            optimizer, options["schedule"], options["learning_rate"], steps, self._restart_steps()
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _restart_steps(self) -> int:
        """Return the number of steps between two restarts of the learning rate."""
        if math.isinf(self.trainer.num_training_batches):  # Lightning has not asked the data yet
            self.trainer.fit_loop.setup_data()
        batches = self.trainer.num_training_batches * self.hparams["restart_epochs"]
        return max(1, round(batches / self.trainer.accumulate_grad_batches))
