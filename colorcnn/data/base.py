"""Base class of the data sets: options, the three splits, their loaders, and the folder of the data."""

from __future__ import annotations

import contextlib
import json
from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from colorcnn.data.cache import cache_folder
from colorcnn.data.cuts import stratified_cut
from colorcnn.data.datasets import Batch, ImageSplit, as_is, join_splits
from colorcnn.data.registry import data_root
from colorcnn.data.sampling import EpochSampler, SharedBatches
from colorcnn.errors import ColorCNNError, UsageError, check_at_least, quoted
from colorcnn.files import write_atomically

MOST_SIDE = 8_192
"""Maximum side length that images are scaled to. One image then takes 200 MB."""

_STATISTICS_IMAGES = 10_000  # enough for channel statistics with an error of about 0.001


class ImageDataModule(pl.LightningDataModule, ABC):
    """A data set with train, val and test splits of one image size.

    The splits are :class:`ImageSplit` and are read from disk on first use.

    Args:
        root: folder that holds the data sets; default $COLORCNN_DATA, else ``data``.
        batch_size: images per batch.
        val_size: part of train that becomes val if the data set has no val: a fraction, or a number of
            images. 0 trains on all images, without validation scores and best checkpoint.
        image_size: side of the square images (shorter side resized, centre cropped); None keeps the data
            set's own size.
        short_side: length that the shorter side is resized to before the centre crop; default
            ``image_size``.
        train_limit: number of training images to use, with the proportions of the classes; None uses all.
        num_workers: processes that prepare batches. 0 is best unless files are decoded on demand.
        download: True to download a missing data set, if possible.
        seed: seed, together with the epoch, of the order of the training images.
        split_seed: seed of the choice of validation images.

    Raises:
        UsageError: an option is out of range.
    """

    name: str
    num_classes: int
    class_names: tuple[str, ...]
    multi_label: bool = False
    masks: bool = False
    native_size: int | None = None
    known_statistics: tuple[tuple[float, float, float], tuple[float, float, float]] | None = None

    def __init__(
        self,
        root: str | None = None,
        batch_size: int = 128,
        val_size: int | float = 0.1,
        image_size: int | None = None,
        short_side: int | None = None,
        train_limit: int | None = None,
        num_workers: int = 0,
        download: bool = False,
        seed: int = 0,
        split_seed: int = 0,
    ) -> None:
        super().__init__()
        check_at_least(1, batch_size=batch_size, image_size=image_size, train_limit=train_limit)
        if image_size is not None and image_size > MOST_SIDE:
            raise UsageError(f"image_size is {quoted(image_size)}: choose at most {MOST_SIDE}.")
        if short_side is not None and short_side < (image_size or short_side + 1):
            raise UsageError(f"short_side is {short_side}: set image_size to at most that.")
        check_at_least(0, num_workers=num_workers, seed=seed, split_seed=split_seed)
        self.root = data_root(root)
        self.batch_size = batch_size
        self.val_size = val_size
        self.resize = image_size
        self.short_side = short_side
        self.train_limit = train_limit
        self.num_workers = num_workers
        self.download = download
        self.seed = seed
        self.split_seed = split_seed

    @abstractmethod
    def load_split(self, part: str) -> ImageSplit | None:
        """Read "train", "val" or "test"; return None for "val" if the data set has none."""

    def required_split(self, part: str) -> ImageSplit:
        """Read a part that every data set has; raise ColorCNNError if it is empty."""
        split = self.load_split(part)
        if split is None or not len(split):
            raise ColorCNNError(f"{self.name} has no {part} images: check the data set below {self.root}.")
        return split

    @cached_property
    def _train_and_val(self) -> tuple[ImageSplit, ImageSplit]:
        whole, val = self.required_split("train"), self.load_split("val")
        if val is not None:
            return whole, val
        if not self.val_size:
            return whole, whole.take(np.arange(0))
        first, second = stratified_cut(whole.labels.numpy(), self.val_size, self.split_seed)
        # Folders are sorted by class. After a shuffle the first images of val are a fair sample.
        second = np.random.RandomState(self.split_seed).permutation(second)
        return whole.take(first), whole.take(second)

    @cached_property
    def train(self) -> ImageSplit:
        """The training split."""
        whole = self._train_and_val[0]
        if self.train_limit is None or self.train_limit >= len(whole):
            return whole
        return whole.take(stratified_cut(whole.labels.numpy(), self.train_limit, self.split_seed)[1])

    @cached_property
    def val(self) -> ImageSplit:
        """The validation split, for choices and tuning."""
        return self._train_and_val[1]

    @cached_property
    def test(self) -> ImageSplit:
        """The test split, which is never used for choices."""
        return self.required_split("test")

    @cached_property
    def all(self) -> ImageSplit:
        """All images: train, then val, then test."""
        parts = [self.load_split(part) for part in ("train", "val", "test")]
        return join_splits([part for part in parts if part is not None and len(part)])

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W) of every image; the data are read if neither an option nor the class fixes it."""
        side = self.resize or self.native_size
        return (side, side) if side else self.train.image_size

    @property
    def mean(self) -> tuple[float, ...]:
        """Mean of the training images' channels, in [0, 1]."""
        return self._statistics[0]

    @property
    def std(self) -> tuple[float, ...]:
        """Standard deviation of the training images' channels, in [0, 1]."""
        return self._statistics[1]

    @cached_property
    def _statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        if self.known_statistics is not None:
            return self.known_statistics
        return channel_statistics(self._train_and_val[0])

    def setup(self, stage: str | None) -> None:
        """Read the splits that ``stage`` needs: fit, validate, test or predict; None reads all."""
        needed = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",), "predict": ("test",)}
        for part in needed.get(stage or "", ("train", "val", "test")):
            getattr(self, part)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return the loader of train, shuffled by seed and epoch, without the last, incomplete batch."""
        if len(self.train) < self.batch_size:
            raise UsageError(
                f"batch_size is {self.batch_size} and {self.name} has {len(self.train)} training images: "
                "choose a smaller batch_size."
            )
        rank, processes = self._rank_and_processes()
        if len(self.train) < self.batch_size * processes:
            raise UsageError(
                f"{self.name} has {len(self.train)} training images, fewer than {processes} batches of "
                f"batch_size {self.batch_size}: choose a smaller batch_size, or fewer devices."
            )
        sampler = EpochSampler(len(self.train), self.seed, rank, processes)
        if self.trainer is not None:
            sampler.set_epoch(self.trainer.current_epoch)
        return self._loader(self.train, sampler)

    def val_dataloader(self) -> DataLoader[Batch] | list[Any]:
        """Return the loader of val, in order; an empty list if ``val_size`` is 0."""
        return self._loader(self.val) if len(self.val) else []

    def test_dataloader(self) -> DataLoader[Batch]:
        """Return the loader of test, in order."""
        return self._loader(self.test)

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Return the loader of test, in order."""
        return self._loader(self.test)

    def _rank_and_processes(self) -> tuple[int, int]:
        """Return the number of this process, and the number of processes."""
        if self.trainer is None:
            return 0, 1
        return self.trainer.global_rank, self.trainer.world_size

    def _loader(self, split: ImageSplit, sampler: EpochSampler | None = None) -> DataLoader[Batch]:
        rank, processes = self._rank_and_processes()
        batches: dict[str, Any] = {"batch_size": self.batch_size, "sampler": sampler}
        batches["drop_last"] = sampler is not None
        if sampler is None and processes > 1:
            batches = {"batch_sampler": SharedBatches(len(split), self.batch_size, rank, processes)}
        return DataLoader(
            split,
            **batches,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            collate_fn=as_is,
            pin_memory=torch.cuda.is_available(),
            # A loader without its own generator uses the global one, so that evaluation would change
            # training.
            generator=torch.Generator().manual_seed(self.seed),
        )


_Channels = tuple[float, float, float]


def channel_statistics(split: ImageSplit) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return each channel's mean and standard deviation over at most 10,000 images; cache them on disk."""
    path = cache_folder() / "statistics" / f"{split.key}.json"
    with contextlib.suppress(OSError, ValueError, msgspec.DecodeError):  # a damaged file is written again
        return msgspec.json.decode(path.read_bytes(), type=tuple[_Channels, _Channels])
    chosen = np.linspace(0, len(split) - 1, min(len(split), _STATISTICS_IMAGES)).astype(np.int64)
    count, total, squares = 0, np.zeros(3), np.zeros(3)
    for positions in np.array_split(chosen, -(-len(chosen) // 128)):
        values = split.pixels(positions).reshape(-1, 3) / 255.0
        count += len(values)
        total += values.sum(0)
        squares += (values**2).sum(0)
    deviation = np.sqrt(np.maximum(squares / count - (total / count) ** 2, 0))
    mean, std = (tuple(round(float(value), 4) for value in values) for values in (total / count, deviation))
    # A constant channel would cause a division by 0.
    std = tuple(max(value, 1e-3) for value in std)
    write_atomically(path, json.dumps([mean, std]).encode())
    return mean, std
