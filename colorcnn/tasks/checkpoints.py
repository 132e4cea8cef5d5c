"""Checkpoints that are written whole or not at all, wherever the run's folder lies."""

from __future__ import annotations

import io
import os
from typing import Any

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO

from colorcnn.errors import UsageError
from colorcnn.files import write_atomically

_ONLY_TO_RESUME = {"optimizer_states", "lr_schedulers", "callbacks", "loops"}


class WholeCheckpoints(TorchCheckpointIO):
    """Lightning's own moves a finished file from the system's temporary folder.

    From another file system that is a copy over the earlier checkpoint, which a full disk cuts short.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint.

        Args:
            checkpoint: as Lightning collects it.
            path: the file.
            storage_options: must be None.

        Raises:
            ColorCNNError: the disk or the rights do not allow it; an earlier checkpoint is left as it was.
            UsageError: ``storage_options`` is given.
        """
        if storage_options is not None:
            raise UsageError("Checkpoints are written to a disk, which has no storage_options: omit them.")
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_atomically(path, buffer.getvalue())


def keep_weights(path: str | os.PathLike[str]) -> None:
    """Rewrite the checkpoint of a finished training without what only resuming needs.

    Momentum and schedules take two thirds of a file. What is left can be used, tested and started from.

    Args:
        path: the Lightning .ckpt.

    Raises:
        ColorCNNError: the disk or the rights do not allow it; the checkpoint is left as it was.
    """
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    buffer = io.BytesIO()
    torch.save({key: value for key, value in checkpoint.items() if key not in _ONLY_TO_RESUME}, buffer)
    write_atomically(path, buffer.getvalue())


def has_weights_alone(path: str | os.PathLike[str]) -> bool:
    """Tell if a checkpoint is that of a finished training after :func:`keep_weights`."""
    checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    return not _ONLY_TO_RESUME & checkpoint.keys()
