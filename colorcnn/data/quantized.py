"""Train from a quantized store: its images as a torch Dataset and as a DataModule."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from colorcnn.data.base import ImageDataModule
from colorcnn.data.datamodule import open_data
from colorcnn.data.datasets import ImageSplit
from colorcnn.data.decode import decode_files, fit_image
from colorcnn.data.folders import FolderModule
from colorcnn.data.sampling import stratified_cut
from colorcnn.dcq.sources import ArrayImages, FileImages, ImageSource
from colorcnn.dcq.storage import Store
from colorcnn.errors import UsageError

_log = logging.getLogger(__name__)


class QuantizedDataset(Dataset[tuple[Any, Tensor]]):
    """The images of a store, for a training loop of one's own.

    Args:
        root: the store's folder.
        transform: is given the uint8 tensor (3, H, W) of an image; what it returns takes its place.

    Raises:
        UsageError: the folder is no store.
        ColorCNNError: it is damaged.
    """

    def __init__(self, root: str, transform: Callable[[Tensor], Any] | None = None) -> None:
        self.store = Store(root)
        self.transform = transform
        self.classes = self.store.class_names
        self.labels = torch.from_numpy(np.ascontiguousarray(self.store.labels))

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, image: int) -> tuple[Any, Tensor]:
        """An image, uint8 (3, H, W) or what ``transform`` makes of it, and its label (or several)."""
        return self.__getitems__([range(len(self))[image]])[0]

    def __getitems__(self, images: Sequence[int]) -> list[tuple[Any, Tensor]]:
        """Several at once, which a DataLoader asks for."""
        pictures = self.store.read(images)
        tensors = [torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))) for picture in pictures]
        changed = tensors if self.transform is None else [self.transform(tensor) for tensor in tensors]
        return [(tensor, self.labels[image]) for tensor, image in zip(changed, images, strict=True)]


class StorePixels:
    """The pixels (N, H, W, 3) of a store, decoded when they are asked for.

    Args:
        store: the images.
        size: side of the square that images are brought to; None where all have one size.

    Raises:
        UsageError: sizes differ and ``size`` is None.
    """

    def __init__(self, store: Store, size: int | None) -> None:
        common = (size, size) if size else store.image_size
        if common is None:
            raise UsageError(
                f"The images of {store.root} differ in size: bring them to one with image_size, such as "
                "--data.init_args.image_size 224."
            )
        self.store = store
        self.size = size
        self.shape = (len(store), *common, 3)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Decode these images; raises ColorCNNError where the store is damaged."""
        pixels = np.empty((len(rows), *self.shape[1:]), np.uint8)
        for place, picture in enumerate(self.store.read(rows)):
            pixels[place] = fit_image(Image.fromarray(picture), self.size) if self.size else picture
        return pixels


