"""Pictures to explore, in files or added in the page, and their pixels."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from colorcnn.data.decode import fit_image
from colorcnn.errors import ColorCNNError, shortened
from colorcnn.explorer.bounded import Bounded
from colorcnn.files import file_names
from colorcnn.images import flatten, read_image

MOST_PIXELS = 1 << 25
"""The most pixels of a picture that is shown."""

MOST_BYTES = 64 << 20
"""The largest file that can be added in the page."""

OPAQUE = 128
"""The least alpha of a pixel that is shown; others become transparent."""

_ADDED = 32  # pictures that were added and are kept
_ADDED_PIXELS = 1 << 27
_NAME = 80  # characters of a name


@dataclass(frozen=True)
class Pixels:
    """A decoded picture.

    Attributes:
        colors: (H, W, 3) uint8.
        visible: (H, W) bool.
        flat: (H, W, 3) uint8, the picture over white, as classifiers see it.
    """

    colors: np.ndarray
    visible: np.ndarray
    flat: np.ndarray

    @property
    def transparent(self) -> np.ndarray | None:
        """The (H, W) mask of the pixels that cannot be seen, or None if there are none."""
        return None if self.visible.all() else ~self.visible


def take_apart(picture: Image.Image) -> Pixels:
    """Return the pixels of a picture of mode RGB or RGBA.

    Args:
        picture: from :func:`colorcnn.images.read_image`.
    """
    flat = np.array(flatten(picture))
    if picture.mode != "RGBA":
        return Pixels(flat, np.ones(flat.shape[:2], dtype=bool), flat)
    visible = np.asarray(picture.getchannel("A")) >= OPAQUE
    return Pixels(np.array(picture.convert("RGB")), visible, flat)


def bring_to(picture: Image.Image, side: int) -> Image.Image:
    """Bring a picture to a square as data sets do; transparent parts become white.

    Args:
        picture: of mode RGB or RGBA.
        side: of the square, in pixels.

    Raises:
        ColorCNNError: the picture is so long that it would have too many pixels in between.
    """
    long, short = max(picture.size), min(picture.size)
    if side * side * long > MOST_PIXELS * short:
        raise ColorCNNError(
            f"The picture is {picture.width} x {picture.height}, too long for a square of {side}: choose a "
            "smaller size."
        )
    return Image.fromarray(fit_image(flatten(picture), side))


class Source(Protocol):
    """Pictures with positions from 0."""

    title: str
    class_names: Sequence[str]
    several_labels: bool

    def __len__(self) -> int:
        """Return the number of pictures."""

    def name(self, position: int) -> str:
        """Return a name for people."""

    def label(self, position: int) -> str | None:
        """Return the name of the true class, or None."""

    def read(self, position: int) -> Image.Image:
        """Return the picture, of mode RGB or RGBA."""


class FilePictures:
    """Image files, which are decoded when they are shown.

    Args:
        title: for people.
        files: the files, at least one.
        labels: names of their true classes.
        class_names: names of all classes.
    """

    def __init__(
        self,
        title: str,
        files: Sequence[Path],
        labels: Sequence[str] | None = None,
        class_names: Sequence[str] = (),
    ) -> None:
        self.several_labels = False
        self.title = title
        self.class_names = class_names
        self._files = files
        self._labels = labels
        self._names = file_names([path.absolute() for path in files])

    def __len__(self) -> int:
        return len(self._files)

    def name(self, position: int) -> str:
        """See :meth:`Source.name`."""
        return self._names[position]

    def label(self, position: int) -> str | None:
        """See :meth:`Source.label`."""
        return None if self._labels is None else self._labels[position]

    def read(self, position: int) -> Image.Image:
        """See :meth:`Source.read`."""
        return read_image(self._files[position], max_pixels=MOST_PIXELS, name=self.name(position))


class Added:
    """Pictures that were added in the page. They stay in memory, the latest ones alone."""

    def __init__(self) -> None:
        self._kept: Bounded[tuple[int, str, Image.Image]] = Bounded(_ADDED_PIXELS, _ADDED)
        self._numbers = itertools.count(1)

    def names(self) -> dict[int, str]:
        """Return number -> name of the pictures in memory, in the order in which they were added."""
        return dict(sorted((number, name) for number, name, _ in self._kept.values()))

    def add(self, name: str, data: bytes) -> int:
        """Decode a file, and return a number for it.

        Args:
            name: of the file.
            data: its bytes.

        Raises:
            ColorCNNError: it is no image, or too large.
        """
        name = shortened(name.strip() or "picture", _NAME)
        if len(data) > MOST_BYTES:
            raise ColorCNNError(f"{name} has more than {MOST_BYTES >> 20} MiB: scale the picture down first.")
        picture = read_image(data, max_pixels=MOST_PIXELS, name=name)
        number = next(self._numbers)
        self._kept.keep(number, (number, name, picture), picture.width * picture.height)
        return number

    def get(self, number: int) -> tuple[str, Image.Image]:
        """Return the name and the picture behind a number.

        Raises:
            ColorCNNError: the picture is no longer in memory.
        """
        found = self._kept.get(number)
        if found is None:
            raise ColorCNNError("This picture is no longer in memory: add it again.")
        return found[1:]
