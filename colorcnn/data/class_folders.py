"""Folders of images with one subfolder per class: their splits, classes and files. Needs no torch."""

from __future__ import annotations

import logging
import os
from functools import cached_property
from pathlib import Path

import numpy as np

from colorcnn.data.cuts import stratified_cut
from colorcnn.errors import UsageError
from colorcnn.files import IMAGE_SUFFIXES

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


class ClassFolders:
    """The splits of a folder of images, see :class:`colorcnn.data.folders.ImageFolder` for the layouts.

    Args:
        folder: the folder.
        test_size: part that becomes test if the folder has no splits: a fraction or a number of images; 0 for
            none.
        split_seed: seed of this cut.

    Attributes:
        parts: ``train``, and ``test`` and ``val`` if they exist -> folder.
        classes: names of the classes; the position is the label.

    Raises:
        UsageError: the folder has no class folders, or its splits have different classes.
    """

    def __init__(self, folder: Path, test_size: int | float = 0.2, split_seed: int = 0) -> None:
        self.folder = folder
        self.test_size = test_size
        self.split_seed = split_seed
        self.parts = self._find_parts()
        self.classes = self._find_classes()

    def list_split(self, part: str) -> Listing | None:
        """Return the files and labels of "train", "val" or "test"; None for "val" if there is none.

        Args:
            part: the split.
        """
        if part == "val" and "val" not in self.parts:
            return None
        if "test" not in self.parts:
            return self._cut[part == "test"]
        return list_images(self.parts[part], self.classes)

    def _find_parts(self) -> dict[str, Path]:
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

    def _find_classes(self) -> tuple[str, ...]:
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
    def _cut(self) -> tuple[Listing, Listing]:
        """The images of a folder without splits, cut into train and test."""
        files, labels = list_images(self.parts["train"], self.classes)
        if not self.test_size:
            return (files, labels), ([], labels[:0])
        cuts = stratified_cut(labels, self.test_size, self.split_seed)
        first, second = (([files[row] for row in rows], labels[rows]) for rows in cuts)
        _notes.info("%d of %d images set aside as test: there is no test/ folder", len(second[0]), len(files))
        return first, second


def _describe(parts: dict[str, Path]) -> str:
    if "test" not in parts:
        return "only train/; test and val are cut from it"
    if "val" in parts:
        return "train/, val/ and test/"
    return f"train/ and {parts['test'].name}/, which is the test split; val is cut from train"
