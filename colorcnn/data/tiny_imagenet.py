"""Tiny-ImageNet-200: 100,000 training and 10,000 validation images of 200 classes, 64x64 (from CS231n)."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torchvision.datasets.utils import download_and_extract_archive

from colorcnn.data.class_folders import Listing, list_images, subfolders
from colorcnn.data.folders import FolderModule
from colorcnn.errors import ColorCNNError, MissingDataset, UsageError

_URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
_MD5 = "90528d7ca1a48142e341f4ef8d21d0de"


class TinyImageNet200(FolderModule):
    """Tiny-ImageNet-200 as distributed, or with one folder per class for its val images.

    The official test images have no public labels, so the official val is the test split, and val is cut
    from train.

    Args:
        folder: name of the folder below the root; by default the first of :attr:`folder_names` that exists.
        options: options of :class:`FolderModule` and :class:`ImageDataModule`.
    """

    num_classes = 200
    native_size = 64
    known_statistics = ((0.4802, 0.4481, 0.3975), (0.2770, 0.2691, 0.2821))
    folder_names = ("tiny-imagenet-200", "tiny-imagenet-200-mini")

    def __init__(self, folder: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._names = self.folder_names if folder is None else (folder,)
        folders = [self.root / name for name in self._names]
        self.folder = next((each for each in folders if each.is_dir()), folders[0])
        self.name = self.folder.name

    @cached_property
    def wnids(self) -> tuple[str, ...]:
        """The WordNet numbers of the classes, sorted, in the order of the labels."""
        train = self.folder / "train"
        if not train.is_dir():
            self._fetch()
        found = tuple(subfolders(train))
        if len(found) != self.num_classes:
            raise UsageError(
                f"{train} has {len(found)} class folders instead of {self.num_classes}: "
                "unpack Tiny-ImageNet-200 again, or open the folder as an ImageFolder."
            )
        return found

    @cached_property
    def class_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """The names of the classes from words.txt; without it their WordNet numbers."""
        words = self.folder / "words.txt"
        lines = words.read_text().splitlines() if words.is_file() else []
        names = dict(line.split("\t", 1) for line in lines if "\t" in line)
        return tuple(names.get(wnid, wnid).split(",")[0] for wnid in self.wnids)

    def _fetch(self) -> None:
        distributed = self.folder_names[0]
        if not self.download or distributed not in self._names:
            raise MissingDataset("Tiny-ImageNet-200", self.root, distributed in self._names, self._names)
        try:
            download_and_extract_archive(_URL, str(self.root), md5=_MD5)
        except (RuntimeError, OSError) as error:
            raise ColorCNNError(
                f"{_URL} could not be downloaded to {self.root} ({error}): check the connection and the "
                "disk, or unpack the data set there by hand."
            ) from error

    def list_split(self, part: str) -> Listing | None:
        """See :meth:`FolderModule.list_split`."""
        if part == "val":
            return None
        wnids = self.wnids
        if part == "train":
            return list_images(self.folder / "train", wnids)
        annotations = self.folder / "val" / "val_annotations.txt"
        if not annotations.is_file() or not (annotations.parent / "images").is_dir():
            return list_images(self.folder / "val", wnids)
        return self._annotated(annotations)

    def _annotated(self, annotations: Path) -> Listing:
        """List the distributed val: one folder of images, and a table of file, wnid and bounding box."""
        label = {wnid: number for number, wnid in enumerate(self.wnids)}
        rows = [line.split("\t") for line in annotations.read_text().splitlines() if line.strip()]
        strange = next((row for row in rows if len(row) < 2 or row[1] not in label), None)
        if strange is not None or not rows:
            found = "no line" if strange is None else f"the line {strange[:2]}"
            raise ColorCNNError(
                f"{annotations} has {found} instead of <file><tab><wnid of a training class>: "
                "unpack Tiny-ImageNet-200 again."
            )
        rows.sort()
        files = [annotations.parent / "images" / row[0] for row in rows]
        return files, np.array([label[row[1]] for row in rows], dtype=np.int64)
