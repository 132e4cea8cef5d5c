"""Callbacks of a training: seeds for exact resume, scores, sample images, and prediction files."""

from __future__ import annotations

import csv
import io
import json
import math
import time
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import BasePredictionWriter, Callback
from torch import Tensor

from colorcnn.data.base import ImageDataModule
from colorcnn.data.datasets import Batch, ImageSplit
from colorcnn.files import write_atomically
from colorcnn.paletted import Paletted, to_bytes
from colorcnn.quantizers import QUANTIZERS
from colorcnn.tasks.colorcnn import ColorCNNTask
from colorcnn.tasks.loggers import show_picture

MIN_WIDTH = 96
"""Minimum width of a sample image in the loggers, in pixels."""


class EpochSeed(Callback):
    """Callback that seeds each epoch from (seed, epoch), so that a resumed run equals an uninterrupted one.

    Args:
        seed: the run's seed.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Seed Python, NumPy and torch, differently in each process."""
        mixed = [self.seed, trainer.current_epoch, *([trainer.global_rank] if trainer.global_rank else [])]
        state = np.random.SeedSequence(mixed).generate_state(1)
        pl.seed_everything(int(state[0]), verbose=False)


class ScoreLog(Callback):
    """Callback that appends a JSON line per epoch to scores.jsonl: all logged numbers, and the time."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remove the lines of epochs that will be repeated (the epoch is not known earlier)."""
        self._last = time.perf_counter()
        path = self._path(trainer)
        if not trainer.is_global_zero or not path.exists():
            return
        kept = [line for line in path.read_text().splitlines() if _epoch(line) < trainer.current_epoch]
        write_atomically(path, "".join(line + "\n" for line in kept).encode())

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the epoch's line."""
        now = time.perf_counter()
        line: dict[str, Any] = {"epoch": trainer.current_epoch, "step": trainer.global_step}
        line["seconds"], self._last = round(now - self._last, 1), now
        line |= {name: round(float(value), 6) for name, value in sorted(trainer.callback_metrics.items())}
        path = self._path(trainer)  # a collective call, so all processes make it
        if trainer.is_global_zero and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a") as stream:
                stream.write(json.dumps(line) + "\n")

    @staticmethod
    def _path(trainer: pl.Trainer) -> Path:
        return Path(trainer.log_dir or trainer.default_root_dir) / "scores.jsonl"


def _epoch(line: str) -> float:
    """Return the epoch of a line of scores; infinite for a line that was not written completely."""
    try:
        return json.loads(line)["epoch"]
    except (ValueError, KeyError):
        return math.inf


def strips(paletted: Paletted, height: int, width: int) -> Tensor:
    """Draw the used colours of palettes as bars, sorted by brightness.

    Args:
        paletted: a batch of B images.
        height: height of a bar in pixels.
        width: width of a bar in pixels.

    Returns:
        uint8 (B, 3, height, width).
    """
    bars = []
    for image in range(len(paletted)):
        rows = paletted.compact(image)[1]
        rows = rows[np.argsort(rows @ np.array([0.299, 0.587, 0.114]))]
        bar = torch.from_numpy(rows[np.arange(width) * len(rows) // width])
        bars.append(bar.T[:, None].expand(3, height, width))
    return torch.stack(bars)


class Pictures(Callback):
    """Callback that shows validation images in the loggers, quantized by MedianCut and the trained quantizer.

    Args:
        images: number of images.
        sizes: numbers of colours; only those that the quantizer was trained for are used.
    """

    def __init__(self, images: int = 8, sizes: tuple[int, ...] = (2, 8, 32)) -> None:
        self.images = images
        self.sizes = sizes

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the first images of the first batch."""
        if batch_idx or not isinstance(pl_module, ColorCNNTask) or not trainer.loggers:
            return
        images = batch.images[: self.images]
        sizes = [size for size in self.sizes if size in pl_module.sizes] or pl_module.sizes[:1]
        height, width = images.shape[2:]
        rows = [to_bytes(images).cpu()]
        for size, trained in pl_module.quantizer.quantize_many(images, sizes).items():
            for paletted in (QUANTIZERS["median-cut"]()(images, size), trained):
                bars = strips(paletted.to("cpu"), max(2, height // 8), width)
                rows += [paletted.render(torch.uint8).cpu(), bars]
        grid = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)
        scale = -(-MIN_WIDTH // width)  # so that single pixels of small images are visible
        grid = grid.repeat_interleave(scale, dim=1).repeat_interleave(scale, dim=2)
        title = (
            f"original, then MedianCut and the trained quantizer with {', '.join(map(str, sizes))} colours"
        )
        picture = grid.permute(1, 2, 0).numpy()
        for logger in trainer.loggers:
            show_picture(logger, "val/pictures", picture, trainer.global_step, title)


def predictions_folder(trainer: pl.Trainer) -> Path:
    """Return the folder of a run's predictions."""
    return Path(trainer.log_dir or trainer.default_root_dir) / "predictions"


class PredictionFiles(BasePredictionWriter):
    """Callback that writes predictions: indexed PNG files of a quantizer, a CSV file of a classifier."""

    def __init__(self) -> None:
        super().__init__(write_interval="batch")
        self._split: ImageSplit | None = None
        self._stems: dict[int, str] = {}
        self._rows: dict[int, list[Any]] = {}

    def write_on_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        prediction: Any,
        batch_indices: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write the pictures of one batch below the run's folder; keep a classifier's answers.

        Files have the names of the images' own files, or the images' positions in their split.
        """
        positions = batch.index.tolist()
        data = trainer.datamodule  # type: ignore[attr-defined]
        split = data.test if isinstance(data, ImageDataModule) else None
        if isinstance(prediction, Tensor):
            names = [(split.name(image) if split else None) or image for image in positions]
            answers = zip(positions, names, prediction.cpu().numpy())
            self._rows |= {image: [name, *np.atleast_1d(answer).tolist()] for image, name, answer in answers}
            return
        folder = predictions_folder(trainer)
        if self._split is not split:
            self._split, self._stems = split, {} if split is None else stems(split)
        for size, paletted in prediction.items():
            for row, image in enumerate(positions):
                path = folder / self._stems.get(image, f"{image:06d}")
                paletted[row].save(path.with_name(f"{path.name}-c{size}.png"))

    def on_predict_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write a classifier's answers of all processes to classes.csv, in the order of the images."""
        folder, rows = predictions_folder(trainer), self._rows
        self._rows = {}
        if trainer.world_size > 1:
            parts: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(parts, rows)
            rows = {image: row for part in parts for image, row in part.items()}
        if rows and trainer.is_global_zero:
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(row for _, row in sorted(rows.items()))
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / "classes.csv", text.getvalue().encode())


def stems(split: ImageSplit) -> dict[int, str]:
    """Return the names of results: the names of the images' files without extensions.

    If a.png and a.jpg both exist, the extensions are kept.

    Args:
        split: the images.

    Returns:
        Position -> name; empty if images have no files of their own.
    """
    names = [split.name(image) for image in range(len(split))]
    files = [PurePosixPath(name) for name in names if name is not None]
    if len(files) < len(names):
        return {}
    counts = Counter(str(file.with_suffix("")).lower() for file in files)
    plain = [str(file.with_suffix("")) for file in files]
    return {
        image: str(file) if counts[stem.lower()] > 1 else stem
        for image, (file, stem) in enumerate(zip(files, plain))
    }
