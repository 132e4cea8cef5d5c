"""The images that are to be quantized, read a few at a time: their number never decides about the memory."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from colorcnn.errors import check_at_least
from colorcnn.images import flatten, read_image


class ImageSource(Protocol):
    """Labelled images of any sizes; a :class:`colorcnn.dcq.storage.Store` is one, too."""

    @property
    def labels(self) -> np.ndarray:
        """(N,) integers, or (N, classes) of 0 and 1."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes."""

    @property
    def image_size(self) -> tuple[int, int] | None:
        """(H, W) of every image, or None where they may differ."""

    @property
    def rows(self) -> np.ndarray:
        """(N,) ascending: which image of the original data set each is."""

    @property
    def key(self) -> str:
        """Names the images, so that a build does not go on with others."""

    def __len__(self) -> int: ...

    def read(self, images: Sequence[int] | np.ndarray) -> list[np.ndarray]:
        """The pixels (H, W, 3) uint8 of these images."""

    def size_bytes(self) -> int | None:
        """Bytes of the files the images come from; None where there are none."""

    def file(self, image: int) -> Path | None:
        """The file that holds this image and nothing else; None where there is none."""


class FileImages:
    """Image files, decoded whenever they are asked for.

    Args:
        files: one per image.
        labels: (N,) integers, or (N, classes).
        class_names: names of the classes.
        shorter_side: bring larger images to this shorter side (Lanczos) and leave smaller ones alone;
            None keeps all as they are.
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

    @property
    def key(self) -> str:
        """See :class:`ImageSource`: from the files' names and sizes."""
        listing = "\n".join(f"{file}\t{file.stat().st_size}" for file in self.files)
        return hashlib.blake2b(f"{self.shorter_side}\n{listing}".encode(), digest_size=12).hexdigest()

    def read(self, images: Sequence[int] | np.ndarray) -> list[np.ndarray]:
        """See :class:`ImageSource`; raises ColorCNNError, which names the file, when one cannot be read."""
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
        """See :class:`ImageSource`: none where images are read in another size."""
        return self.files[image] if self.shorter_side is None else None

    def name(self, image: int) -> str:
        """Return the name of the file that an image comes from, in whatever size it is read."""
        return self.files[image].name


class ArrayImages:
    """Images of one size in an array, or in a memory map.

    Args:
        pixels: (N, H, W, 3) uint8.
        labels: (N,) integers, or (N, classes).
        class_names: names of the classes.
        key: names the content; by default computed from it.
    """

    def __init__(
        self, pixels: np.ndarray, labels: np.ndarray, class_names: Sequence[str], *, key: str | None = None
    ) -> None:
        self.pixels = pixels
        self.labels = labels
        self.class_names = tuple(class_names)
        self.image_size = (int(pixels.shape[1]), int(pixels.shape[2]))
        self.rows = np.arange(len(pixels))
        self.key = key or hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=12).hexdigest()

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


class Chosen:
    """Some images of a source, such as those that pruning keeps.

    Args:
        source: all images.
        rows: (n,) which of them, ascending.
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
        """See :class:`ImageSource`: in proportion."""
        whole = self.source.size_bytes()
        return None if whole is None else round(whole * len(self) / max(1, len(self.source)))

    def file(self, image: int) -> Path | None:
        """See :class:`ImageSource`."""
        return self.source.file(int(self._chosen[image]))

    def name(self, image: int) -> str | None:
        """Return the name of an image's file, or None where the source knows none."""
        find = getattr(self.source, "name", None)
        return None if find is None else find(int(self._chosen[image]))


def names_of(source: ImageSource) -> list[str] | None:
    """Return the names of the files that images come from, without folders; None where there are none."""
    find = getattr(source, "name", None)
    names = [] if find is None else [find(image) for image in range(len(source))]
    return names if names and all(isinstance(name, str) for name in names) else None