class QuantizedFolder(ImageDataModule):
    """A store that ``colorcnn dcq build`` has made, to train on; what is measured is measured on originals.

    The training split is the store's, less the images that become val. The val and test splits are those of
    the original data set. Where that is not at hand, val is cut from the store, and there is no test split.

    Args:
        root: the store's folder.
        originals: the original data set, a known name or a folder; by default what the store says it is made
            from, where that is found.
        originals_root: the folder that holds the original data set; default $COLORCNN_DATA, else ``data``.
        statistics: whose channel statistics normalise the images: those of the ``original`` training
            images, as the test images are originals, or of the ``quantized``.
        options: those of :class:`ImageDataModule`.

    Raises:
        UsageError: the folder is no store, or an option is out of range.
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
        super().__init__(root=root, **options)
        if statistics not in ("original", "quantized"):
            raise UsageError(f"statistics is {statistics!r}: choose original or quantized.")
        self.store = Store(root)
        manifest = self.store.manifest
        self.originals = originals
        self.originals_root = originals_root
        self.name = Path(root).resolve().name
        self.class_names = manifest.classes
        self.num_classes = len(manifest.classes)
        self.multi_label = manifest.multi_label
        if manifest.size is not None and manifest.size[0] == manifest.size[1]:
            self.native_size = manifest.size[0]
        mean, std = (tuple(values) for values in manifest.statistics[statistics])
        self.known_statistics = (mean, std)

    @cached_property
    def _original_data(self) -> ImageDataModule | None:
        """The original data set, or None where it was not named and is not found."""
        spec = self.originals or self.store.manifest.data
        options = {"root": self.originals_root, "image_size": self.resize, "download": self.download}
        try:
            data = open_data(spec, batch_size=self.batch_size, **options)
            labels = _training_labels(data)
        except UsageError as error:
            if self.originals is not None:
                raise
            _log.warning("%s: val is cut from the store, and there is no test split (%s)", self.name, error)
            return None
        rows = self.store.rows
        if rows.max() >= len(labels) or not np.array_equal(labels[rows], self.store.labels):
            raise UsageError(
                f"{self.name} was not made from the training images of {data.name}: name its own data set "
                "with --data.init_args.originals."
            )
        return data

    def load_split(self, part: str) -> ImageSplit | None:
        """See :meth:`ImageDataModule.load_split`; "train" is the whole store."""
        if part == "train":
            return ImageSplit(StorePixels(self.store, self.resize), self.store.labels, key=self.store.key)
        data = self._original_data
        if data is not None:
            return data.load_split(part)
        if part == "val":
            return None
        raise UsageError(
            f"{self.name} has no test images, and its original data set {self.store.manifest.data!r} is not "
            "found: name it with --data.init_args.originals, or its place with COLORCNN_DATA."
        )

    @cached_property
    def _train_and_val(self) -> tuple[ImageSplit, ImageSplit]:
        data = self._original_data
        whole = self.required_split("train")
        if data is None:
            first, second = stratified_cut(whole.labels.numpy(), self.val_size, self.split_seed)
            return whole.take(first), whole.take(second)
        val = data.load_split("val")
        if val is not None:
            return whole, val
        # The cut that training on the originals would make, so that both are judged by the same images.
        _, second = stratified_cut(_training_labels(data), self.val_size, self.split_seed)
        second = np.random.RandomState(self.split_seed).permutation(second)
        return whole.take(np.flatnonzero(~np.isin(self.store.rows, second))), _originals(data, second)


def _training_labels(data: ImageDataModule) -> np.ndarray:
    """The labels of all training images, without decoding files."""
    if isinstance(data, FolderModule):
        listing = data.list_split("train")
        return np.empty(0) if listing is None else listing[1]
    return data.required_split("train").labels.numpy()


def _originals(data: ImageDataModule, rows: np.ndarray) -> ImageSplit:
    """Some of the training images; of files only these are decoded."""
    listing = data.list_split("train") if isinstance(data, FolderModule) else None
    if listing is None or not isinstance(data, FolderModule):
        return data.required_split("train").take(rows)
    files, labels = listing
    pixels, kept, key = decode_files(
        [files[row] for row in rows],
        image_size=data.resize or data.native_size,
        on_corrupt=data.on_corrupt,
        cache=data.cache,
    )
    return ImageSplit(pixels, labels[rows], key=key, rows=kept)


def training_images(data: ImageDataModule, shorter_side: int | None = None) -> ImageSource:
    """All training images of a data set, val included where it is cut from them, at their own sizes.

    Args:
        data: the data set.
        shorter_side: bring larger images to this side; None keeps all as they are.

    Raises:
        UsageError: ``shorter_side`` for images that lie in memory.
        ColorCNNError: there are none.
    """
    if isinstance(data, QuantizedFolder):
        return data.store
    if isinstance(data, FolderModule) and data.resize is None:
        listing = data.list_split("train")
        files, labels = listing if listing is not None else ([], np.empty(0, np.int64))
        return FileImages(files, labels, data.class_names, shorter_side=shorter_side)
    if shorter_side is not None:
        raise UsageError(f"{data.name} lies in memory in one size: choose another with --image-size instead.")
    split = data.required_split("train")
    pixels = split.pixels(slice(None))
    return ArrayImages(pixels, split.labels.numpy(), data.class_names, key=split.key)
