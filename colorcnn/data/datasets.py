"""One split of a data set: uint8 pixels of one size, labels, and batches taken from them at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from colorcnn.data.cache import content_key


class Batch(NamedTuple):
    """A batch as a DataLoader yields it.

    ``images`` is uint8 (B, 3, H, W); ``labels`` is int64 (B,), float32 (B, classes) of 0 and 1 where an image
    has several, or uint8 (B, H, W) masks; ``index`` is int64 (B,), the images' positions in their split.
    """

    images: Tensor
    labels: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody needs of a batch


class PixelSource(Protocol):
    """An array (N, H, W, 3) of uint8, or what answers like one to an array of rows."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W, 3)."""

    def __getitem__(self, rows: np.ndarray, /) -> np.ndarray:
        """The pixels (n, H, W, 3) of ``rows`` (n,)."""


class ImageSplit(Dataset[Batch]):
    """One split of a data set.

    Args:
        pixels: uint8 (N, H, W, 3): an array, a memory map, or files decoded on demand.
        labels: (N,) integers, (N, classes) of 0 and 1, or (N, H, W) uint8 masks of class numbers.
        key: names the content in cache keys; by default computed from the pixels.
        rows: which rows of ``pixels`` (and ``labels``) belong to the split, in order; default all.
    """

    def __init__(
        self,
        pixels: PixelSource,
        labels: np.ndarray,
        *,
        key: str | None = None,
        rows: np.ndarray | None = None,
    ) -> None:
        if len(labels) != pixels.shape[0]:
            raise ValueError(f"{pixels.shape[0]} images and {len(labels)} labels")
        self._pixels = pixels
        self._all_labels = labels
        self._key = key if key is not None else content_key(np.asarray(pixels))
        self._rows = np.arange(len(labels)) if rows is None else np.asarray(rows, dtype=np.int64)
        kind = {1: torch.int64, 2: torch.float32, 3: torch.uint8}[labels.ndim]
        self.labels: Tensor = torch.as_tensor(labels[self._rows]).to(kind)

    @property
    def key(self) -> str:
        """Names this split's pixels, in their order, in cache keys."""
        return content_key(self._key, self._rows)

    @property
    def rows(self) -> np.ndarray:
        """(N,) int64: which row of the whole set's pixels each image is."""
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
        """The split of these positions, in this order, sharing the pixels."""
        rows = self._rows[np.asarray(positions, dtype=np.int64)]
        return ImageSplit(self._pixels, self._all_labels, key=self._key, rows=rows)

    def pixels(self, positions: np.ndarray | Sequence[int] | slice) -> np.ndarray:
        """uint8 (n, H, W, 3) pixels of these positions."""
        return np.asarray(self._pixels[self._rows[positions]])

    def __getitem__(self, position: int) -> Batch:
        """One image as a Batch without the batch dimension."""
        batch = self.__getitems__([range(len(self))[position]])
        return Batch(batch.images[0], batch.labels[0], batch.index[0])

    def __getitems__(self, positions: Sequence[int]) -> Batch:
        """A batch at once; :func:`as_is` is the ``collate_fn`` that goes with it."""
        chosen = np.asarray(positions, dtype=np.int64)
        # numpy makes the copy: torch would wake its threads, which costs more than a batch on a busy machine.
        images = torch.from_numpy(np.ascontiguousarray(self.pixels(chosen).transpose(0, 3, 1, 2)))
        index = torch.from_numpy(chosen)
        return Batch(images, self.labels[index], index)


class InOrder:
    """The batches of a split in its order, of which those behind the first images can be asked for.

    Args:
        dataset: the split.
        batch_size: images at a time.
        first: where to begin.
    """

    def __init__(self, dataset: ImageSplit, batch_size: int, first: int = 0) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.first = first

    def __iter__(self) -> Iterator[Batch]:
        for start in range(self.first, len(self.dataset), self.batch_size):
            yield self.dataset.__getitems__(range(start, min(start + self.batch_size, len(self.dataset))))

    def after(self, images: int) -> InOrder:
        """The batches behind so many images."""
        return InOrder(self.dataset, self.batch_size, self.first + images)


def as_is(batch: Any) -> Any:
    """The ``collate_fn`` of an :class:`ImageSplit`, whose batches are ready."""
    return batch
