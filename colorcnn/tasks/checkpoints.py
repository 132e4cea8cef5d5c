"""Atomic writing of checkpoints."""

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
    """Checkpoint writer that keeps the earlier checkpoint if the disk is full.

    Lightning writes to the temporary folder and moves the file. Across file systems the move is a copy, and a
    full disk would damage the earlier checkpoint.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint.

        Args:
            checkpoint: Lightning's dictionary.
            path: the file.
            storage_options: must be None.

        Raises:
            ColorCNNError: the file cannot be written; an earlier checkpoint is unchanged.
            UsageError: ``storage_options`` is given.
        """
        if storage_options is not None:
            raise UsageError("storage_options is not supported: leave it out.")
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_atomically(path, buffer.getvalue())


def keep_weights(path: str | os.PathLike[str]) -> None:
    """Remove optimiser, schedule and callback states from the checkpoint of a finished training.

    They take two thirds of a file and serve only to resume. The weights can be used, tested and trained
    further.

    Args:
        path: the Lightning .ckpt.

    Raises:
        ColorCNNError: the file cannot be written; the checkpoint is unchanged.
    """
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    buffer = io.BytesIO()
    torch.save({key: value for key, value in checkpoint.items() if key not in _ONLY_TO_RESUME}, buffer)
    write_atomically(path, buffer.getvalue())


def has_weights_alone(path: str | os.PathLike[str]) -> bool:
    """Return True if :func:`keep_weights` was applied to a checkpoint."""
    checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    return not _ONLY_TO_RESUME & checkpoint.keys()
