"""Train from image files that ``colorcnn dcq recode`` has written: of few bytes, or few of them."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from colorcnn.data.copies import CopiesModule
from colorcnn.data.datasets import ImageSplit
from colorcnn.data.decode import decode_files
from colorcnn.data.folders import list_images, subfolders
from colorcnn.errors import UsageError


class RecodedFolder(CopiesModule):
    """A folder of ``colorcnn dcq recode``, to train on; what is measured is measured on originals.

    Splits are those of :class:`CopiesModule`, and images are normalised as the originals are.

    Args:
        root: the folder that holds ``<class>/<row>`` files.
        originals: the original data set, a known name or a folder.
        originals_root: the folder that holds the original data set; default $COLORCNN_DATA, else ``data``.
        options: those of :class:`ImageDataModule`.

    Raises:
        UsageError: the folder holds other files, or the original data set is another or not found.
    """

    def __init__(self, root: str, originals: str, originals_root: str | None = None, **options: Any) -> None:
        super().__init__(root, originals, originals_root, **options)
        self.name = Path(root).resolve().name
        data = self.original_data
        assert data is not None  # it was named
        self.class_names = data.class_names
        self.num_classes = data.num_classes
        self.native_size = data.native_size

    @cached_property
    def _listing(self) -> tuple[list[Path], np.ndarray, np.ndarray]:
        """Files, labels and rows, by row."""
        classes = self._classes()
        files, labels = list_images(self.root, tuple(classes))
        strange = next((file for file in files if not file.stem.isdecimal()), None)
        if strange is not None:
            raise UsageError(
                f"{strange} has no name that `colorcnn dcq recode` gives: name a folder that it has written."
            )
        rows = np.array([int(file.stem) for file in files], dtype=np.int64)
        order = np.argsort(rows)
        return [files[place] for place in order], labels[order], rows[order]

    def _classes(self) -> list[str]:
        if not self.root.is_dir():
            raise UsageError(
                f"There is no folder {self.root}: name one that `colorcnn dcq recode` has written."
            )
        return subfolders(self.root)

    @property
    def files(self) -> list[Path]:
        """The files, by the rows of their originals."""
        return self._listing[0]

    @property
    def rows(self) -> np.ndarray:
        """See :class:`CopiesModule`."""
        return self._listing[2]

    @property
    def copied_labels(self) -> np.ndarray:
        """See :class:`CopiesModule`."""
        return self._listing[1]

    def copies(self) -> ImageSplit:
        """See :meth:`CopiesModule.copies`."""
        files, labels, _ = self._listing
        pixels, kept, key = decode_files(files, image_size=self.resize or self.native_size)
        return ImageSplit(pixels, labels, key=key, rows=kept)

    @cached_property
    def _statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        data = self.original_data
        assert data is not None
        return data.mean, data.std
