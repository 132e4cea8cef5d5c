"""Training sets of compressed copies; val and test images come from the original data set."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from colorcnn.data.base import ImageDataModule
from colorcnn.data.cuts import stratified_cut
from colorcnn.data.datamodule import open_data
from colorcnn.data.datasets import ImageSplit
from colorcnn.data.folders import FolderModule, ImageFolder
from colorcnn.data.registry import DATASETS
from colorcnn.dcq.sources import plain_text
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
        test_size: ``test_size`` of the :class:`ImageFolder` that the copies were made from; None is its
            default.
        options: options of :class:`ImageDataModule`. ``split_seed`` must be that of the originals if their
            test split is cut from their images.
    """

    made_from: str = ""
    """Original data set, as recorded in the copies."""

    def __init__(
        self,
        root: str,
        originals: str | None = None,
        originals_root: str | None = None,
        test_size: int | float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(root=root, **options)
        self.originals = originals
        self.originals_root = originals_root
        self.test_size = test_size

    @property
    @abstractmethod
    def rows(self) -> np.ndarray:
        """(n,) ascending, position of each copy's original among the original training images."""

    @property
    @abstractmethod
    def copied_labels(self) -> np.ndarray:
        """(n,) or (n, classes), the copies' labels."""

    @property
    def names(self) -> Sequence[str | None]:
        """The recorded name of the file of each copy's original; None if the copies do not record it."""
        return [None] * len(self.rows)

    @abstractmethod
    def copies(self) -> ImageSplit:
        """Return all copies."""

    @cached_property
    def original_data(self) -> ImageDataModule | None:
        """The original data set, or None if ``originals`` is None and it is not found.

        Raises:
            UsageError: ``originals`` is not found, or the copies are of other images, for example because
                their test split was cut by another ``split_seed``.
        """
        name = self.originals or self.made_from
        options: dict[str, Any] = {
            "root": self.originals_root,
            "image_size": self.resize,
            "short_side": self.short_side,
            "download": self.download,
            "val_size": self.val_size,
            "split_seed": self.split_seed,
        }
        if self.test_size is not None:
            if name in DATASETS:
                raise UsageError(f"{name} has its own test split: remove test_size.")
            options["test_size"] = self.test_size
        try:
            data = open_data(name, batch_size=self.batch_size, **options)
            labels, files = _training_listing(data)
        except UsageError as error:
            if self.originals is not None:
                raise
            _log.warning("%s: val is cut from the copies, there is no test split (%s)", self.root.name, error)
            return None
        self._check_originals(data, labels, files)
        return data

    def _check_originals(self, data: ImageDataModule, labels: np.ndarray, files: Sequence[Path]) -> None:
        """Check that the copies were made from these training images, as far as the copies record them."""
        rows, names = self.rows, self.names
        same = rows.max() < len(labels) and np.array_equal(labels[rows], self.copied_labels)
        if same and files:
            found = [plain_text(files[row].name) for row in rows]
            same = all(name in (None, other) for name, other in zip(names, found, strict=True))
        if not same:
            raise UsageError(
                f"{self.root.name} was not made from the training images of {data.name}",
                "give the right data set with originals, and the split_seed and test_size of the copies",
                code="wrong-originals",
            )
        cut = isinstance(data, ImageFolder) and "test" not in data.tree.parts
        if cut and None in names:
            _log.warning(
                "%s does not record the files of its originals: make sure that split_seed and test_size are "
                "those that it was made with",
                self.root.name,
            )

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
        val = None if data is None else data.load_split("val")
        if val is not None:
            return whole, val
        if not self.val_size:
            return whole, whole.take(np.arange(0))
        if data is None:
            first, second = stratified_cut(whole.labels.numpy(), self.val_size, self.split_seed)
            return whole.take(first), whole.take(second)
        # The same cut as for training on the originals, so that both have the same val images.
        _, second = stratified_cut(_training_listing(data)[0], self.val_size, self.split_seed)
        second = np.random.RandomState(self.split_seed).permutation(second)
        return whole.take(np.flatnonzero(~np.isin(self.rows, second))), _originals(data, second)


def _training_listing(data: ImageDataModule) -> tuple[np.ndarray, list[Path]]:
    """Return the labels and the files, if any, of all training images, without decoding files."""
    if isinstance(data, FolderModule):
        files, labels = data.list_split("train") or ([], np.empty(0))
        return labels, files
    return data.required_split("train").labels.numpy(), []


def _originals(data: ImageDataModule, rows: np.ndarray) -> ImageSplit:
    """Return some of the training images; only their files are decoded."""
    listing = data.list_split("train") if isinstance(data, FolderModule) else None
    if listing is None or not isinstance(data, FolderModule):
        return data.required_split("train").take(rows)
    files, labels = listing
    return data.decoded([files[row] for row in rows], labels[rows])
