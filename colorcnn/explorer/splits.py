"""Pictures of data sets and of folders of classes, in the splits of every command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from colorcnn.data import open_data
from colorcnn.data.datasets import ImageSplit
from colorcnn.data.folders import ImageFolder
from colorcnn.explorer.sources import FilePictures


class SplitPictures:
    """The images of a split that is decoded.

    Args:
        title: for people.
        split: the images.
        class_names: names of the classes, by number.
    """

    def __init__(self, title: str, split: ImageSplit, class_names: Sequence[str]) -> None:
        self.title = title
        self.class_names = class_names
        self.several_labels = split.labels.ndim == 2
        self._split = split

    def __len__(self) -> int:
        return len(self._split)

    def name(self, position: int) -> str:
        """See :meth:`Source.name`."""
        return self._split.name(position) or f"image {position}"

    def label(self, position: int) -> str | None:
        """See :meth:`Source.label`; None where an image has several."""
        label = self._split.labels[position]
        return None if label.ndim else self.class_names[int(label)]

    def read(self, position: int) -> Image.Image:
        """See :meth:`Source.read`."""
        return Image.fromarray(self._split.pixels([position])[0])


class _NotDecoded:
    """A place for the pixels of files that nobody asks for.

    Args:
        count: number of files.
    """

    def __init__(self, count: int) -> None:
        self.shape = (count, 0, 0, 3)

    def __getitem__(self, rows: np.ndarray, /) -> np.ndarray:
        """Return no pixels."""
        return np.empty((len(rows), *self.shape[1:]), dtype=np.uint8)


class _ListedFolder(ImageFolder):
    """A folder of classes whose files are listed and not decoded; its splits are those of every command."""

    def decoded(self, files: list[Path], labels: np.ndarray) -> ImageSplit:
        """Return the split of these files without looking into them."""
        return ImageSplit(_NotDecoded(len(files)), labels, key="listed", names=[str(path) for path in files])


def open_dataset(name: str, split: str, **options: Any) -> SplitPictures:
    """Open a data set.

    Args:
        name: in :data:`colorcnn.data.registry.DATASETS`.
        split: ``train``, ``val``, ``test`` or ``all``.
        options: those of the data set's class.
    """
    data: Any = open_data(name, **options)
    return SplitPictures(f"{data.name}, {split}", getattr(data, split), data.class_names)


def open_folder(folder: Path, split: str | None) -> FilePictures:
    """List the files of a folder of classes, or of one that holds such folders as splits.

    Args:
        folder: as :class:`colorcnn.data.folders.ImageFolder` takes it.
        split: ``train``, ``val``, ``test`` or ``all``; by default test if the folder has test images.
    """
    listed = _ListedFolder(str(folder))
    split = split or ("test" if "test" in listed.tree.parts else "all")
    part: ImageSplit = getattr(listed, split)
    files = [Path(str(part.name(position))) for position in range(len(part))]
    labels = [listed.class_names[int(label)] for label in part.labels]
    return FilePictures(f"{listed.name}, {split}", files, labels, listed.class_names)
