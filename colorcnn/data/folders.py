"""Data sets that are folders of image files."""

from __future__ import annotations

import logging
import os
from abc import abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from colorcnn.data.base import ImageDataModule
from colorcnn.data.datasets import ImageSplit
from colorcnn.data.decode import ON_CORRUPT, decode_files
from colorcnn.data.registry import candidate_folders
from colorcnn.data.sampling import stratified_cut
from colorcnn.errors import UsageError, unknown_name
from colorcnn.files import IMAGE_SUFFIXES, file_names

_log = logging.getLogger(__name__)
_notes = logging.getLogger("colorcnn.notes")
_VAL_NAMES = ("val", "valid", "validation")

Listing = tuple[list[Path], np.ndarray]


def subfolders(folder: Path) -> list[str]:
    """Return the names of a folder's visible subfolders, sorted."""
    return sorted(
        entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith(".")
    )


def list_images(folder: Path, classes: tuple[str, ...]) -> Listing:
    """List the image files below each class's folder, in order, with their labels.

    Args:
        folder: folder with one folder for each class.
        classes: names of these folders; the position is the label.

    Returns:
        The files and their labels, (N,) int64.

    Raises:
        UsageError: the class folders hold no images.
    """
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        for parent, folders, names in os.walk(folder / name, followlinks=True):
            folders.sort()
            found = sorted(file for file in names if is_image(file))
            files += [Path(parent, file) for file in found]
            labels += [label] * len(found)
    if not files:
        raise UsageError(
            f"{folder} holds no image in any class folder: use a folder of <class>/<image> files."
        )
    return files, np.array(labels, dtype=np.int64)


def is_image(name: str) -> bool:
    """Return True for the file name of an image that is not hidden."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


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
        if listing is None:
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
        self.test_size = test_size
        self.name = self.folder.resolve().name
        self.parts = self._layout()
        self.class_names = self._classes()
        self.num_classes = len(self.class_names)

    def _layout(self) -> dict[str, Path]:
        """Find the folder of each split; a folder without splits has only "train"."""
        found = set(subfolders(self.folder))
        if "train" not in found or not subfolders(self.folder / "train"):
            _log.info("%s: no splits; test and val are cut from the images", self.folder)
            return {"train": self.folder}
        val = next((name for name in _VAL_NAMES if name in found), None)
        parts = {"train": self.folder / "train"}
        if "test" in found and subfolders(self.folder / "test"):
            parts["test"] = self.folder / "test"
            if val:
                parts["val"] = self.folder / val
        elif val:
            parts["test"] = self.folder / val
        _log.info("%s: %s", self.folder, _describe(parts))
        return parts

    def _classes(self) -> tuple[str, ...]:
        classes = tuple(subfolders(self.parts["train"]))
        if not classes:
            raise UsageError(
                f"{self.parts['train']} has no class folders: use a folder of <class>/<image> files, "
                "or one with train/<class>/<image>."
            )
        for part, folder in self.parts.items():
            strange = sorted(set(subfolders(folder)) - set(classes))
            if strange:
                raise UsageError(
                    f"{folder} has classes that train does not have ({', '.join(strange[:3])}): "
                    f"{part} and train need the same class folders."
                )
        return classes

    @cached_property
    def _tree(self) -> tuple[Listing, Listing]:
        """The images of a folder without splits, cut into train and test."""
        files, labels = list_images(self.parts["train"], self.class_names)
        if not self.test_size:
            return (files, labels), ([], labels[:0])
        cuts = stratified_cut(labels, self.test_size, self.split_seed)
        first, second = (([files[row] for row in rows], labels[rows]) for rows in cuts)
        _notes.info("%d of %d images set aside as test: there is no test/ folder", len(second[0]), len(files))
        return first, second

    @cached_property
    def all(self) -> ImageSplit:
        """See :meth:`ImageDataModule.all`; all images of a folder without splits."""
        if "test" in self.parts:
            return super().all
        return self.decoded(*list_images(self.parts["train"], self.class_names))

    def list_split(self, part: str) -> Listing | None:
        """See :meth:`FolderModule.list_split`."""
        if part == "val" and "val" not in self.parts:
            return None
        if "test" not in self.parts:
            return self._tree[part == "test"]
        return list_images(self.parts[part], self.class_names)


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


def _describe(parts: dict[str, Path]) -> str:
    if "test" not in parts:
        return "only train/; test and val are cut from it"
    if "val" in parts:
        return "train/, val/ and test/"
    return f"train/ and {parts['test'].name}/, which is the test split; val is cut from train"
