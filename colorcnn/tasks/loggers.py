"""Images for the loggers of a training, and the folder of a run with any logger."""

from __future__ import annotations

from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.loggers import Logger, MLFlowLogger, TensorBoardLogger
from pytorch_lightning.loggers.logger import DummyExperiment


@singledispatch
def show_picture(logger: Logger, key: str, picture: np.ndarray, step: int, caption: str = "") -> None:
    """Show an image in a logger. A logger without images, such as CSV, shows nothing.

    Loggers with a method ``log_image`` like W&B's need no entry here. For another logger, register a function
    with the same arguments: ``@show_picture.register``.

    Args:
        logger: the logger.
        key: name of the image, such as ``val/pictures``.
        picture: (H, W, 3) uint8.
        step: number of the optimiser's step.
        caption: text for the image, if the logger shows one.
    """
    if (log_image := getattr(logger, "log_image", None)) is not None:
        log_image(key, [picture], step=step, caption=[caption])


@show_picture.register
def _(logger: TensorBoardLogger, key: str, picture: np.ndarray, step: int, caption: str = "") -> None:
    logger.experiment.add_image(key, picture, step, dataformats="HWC")
    if caption:
        logger.experiment.add_text(key, caption, step)


@show_picture.register
def _(logger: MLFlowLogger, key: str, picture: np.ndarray, step: int, caption: str = "") -> None:
    logger.experiment.log_image(logger.run_id, picture, key=key, step=step)


class CheckpointFolder(Callback):
    """Callback that puts checkpoints into the run's folder. Lightning's choice depends on the logger."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Set the folder of every checkpoint callback that has none."""
        folder = Path(trainer.log_dir or trainer.default_root_dir) / "checkpoints"
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint) and callback.dirpath is None:
                callback.dirpath = str(folder)


class FolderOnly(Logger):
    """Logger that has the run's folder and writes nothing, for testing and predicting.

    Args:
        log_dir: the run's folder.
    """

    def __init__(self, log_dir: str) -> None:
        super().__init__()
        self._log_dir = log_dir

    @property
    def log_dir(self) -> str:
        """The run's folder."""
        return self._log_dir

    @property
    def name(self) -> str:
        """Empty name, because the folder is complete."""
        return ""

    @property
    def version(self) -> str:
        """Empty version, because the folder is complete."""
        return ""

    @property
    def experiment(self) -> Any:
        """Writer that writes nothing."""
        return DummyExperiment()

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        """Do nothing."""

    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        """Do nothing."""
