"""Training sets of compressed copies; val and test images come from the original data set."""

from __future__ import annotations

import logging
from abc import abstractmethod
from functools import cached_property
from typing import Any

import numpy as np

from colorcnn.data.base import ImageDataModule
from colorcnn.data.cuts import stratified_cut
from colorcnn.data.datamodule import open_data
from colorcnn.data.datasets import ImageSplit
from colorcnn.data.decode import decode_files
from colorcnn.data.folders import FolderModule
from colorcnn.errors import UsageError

_log = logging.getLogger(__name__)


class CopiesModule(ImageDataModule):
    """Base class of copies of an original data set's training images, or of some of them.

    The training split has all copies except those whose originals are val images. The val and test splits are
    those of the original data set. If it is not found and ``originals`` is None, val is cut from the copies,
    and there is no test split.

    Args:
        root: the folder of the copies.
        originals: the original data set, a known name or a folder; None uses ``made_from``.
        originals_root: the folder that holds the original data set; default $COLORCNN_DATA, else ``data``.
        options: options of :class:`ImageDataModule`.
    """

    made_from: str = ""
    """Original data set, as recorded in the copies."""

    def __init__(
        self, root: str, originals: str | None = None, originals_root: str | None = None, **options: Any
    ) -> None:
        super().__init__(root=root, **options)
        self.originals = originals
        self.originals_root = originals_root

    @property
    @abstractmethod
    def rows(self) -> np.ndarray:
        """(n,) ascending, position of each copy's original among the original training images."""

    @property
    @abstractmethod
    def copied_labels(self) -> np.ndarray:
        """(n,) or (n, classes), the copies' labels."""

    @abstractmethod
    def copies(self) -> ImageSplit:
        """Return all copies."""

    @cached_property
    def original_data(self) -> ImageDataModule | None:
        """The original data set, or None if ``originals`` is None and it is not found.

        Raises:
            UsageError: ``originals`` is not found, or the copies are of other images.
        """
        options = {
            "root": self.originals_root,
            "image_size": self.resize,
            "download": self.download,
            "val_size": self.val_size,
        }
        try:
            data = open_data(self.originals or self.made_from, batch_size=self.batch_size, **options)
            labels = _training_labels(data)
        except UsageError as error:
            if self.originals is not None:
                raise
            _log.warning("%s: val is cut from the copies, there is no test split (%s)", self.root.name, error)
            return None
        rows, own = self.rows, self.copied_labels
        if rows.max() >= len(labels) or not np.array_equal(labels[rows], own):
            raise UsageError(
                f"{self.root.name} was not made from the training images of {data.name}",
                "give the right data set with originals",
                code="wrong-originals",
            )
        return data

    def load_split(self, part: str) -> ImageSplit | None:
        """See :meth:`ImageDataModule.load_split`; "train" is all copies."""
        if part == "train":
            return self.copies()
        data = self.original_data
        if data is not None:
            return data.load_split(part)
        if part == "val":
            return None
        raise UsageError(
            f"{self.name} has no test images, and its original data set {self.made_from!r} is not found",
            "give it with originals, or its root folder with COLORCNN_DATA",
            code="missing-originals",
        )

    @cached_property
    def _train_and_val(self) -> tuple[ImageSplit, ImageSplit]:
        data = self.original_data
        whole = self.required_split("train")
        if data is None:
            first, second = stratified_cut(whole.labels.numpy(), self.val_size, self.split_seed)
            return whole.take(first), whole.take(second)
        val = data.load_split("val")
        if val is not None:
            return whole, val
        # The same cut as for training on the originals, so that both have the same val images.
        _, second = stratified_cut(_training_labels(data), self.val_size, self.split_seed)
        second = np.random.RandomState(self.split_seed).permutation(second)
        return whole.take(np.flatnonzero(~np.isin(self.rows, second))), _originals(data, second)


def _training_labels(data: ImageDataModule) -> np.ndarray:
    """Return the labels of all training images, without decoding files."""
    if isinstance(data, FolderModule):
        listing = data.list_split("train")
        return np.empty(0) if listing is None else listing[1]
    return data.required_split("train").labels.numpy()


def _originals(data: ImageDataModule, rows: np.ndarray) -> ImageSplit:
    """Return some of the training images; only their files are decoded."""
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
