"""Data sets that are folders of image files."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from colorcnn.data.base import ImageDataModule
from colorcnn.data.class_folders import ClassFolders, Listing, list_images
from colorcnn.data.datasets import ImageSplit
from colorcnn.data.decode import ON_CORRUPT, decode_files
from colorcnn.data.registry import candidate_folders
from colorcnn.errors import UsageError, unknown_name
from colorcnn.files import file_names


class FolderModule(ImageDataModule):
    """Base class of data sets of image files; a subclass lists the files of each split.

    Args:
        cache: True to decode all files once and keep the pixels on disk. False for large data sets such as
            ImageNet: files are checked once and decoded for every batch.
        on_corrupt: "error" refuses a data set with unreadable files, "skip" leaves them out with a warning.
        options: options of :class:`ImageDataModule`.
    """

    def __init__(self, cache: bool = True, on_corrupt: str = "error", **options: Any) -> None:
        super().__init__(**options)
        if on_corrupt not in ON_CORRUPT:
            raise unknown_name("value of on_corrupt", on_corrupt, ON_CORRUPT)
        self.cache = cache
        self.on_corrupt = on_corrupt

    @abstractmethod
    def list_split(self, part: str) -> Listing | None:
        """Return the files and labels of "train", "val" or "test"; None for "val" if there is none."""

    def load_split(self, part: str) -> ImageSplit | None:
        """See :meth:`ImageDataModule.load_split`."""
        listing = self.list_split(part)
        if listing is None or not listing[0]:
            return None
        return self.decoded(*listing)

    def decoded(self, files: list[Path], labels: np.ndarray) -> ImageSplit:
        """Return the split of these files.

        Args:
            files: the image files, at least one.
            labels: (N,) int64.
        """
        pixels, kept, key = decode_files(
            files,
            image_size=self.resize or self.native_size,
            short_side=self.short_side,
            on_corrupt=self.on_corrupt,
            cache=self.cache,
        )
        return ImageSplit(pixels, labels, key=key, rows=kept, names=file_names(files))


class ImageFolder(FolderModule):
    """Any folder of images with one subfolder per class.

    Layouts: train/val/test; train/test (val is cut from train); train/val (the folder val is the test split,
    and val is cut from train); or the class folders directly (test and val are cut from them).

    Args:
        path: the folder, absolute, relative, or below ``root``.
        test_size: part that becomes test if the folder has no splits: a fraction or a number of images; 0 for
            none.
        options: options of :class:`FolderModule` and :class:`ImageDataModule`.

    Raises:
        UsageError: the folder is missing, has no class folders, or its splits have different classes.
    """

    def __init__(self, path: str, test_size: int | float = 0.2, **options: Any) -> None:
        super().__init__(**options)
        self.folder = find_folder(path, self.root)
        self.name = self.folder.resolve().name
        self.tree = ClassFolders(self.folder, test_size, self.split_seed)
        self.class_names = self.tree.classes
        self.num_classes = len(self.class_names)

    @cached_property
    def all(self) -> ImageSplit:
        """See :meth:`ImageDataModule.all`; all images of a folder without splits."""
        if "test" in self.tree.parts:
            return super().all
        return self.decoded(*list_images(self.tree.parts["train"], self.class_names))

    def list_split(self, part: str) -> Listing | None:
        """See :meth:`FolderModule.list_split`."""
        return self.tree.list_split(part)


def find_folder(path: str, root: Path) -> Path:
    """Return the first of :func:`candidate_folders` that exists.

    Args:
        path: a folder, or the name of one below ``root``.
        root: the folder of data sets.

    Raises:
        UsageError: none of the folders exists.
    """
    folders = candidate_folders(path, root)
    for folder in folders:
        if folder.is_dir():
            return folder
    raise UsageError(
        f"There is no folder {path} (looked for {' and '.join(map(str, folders))})",
        "give its path, or set the folder that holds it with root or COLORCNN_DATA",
        code="missing-folder",
        path=path,
    )
