"""Quantized stores as training data: a torch Dataset and a DataModule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from colorcnn.data.base import ImageDataModule
from colorcnn.data.copies import CopiesModule
from colorcnn.data.datasets import ImageSplit
from colorcnn.data.decode import fit_image, fitted_key
from colorcnn.data.folders import FolderModule
from colorcnn.dcq.sources import ArrayImages, FileImages, ImageSource
from colorcnn.dcq.storage import Store
from colorcnn.errors import UsageError


class QuantizedDataset(Dataset[tuple[Any, Tensor]]):
    """The images of a store, for your own training loop.

    Args:
        root: the store's folder.
        transform: function of an image's uint8 tensor (3, H, W), whose result replaces the tensor.

    Raises:
        UsageError: the folder is not a store.
        ColorCNNError: the store is damaged.
    """

    def __init__(self, root: str, transform: Callable[[Tensor], Any] | None = None) -> None:
        self.store = Store(root)
        self.transform = transform
        self.classes = self.store.class_names
        self.labels = torch.from_numpy(np.ascontiguousarray(self.store.labels))

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, image: int) -> tuple[Any, Tensor]:
        """Return an image, uint8 (3, H, W) or the result of ``transform``, and its label or labels."""
        return self.__getitems__([range(len(self))[image]])[0]

    def __getitems__(self, images: Sequence[int]) -> list[tuple[Any, Tensor]]:
        """Return several images with labels; a DataLoader calls this."""
        pictures = self.store.read(images)
        tensors = [torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))) for picture in pictures]
        changed = tensors if self.transform is None else [self.transform(tensor) for tensor in tensors]
        return [(tensor, self.labels[image]) for tensor, image in zip(changed, images, strict=True)]


class StorePixels:
    """The pixels (N, H, W, 3) of a store, decoded on access.

    Args:
        store: the images.
        size: side of the square images; None if all have one size.
        short_side: length of the shorter side before the centre crop; default ``size``.

    Raises:
        UsageError: sizes differ and ``size`` is None.
    """

    def __init__(self, store: Store, size: int | None, short_side: int | None = None) -> None:
        common = (size, size) if size else store.image_size
        if common is None:
            raise UsageError(
                f"The images of {store.root} differ in size",
                "resize them with image_size, such as 224",
                code="sizes-differ",
                size=224,
            )
        self.store = store
        self.size = size
        self.short_side = short_side
        self.shape = (len(store), *common, 3)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Decode these images; raise ColorCNNError if the store is damaged."""
        pixels = np.empty((len(rows), *self.shape[1:]), np.uint8)
        for number, picture in enumerate(self.store.read(rows)):
            pixels[number] = fit_image(Image.fromarray(picture), self.size, self.short_side)
        return pixels

    @property
    def key(self) -> str:
        """Key of the content in cache keys."""
        if self.size is None:
            return self.store.key
        return fitted_key(self.store.key, self.size, self.short_side)


class QuantizedFolder(CopiesModule):
    """A quantized store as training images; val and test images are originals.

    For the splits see :class:`CopiesModule`.

    Args:
        root: the store's folder.
        originals: the original data set, a known name or a folder; None uses the data set that the store
            records.
        originals_root: the folder that holds the original data set; default $COLORCNN_DATA, else ``data``.
        statistics: channel statistics for the normalisation: those of the ``original`` training images, since
            test images are originals, or of the ``quantized`` images.
        options: ``test_size`` of :class:`CopiesModule`, and options of :class:`ImageDataModule`.

    Raises:
        UsageError: the folder is not a store, or an option is out of range.
        ColorCNNError: the store is damaged.
    """

    def __init__(
        self,
        root: str,
        originals: str | None = None,
        originals_root: str | None = None,
        statistics: Literal["original", "quantized"] = "original",
        **options: Any,
    ) -> None:
        super().__init__(root, originals, originals_root, **options)
        if statistics not in ("original", "quantized"):
            raise UsageError(f"statistics is {statistics!r}: choose original or quantized.")
        self.store = Store(root)
        manifest = self.store.manifest
        self.made_from = manifest.data
        self.name = Path(root).resolve().name
        self.class_names = manifest.classes
        self.num_classes = len(manifest.classes)
        self.multi_label = manifest.multi_label
        if manifest.size is not None and manifest.size[0] == manifest.size[1]:
            self.native_size = manifest.size[0]
        mean, std = manifest.statistics[statistics]
        self.known_statistics = (mean, std)

    @property
    def rows(self) -> np.ndarray:
        """See :class:`CopiesModule`."""
        return self.store.rows

    @property
    def names(self) -> Sequence[str | None]:
        """See :class:`CopiesModule`."""
        return [self.store.name(image) for image in range(len(self.store))]

    @property
    def copied_labels(self) -> np.ndarray:
        """See :class:`CopiesModule`."""
        return self.store.labels

    def copies(self) -> ImageSplit:
        """See :meth:`CopiesModule.copies`."""
        pixels = StorePixels(self.store, self.resize, self.short_side)
        return ImageSplit(pixels, self.store.labels, key=pixels.key)


def training_images(data: ImageDataModule, shorter_side: int | None = None) -> ImageSource:
    """Return all training images of a data set at their own sizes, including val images cut from train.

    Args:
        data: the data set.
        shorter_side: images with a larger shorter side are scaled to this one; None scales none.

    Raises:
        UsageError: ``shorter_side`` is given for images in memory.
        ColorCNNError: the data set has no training images.
    """
    if isinstance(data, QuantizedFolder):
        return data.store
    if isinstance(data, FolderModule) and data.resize is None:
        listing = data.list_split("train")
        files, labels = listing if listing is not None else ([], np.empty(0, np.int64))
        return FileImages(files, labels, data.class_names, shorter_side=shorter_side)
    if shorter_side is not None:
        raise UsageError(
            f"{data.name} is in memory in one size",
            "choose another size with image_size instead",
            code="one-size",
        )
    split = data.required_split("train")
    pixels = split.pixels(slice(None))
    paths = [split.name(image) for image in range(len(split))]
    names = [path.rpartition("/")[2] for path in paths if path is not None]
    return ArrayImages(pixels, split.labels.numpy(), data.class_names, key=split.key, names=names or None)
