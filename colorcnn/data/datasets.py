"""Splits of a data set: uint8 pixels of one size, labels, and their batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from colorcnn.data.cache import content_key
from colorcnn.errors import UsageError


def sent(values: Tensor, device: torch.device) -> Tensor:
    """Copy values to a device; to a GPU through pinned memory, without waiting on the host.

    Args:
        values: any tensor.
        device: the device.
    """
    if device.type == "cuda" and values.device.type == "cpu":
        values = values.pin_memory()
    return values.to(device, non_blocking=device.type != "cpu")


class Batch(NamedTuple):
    """A batch of a DataLoader.

    ``images`` is uint8 (B, 3, H, W). ``labels`` is int64 (B,), float32 (B, classes) of 0 and 1 for several
    labels, or uint8 (B, H, W) masks. ``index`` is int64 (B,), the images' positions in their split.
    """

    images: Tensor
    labels: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which a batch does not need


class PixelSource(Protocol):
    """A uint8 array (N, H, W, 3), or an object that can be indexed by an array of rows."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W, 3)."""

    def __getitem__(self, rows: np.ndarray, /) -> np.ndarray:
        """Return the pixels (n, H, W, 3) of ``rows`` (n,)."""


class ImageSplit(Dataset[Batch]):
    """One split of a data set.

    Args:
        pixels: uint8 (N, H, W, 3): an array, a memory map, or files decoded on demand.
        labels: (N,) integers, (N, classes) of 0 and 1, or (N, H, W) uint8 masks of class numbers.
        key: name of the content in cache keys; by default a hash of the pixels.
        rows: rows of ``pixels`` (and ``labels``) in the split, in order; default all.
        names: relative paths, with ``/``, of the files that the rows of ``pixels`` come from.
    """

    def __init__(
        self,
        pixels: PixelSource,
        labels: np.ndarray,
        *,
        key: str | None = None,
        rows: np.ndarray | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        if len(labels) != pixels.shape[0]:
            raise ValueError(f"{pixels.shape[0]} images and {len(labels)} labels")
        self._pixels = pixels
        self._all_labels = labels
        self._names = names
        self._key = key if key is not None else content_key(np.asarray(pixels))
        self._rows = np.arange(len(labels)) if rows is None else np.asarray(rows, dtype=np.int64)
        kind = {1: torch.int64, 2: torch.float32, 3: torch.uint8}[labels.ndim]
        self.labels: Tensor = torch.as_tensor(labels[self._rows]).to(kind)

    @property
    def key(self) -> str:
        """Name of this split's pixels, in their order, in cache keys."""
        return content_key(self._key, self._rows)

    @property
    def rows(self) -> np.ndarray:
        """(N,) int64, row of each image in the pixels of the whole set."""
        return self._rows

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W)."""
        return int(self._pixels.shape[1]), int(self._pixels.shape[2])

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        height, width = self.image_size
        return f"ImageSplit({len(self)} x {height} x {width})"

    def take(self, positions: np.ndarray | Sequence[int]) -> ImageSplit:
        """Return the split of these positions, in this order; the pixels are shared."""
        rows = self._rows[np.asarray(positions, dtype=np.int64)]
        return ImageSplit(self._pixels, self._all_labels, key=self._key, rows=rows, names=self._names)

    def name(self, position: int) -> str | None:
        """Return the name of an image's file, or None for images in memory."""
        return None if self._names is None else self._names[self._rows[position]]

    def pixels(self, positions: np.ndarray | Sequence[int] | slice) -> np.ndarray:
        """Return the pixels uint8 (n, H, W, 3) of these positions."""
        return np.asarray(self._pixels[self._rows[positions]])

    def __getitem__(self, position: int) -> Batch:
        """Return one image as a Batch without the batch dimension."""
        batch = self.__getitems__([range(len(self))[position]])
        return Batch(batch.images[0], batch.labels[0], batch.index[0])

    def __getitems__(self, positions: Sequence[int]) -> Batch:
        """Return a whole batch; use :func:`as_is` as ``collate_fn``."""
        chosen = np.asarray(positions, dtype=np.int64)
        # Copied by numpy, because starting torch's threads takes longer than a batch on a busy machine.
        images = torch.from_numpy(np.ascontiguousarray(self.pixels(chosen).transpose(0, 3, 1, 2)))
        index = torch.from_numpy(chosen)
        return Batch(images, self.labels[index], index)


class _Joined:
    """The concatenated pixels of several splits.

    Args:
        splits: splits with images of one size.
    """

    def __init__(self, splits: Sequence[ImageSplit]) -> None:
        self.splits = splits
        self.starts = np.cumsum([0, *map(len, splits)])
        self.shape = (int(self.starts[-1]), *splits[0].image_size, 3)

    def __getitem__(self, rows: np.ndarray, /) -> np.ndarray:
        """Return the pixels (n, H, W, 3) of ``rows`` (n,)."""
        rows = np.asarray(rows)
        pixels = np.empty((len(rows), *self.shape[1:]), dtype=np.uint8)
        for split, start, stop in zip(self.splits, self.starts, self.starts[1:]):
            chosen = (rows >= start) & (rows < stop)
            if chosen.any():
                pixels[chosen] = split.pixels(rows[chosen] - start)
        return pixels


def join_splits(splits: Sequence[ImageSplit]) -> ImageSplit:
    """Concatenate splits.

    Args:
        splits: at least one, with images of one size and labels of one kind.

    Raises:
        UsageError: the images differ in size.
    """
    if len(splits) == 1:
        return splits[0]
    if len({split.image_size for split in splits}) > 1:
        raise UsageError("The splits have images of several sizes: choose one with image_size.")
    labels = np.concatenate([split.labels.numpy() for split in splits])
    named = [[split.name(image) for image in range(len(split))] for split in splits]
    names = [name or "" for names in named for name in names]
    key = content_key(*(split.key for split in splits))
    return ImageSplit(_Joined(splits), labels, key=key, names=names if all(names) else None)


class InOrder:
    """The batches of a split in its order, from any first image.

    Args:
        dataset: the split.
        batch_size: images per batch.
        first: position of the first image.
    """

    def __init__(self, dataset: ImageSplit, batch_size: int, first: int = 0) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.first = first

    def __iter__(self) -> Iterator[Batch]:
        for start in range(self.first, len(self.dataset), self.batch_size):
            yield self.dataset.__getitems__(range(start, min(start + self.batch_size, len(self.dataset))))

    def after(self, images: int) -> InOrder:
        """Return the batches after a number of images."""
        return InOrder(self.dataset, self.batch_size, self.first + images)


def as_is(batch: Any) -> Any:
    """Return a batch unchanged: the ``collate_fn`` of an :class:`ImageSplit`."""
    return batch
