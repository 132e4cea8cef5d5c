"""Training data of compressors: vectors of a known source, and random crops of images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from colorcnn.data.folders import find_folder
from colorcnn.data.registry import data_root
from colorcnn.errors import UsageError, check_at_least
from colorcnn.vq.sources import (
    TEST_SIZE,
    create_source,
    list_pictures,
    random_crops,
    read_pixels,
)

_PART = 65_536  # vectors per validation or test batch


class StepSampler(Sampler[int]):
    """Sampler of step numbers that continue over epochs, so that a resumed run draws the same batches."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, counted from 0; Lightning calls it before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[int]:
        # A generator, because on resume the epoch is set after the iterator was created.
        yield from range(self.epoch * self.steps, (self.epoch + 1) * self.steps)


class _Draws(Dataset[Tensor]):
    """Dataset with a batch for every step, drawn on access."""

    def __init__(self, draw: DrawnData) -> None:
        self.draw = draw

    def __getitem__(self, step: int) -> Tensor:
        return self.draw.draw_batch(step)


class DrawnData(pl.LightningDataModule, ABC):
    """Base class of data that draw a new batch for every step.

    Args:
        batch_size: vectors or crops per batch.
        epoch_steps: batches per epoch.
        num_workers: processes that draw batches.
        seed: seed, together with the step, of the training batches.

    Raises:
        UsageError: an option is out of range.
    """

    source_dimension: int | None = None
    """Dimension of vectors; None for images."""

    def __init__(self, batch_size: int, epoch_steps: int, num_workers: int = 0, seed: int = 0) -> None:
        super().__init__()
        check_at_least(1, batch_size=batch_size, epoch_steps=epoch_steps)
        check_at_least(0, num_workers=num_workers, seed=seed)
        self.batch_size = batch_size
        self.epoch_steps = epoch_steps
        self.num_workers = num_workers
        self.seed = seed

    @abstractmethod
    def draw_batch(self, step: int) -> Tensor:
        """Return the training batch of a step."""

    def train_dataloader(self) -> DataLoader[Tensor]:
        """Return the loader of an epoch's batches."""
        sampler = StepSampler(self.epoch_steps)
        if self.trainer is not None:
            sampler.set_epoch(self.trainer.current_epoch)
        return self._loader(_Draws(self), sampler)

    def _loader(self, data: Dataset[Tensor], sampler: StepSampler | None = None) -> DataLoader[Tensor]:
        return DataLoader(
            data,
            batch_size=None,
            sampler=sampler,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            # A loader without its own generator uses the global one, so that evaluation would change
            # training.
            generator=torch.Generator().manual_seed(self.seed),
        )


class VectorSource(DrawnData):
    """Vectors of a source in :data:`colorcnn.vq.sources.SOURCES`.

    Args:
        source: name of the source.
        dimension: dimension of the vectors; None for the source's default.
        batch_size: vectors per batch.
        epoch_steps: batches per epoch.
        val_size: number of validation vectors.
        test_size: number of test vectors, always the same.
        num_workers: processes that draw batches.
        seed: seed, together with the step, of the training batches.

    Raises:
        UsageError: an option is out of range.
    """

    def __init__(
        self,
        source: str,
        dimension: int | None = None,
        batch_size: int = 1024,
        epoch_steps: int = 500,
        val_size: int = 100_000,
        test_size: int = TEST_SIZE,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, epoch_steps, num_workers, seed)
        if min(val_size, test_size) < 1:
            raise UsageError(f"val_size {val_size} and test_size {test_size}: choose at least 1 of each.")
        self.source = create_source(source, dimension)
        self.source_dimension = self.source.dimension
        self.val_size = val_size
        self.test_size = test_size

    def draw_batch(self, step: int) -> Tensor:
        """See :meth:`DrawnData.draw_batch`; (batch_size, d)."""
        # A separate stream, because all else is seeded from (seed, epoch). With the same random numbers for
        # the first batch and for the choice of the first codewords, all codewords would be outliers.
        mixed = np.random.SeedSequence([self.seed, step], spawn_key=(1,)).generate_state(1)
        return self.source.sample(self.batch_size, torch.Generator().manual_seed(int(mixed[0])))

    def val_dataloader(self) -> DataLoader[Tensor]:
        """Return the loader of the validation vectors, always the same."""
        return self._loader(_Parts(self.source.val_set(self.val_size)))

    def test_dataloader(self) -> DataLoader[Tensor]:
        """Return the loader of the test vectors."""
        return self._loader(_Parts(self.source.test_set(self.test_size)))

    predict_dataloader = test_dataloader


class _Parts(Dataset[Tensor]):
    def __init__(self, vectors: Tensor) -> None:
        self.parts = vectors.split(_PART)

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, part: int) -> Tensor:
        return self.parts[part]


class PictureCrops(DrawnData):
    """Random crops of the images in a folder; validation and test use whole images, one at a time.

    Args:
        path: folder of the training images, absolute, relative, or below ``root``.
        test_path: folder of the test images; None sets some training images aside.
        crop_size: side of the crops.
        val_images: number of images set aside for validation.
        test_images: number of images set aside for the test if ``test_path`` is None.
        root: folder that holds the data sets; default $COLORCNN_DATA, else ``data``.
        batch_size: crops per batch.
        epoch_steps: batches per epoch.
        num_workers: processes that draw batches.
        seed: seed, together with the step, of the training batches.

    Raises:
        UsageError: the folder is missing or holds too few images, or an option is out of range.
    """

    def __init__(
        self,
        path: str,
        test_path: str | None = None,
        crop_size: int = 256,
        val_images: int = 24,
        test_images: int = 24,
        root: str | None = None,
        batch_size: int = 8,
        epoch_steps: int = 1000,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, epoch_steps, num_workers, seed)
        check_at_least(1, crop_size=crop_size, val_images=val_images, test_images=test_images)
        self.folder = find_folder(path, data_root(root))
        self.test_folder = None if test_path is None else find_folder(test_path, data_root(root))
        self.crop_size = crop_size
        self.val_images = val_images
        self.test_images = test_images

    @cached_property
    def files(self) -> dict[str, list[Path]]:
        """The files of train, val and test; the choice of val and test never changes."""
        found = list_pictures(self.folder)
        kept = self.val_images + (self.test_images if self.test_folder is None else 0)
        if kept >= len(found):
            raise UsageError(
                f"{self.folder} holds {len(found)} images, and {kept} of them would be kept from training: "
                "choose smaller val_images and test_images, or use another folder."
            )
        order = [found[number] for number in np.random.RandomState(0).permutation(len(found))]
        own_test = order[self.val_images : kept]
        test = own_test if self.test_folder is None else list_pictures(self.test_folder)
        return {"val": order[: self.val_images], "test": test, "train": order[kept:]}

    def draw_batch(self, step: int) -> Tensor:
        """See :meth:`DrawnData.draw_batch`; uint8 (batch_size, 3, crop_size, crop_size)."""
        return random_crops(self.files["train"], self.batch_size, self.crop_size, (self.seed, step))

    def val_dataloader(self) -> DataLoader[Tensor]:
        """Return the loader of whole validation images, uint8 (1, 3, H, W)."""
        return self._loader(_WholeImages(self.files["val"]))

    def test_dataloader(self) -> DataLoader[Tensor]:
        """Return the loader of whole test images, uint8 (1, 3, H, W)."""
        return self._loader(_WholeImages(self.files["test"]))

    predict_dataloader = test_dataloader


class _WholeImages(Dataset[Tensor]):
    def __init__(self, files: list[Path]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, number: int) -> Tensor:
        return read_pixels(self.files[number])[None]
