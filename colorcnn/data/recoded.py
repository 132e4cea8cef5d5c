"""Image files of ``colorcnn dcq recode`` as training data."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from colorcnn.data.class_folders import list_images, subfolders
from colorcnn.data.copies import CopiesModule
from colorcnn.data.datasets import ImageSplit
from colorcnn.data.decode import decode_files
from colorcnn.dcq.originals import read_originals
from colorcnn.errors import UsageError


class RecodedFolder(CopiesModule):
    """Recompressed training images; val and test images are originals.

    For the splits see :class:`CopiesModule`. Images are normalised like the originals.

    Args:
        root: the folder with ``<class>/<row>`` files.
        originals: the original data set, a known name or a folder.
        originals_root: the folder that holds the original data set; default $COLORCNN_DATA, else ``data``.
        options: ``test_size`` of :class:`CopiesModule`, and options of :class:`ImageDataModule`.

    Raises:
        UsageError: the folder holds other files, or the original data set is not found or a different one.
    """

    def __init__(self, root: str, originals: str, originals_root: str | None = None, **options: Any) -> None:
        super().__init__(root, originals, originals_root, **options)
        self.name = Path(root).resolve().name
        data = self.original_data
        assert data is not None  # because ``originals`` is given
        self.class_names = data.class_names
        self.num_classes = data.num_classes
        self.native_size = data.native_size

    @cached_property
    def _listing(self) -> tuple[list[Path], np.ndarray, np.ndarray]:
        """Files, labels and rows, sorted by row."""
        classes = self._classes()
        files, labels = list_images(self.root, tuple(classes))
        strange = next((file for file in files if not file.stem.isdecimal()), None)
        if strange is not None:
            raise UsageError(
                f"{strange} does not have a row number as its name: use a folder of recompressed images."
            )
        rows = np.array([int(file.stem) for file in files], dtype=np.int64)
        order = np.argsort(rows)
        return [files[number] for number in order], labels[order], rows[order]

    def _classes(self) -> list[str]:
        if not self.root.is_dir():
            raise UsageError(f"There is no folder {self.root}: use a folder of recompressed images.")
        return subfolders(self.root)

    @property
    def files(self) -> list[Path]:
        """The files, sorted by the rows of their originals."""
        return self._listing[0]

    @property
    def rows(self) -> np.ndarray:
        """See :class:`CopiesModule`."""
        return self._listing[2]

    @property
    def names(self) -> Sequence[str | None]:
        """See :class:`CopiesModule`."""
        names = read_originals(self.root)
        return [names.get(str(row)) for row in self.rows]

    @property
    def copied_labels(self) -> np.ndarray:
        """See :class:`CopiesModule`."""
        return self._listing[1]

    def copies(self) -> ImageSplit:
        """See :meth:`CopiesModule.copies`."""
        files, labels, _ = self._listing
        pixels, kept, key = decode_files(
            files, image_size=self.resize or self.native_size, short_side=self.short_side
        )
        return ImageSplit(pixels, labels, key=key, rows=kept)

    @cached_property
    def _statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        data = self.original_data
        assert data is not None
        return data.mean, data.std
