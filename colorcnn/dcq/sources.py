"""Sources of the images to quantize. A few images are read at a time, so memory does not grow with N."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from colorcnn.errors import check_at_least
from colorcnn.images import flatten, read_image


class ImageSource(Protocol):
    """Labelled images of any sizes, for example a :class:`colorcnn.dcq.storage.Store`."""

    @property
    def labels(self) -> np.ndarray:
        """(N,) integers, or (N, classes) of 0 and 1."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes."""

    @property
    def image_size(self) -> tuple[int, int] | None:
        """(H, W) of every image, or None if sizes may differ."""

    @property
    def rows(self) -> np.ndarray:
        """(N,) positions of the images in the original data set, ascending."""

    @property
    def key(self) -> str:
        """Key that identifies the images, so that a build resumes only with the same images."""

    def __len__(self) -> int: ...

    def read(self, images: Sequence[int] | np.ndarray) -> list[np.ndarray]:
        """Return the pixels (H, W, 3) uint8 of these images."""

    def size_bytes(self) -> int | None:
        """Return the size of the files that the images come from; None without files."""

    def file(self, image: int) -> Path | None:
        """Return the file that holds only this image; None if no file does."""


class FileImages:
    """Image files, decoded on every read.

    Args:
        files: one per image.
        labels: (N,) integers, or (N, classes).
        class_names: names of the classes.
        shorter_side: images with a larger shorter side are scaled to this one (Lanczos); None scales none.
    """

    image_size = None

    def __init__(
        self,
        files: Sequence[Path],
        labels: np.ndarray,
        class_names: Sequence[str],
        *,
        shorter_side: int | None = None,
    ) -> None:
        check_at_least(1, shorter_side=shorter_side)
        self.files = list(files)
        self.labels = labels
        self.class_names = tuple(class_names)
        self.shorter_side = shorter_side
        self.rows = np.arange(len(self.files))

    def __len__(self) -> int:
        return len(self.files)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a worker, whose working folder may be another."""
        return {**vars(self), "files": [file.absolute() for file in self.files]}

    @property
    def key(self) -> str:
        """See :class:`ImageSource`; computed from the files' names and sizes."""
        listing = "\n".join(f"{file}\t{file.stat().st_size}" for file in self.files)
        return hashlib.blake2b(f"{self.shorter_side}\n{listing}".encode(), digest_size=12).hexdigest()

    def read(self, images: Sequence[int] | np.ndarray) -> list[np.ndarray]:
        """See :class:`ImageSource`; raise ColorCNNError with the file's name if it cannot be read."""
        return [self._read(self.files[image]) for image in images]

    def _read(self, file: Path) -> np.ndarray:
        picture = flatten(read_image(file))
        if self.shorter_side is not None and min(picture.size) > self.shorter_side:
            scale = self.shorter_side / min(picture.size)
            width, height = (max(1, round(side * scale)) for side in picture.size)
            picture = picture.resize((width, height), Image.Resampling.LANCZOS)
        return np.asarray(picture)

    def size_bytes(self) -> int:
        """See :class:`ImageSource`."""
        return sum(file.stat().st_size for file in self.files)

    def file(self, image: int) -> Path | None:
        """See :class:`ImageSource`; None if images are scaled."""
        return self.files[image] if self.shorter_side is None else None

    def name(self, image: int) -> str:
        """Return the name of the file that an image comes from, also if it is scaled."""
        return self.files[image].name


class ArrayImages:
    """Images of one size in an array, or in a memory map.

    Args:
        pixels: (N, H, W, 3) uint8.
        labels: (N,) integers, or (N, classes).
        class_names: names of the classes.
        key: key that identifies the images; by default a hash of the pixels.
        names: names of the files that the images come from; None if there are none.
    """

    def __init__(
        self,
        pixels: np.ndarray,
        labels: np.ndarray,
        class_names: Sequence[str],
        *,
        key: str | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        self.pixels = pixels
        self.labels = labels
        self.class_names = tuple(class_names)
        self.image_size = (int(pixels.shape[1]), int(pixels.shape[2]))
        self.rows = np.arange(len(pixels))
        self.key = key or hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=12).hexdigest()
        self.names = names

    def __len__(self) -> int:
        return len(self.pixels)

    def read(self, images: Sequence[int] | np.ndarray) -> list[np.ndarray]:
        """See :class:`ImageSource`."""
        return list(self.pixels[np.asarray(images, dtype=np.int64)])

    def size_bytes(self) -> None:
        """See :class:`ImageSource`."""
        return

    def file(self, image: int) -> None:
        """See :class:`ImageSource`."""
        return

    def name(self, image: int) -> str | None:
        """Return the name of the file that an image comes from, or None if it is unknown."""
        return None if self.names is None else self.names[image]


class Chosen:
    """Some images of a source, such as those that pruning keeps.

    Args:
        source: all images.
        rows: (n,) numbers of the chosen images, ascending.
    """

    def __init__(self, source: ImageSource, rows: np.ndarray) -> None:
        self.source = source
        self._chosen = np.asarray(rows, dtype=np.int64)
        self.rows = source.rows[self._chosen]
        self.labels = source.labels[self._chosen]
        self.class_names = source.class_names
        self.image_size = source.image_size

    def __len__(self) -> int:
        return len(self._chosen)

    @property
    def key(self) -> str:
        """See :class:`ImageSource`."""
        digest = hashlib.blake2b(self.source.key.encode(), digest_size=12)
        digest.update(self._chosen.tobytes())
        return digest.hexdigest()

    def read(self, images: Sequence[int] | np.ndarray) -> list[np.ndarray]:
        """See :class:`ImageSource`."""
        return self.source.read(self._chosen[np.asarray(images, dtype=np.int64)])

    def size_bytes(self) -> int | None:
        """See :class:`ImageSource`; estimated in proportion to the number of images."""
        whole = self.source.size_bytes()
        return None if whole is None else round(whole * len(self) / max(1, len(self.source)))

    def file(self, image: int) -> Path | None:
        """See :class:`ImageSource`."""
        return self.source.file(int(self._chosen[image]))

    def name(self, image: int) -> str | None:
        """Return the name of an image's file, or None if the source has no names."""
        find = getattr(self.source, "name", None)
        return None if find is None else find(int(self._chosen[image]))


def names_of(source: ImageSource) -> list[str] | None:
    """Return the names of the files that images come from, without folders; None without files."""
    find = getattr(source, "name", None)
    names = [] if find is None else [find(image) for image in range(len(source))]
    return names if names and all(isinstance(name, str) for name in names) else None


def plain_text(name: str) -> str:
    """Return a file name as text that a JSON file can hold."""
    return name.encode("utf-8", "replace").decode()
