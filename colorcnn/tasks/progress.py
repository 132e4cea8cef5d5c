"""Callbacks that check the classifiers and report progress, and warnings about a training's result."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint

from colorcnn.data.base import ImageDataModule
from colorcnn.errors import UsageError
from colorcnn.models.precision import full_precision
from colorcnn.paletted import from_bytes
from colorcnn.recognition import recognition_of
from colorcnn.tasks.classifier import ClassifierTask
from colorcnn.tasks.colorcnn import ColorCNNTask

_PROBED = 4  # number of images
_COLLAPSED = 0.5
"""A quantizer has collapsed if it uses at most this share of its colours."""
_GUESSING = 3.0
"""An accuracy less than this many standard deviations above chance counts as guessing."""


class ProbeClassifiers(Callback):
    """Callback that checks the number of classes of the frozen classifiers on a few images before training.

    A classifier from a user's function may not declare its number of classes.
    """

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare the number of logits with the number of classes.

        Raises:
            UsageError: they differ.
        """
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(pl_module, ColorCNNTask) or not isinstance(data, ImageDataModule):
            return
        batch = data.train.__getitems__(range(min(_PROBED, len(data.train))))
        images = from_bytes(batch.images).to(pl_module.device)
        names = pl_module.hparams["classifiers"]
        with torch.no_grad(), full_precision(pl_module.device):
            for name, judge in zip(names, pl_module.judges, strict=True):
                logits = recognition_of(batch.labels).check_logits(judge(images), images)
                if logits.shape[1] != data.num_classes:
                    raise UsageError(
                        f"Classifier {name!r} has {logits.shape[1]} classes and the data set has "
                        f"{data.num_classes}: use a classifier trained on this data set."
                    )


class EpochLines(Callback):
    """Callback that prints a line per epoch: loss, validation accuracy, learning rate, remaining time.

    Args:
        say: function that prints a line.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._start, self._first = time.perf_counter(), trainer.current_epoch

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the line."""
        if not trainer.is_global_zero:
            return
        done, last = trainer.current_epoch + 1, trainer.max_epochs
        of = f"/{last}" if last and last > 0 else ""
        parts = [f"epoch {done}{of}"]
        scores = trainer.callback_metrics
        parts += [f"loss {float(scores['train/loss']):.4g}"] if "train/loss" in scores else []
        parts += [f"validation {float(scores['val/accuracy']):.4f}"] if "val/accuracy" in scores else []
        rates = [group["lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups]
        parts += [f"learning rate {rates[0]:.3g}"] if rates else []
        if of:
            seconds = (time.perf_counter() - self._start) / (done - self._first) * (int(last or 0) - done)
            parts.append(f"{duration(seconds)} left")
        self.say(", ".join(parts))


class FirstSteps(Callback):
    """Callback that logs every one of the first steps.

    Without it, the first values appear after a whole logging interval, which may be several epochs.

    Args:
        steps: number of steps.
    """

    def __init__(self, steps: int = 10) -> None:
        self.steps = steps
        self._usual: int | None = None

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Log this step if it is among the first, else return to the usual interval."""
        log: Any = trainer
        if self._usual is None:
            self._usual = log.log_every_n_steps
        if self._usual:  # 0 means that the user wants no logging
            log.log_every_n_steps = 1 if trainer.global_step < self.steps else self._usual


class Heartbeat(Callback):
    """Callback that prints the progress and the remaining time of a training.

    Args:
        say: function that prints a line.
        seconds: minimum time between two lines.
    """

    def __init__(self, say: Callable[[str], None], seconds: float = 20.0) -> None:
        self.say = say
        self.seconds = seconds

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._start = self._last = time.perf_counter()
        self._first = trainer.global_step

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any, **__: Any) -> None:
        """Print a line if it is time."""
        now, steps = time.perf_counter(), trainer.global_step - self._first
        if now - self._last < self.seconds or not steps:
            return
        self._last = now
        whole = int(trainer.estimated_stepping_batches)
        left = (now - self._start) / steps * (whole - trainer.global_step)
        epoch = f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}"
        self.say(f"{epoch}, {trainer.global_step / whole:.0%}, {duration(left)} left")


def duration(seconds: float) -> str:
    """Format a time: ``40 s``, ``12 min`` or ``3 h 20 min``."""
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def best_checkpoint(trainer: pl.Trainer) -> tuple[Path, float | None, int] | None:
    """Return the best checkpoint of a training, its validation score, and its step.

    Without validation, return the last checkpoint and no score.
    """
    callbacks = [one for one in trainer.checkpoint_callbacks if isinstance(one, ModelCheckpoint)]
    best = next((one for one in callbacks if one.monitor and one.best_model_path), None)
    chosen = best or next((one for one in callbacks if one.best_model_path), None)
    if chosen is None or not Path(chosen.best_model_path).is_file():
        return None
    path = Path(chosen.best_model_path)
    step = torch.load(path, map_location="cpu", weights_only=True)["global_step"]
    score = chosen.best_model_score if best else None
    return path, None if score is None else float(score), int(step)


def warnings_about(trainer: pl.Trainer, task: pl.LightningModule) -> Iterator[str]:
    """Yield warnings about a training's result: too few colours, or an accuracy no better than guessing.

    Args:
        trainer: the trainer, whose last validation is checked.
        task: the trained task.
    """
    scores = trainer.callback_metrics
    if isinstance(task, ColorCNNTask):
        used = {size: float(scores.get(f"val/colors_{size}", math.nan)) for size in task.scored_sizes}
        few = [size for size in used if size > 1 and used[size] <= max(1.0, _COLLAPSED * size)]
        if few:
            found = ", ".join(f"{used[size]:.1f} of {size}" for size in few)
            yield (
                f"the quantizer uses far fewer colours than allowed ({found} on average): "
                "train longer, or raise model.init_args.regularization.information_weight."
            )
    data = trainer.datamodule  # type: ignore[attr-defined]
    several = not isinstance(data, ImageDataModule) or data.multi_label or "val/accuracy" not in scores
    if several or not isinstance(task, ColorCNNTask | ClassifierTask):
        return
    chance, number = 1 / data.num_classes, max(1, len(data.val))
    accuracy = float(scores["val/accuracy"])
    if accuracy <= chance + _GUESSING * math.sqrt(chance * (1 - chance) / number):
        # Else the numbers of a small data set would seem to contradict the words.
        doubt = " as far as so few images can show" if accuracy > chance else ""
        yield (
            f"the classifier recognises {accuracy:.1%} of the {number} validation images, no better than "
            f"guessing ({chance:.1%}){doubt}: train longer, or check the data set and the classifier."
        )
