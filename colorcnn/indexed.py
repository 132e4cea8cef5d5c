"""One image as an index map and a palette of bytes, in NumPy, like an indexed PNG file."""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
from PIL import Image

from colorcnn.errors import UsageError


def count_indices(indices: np.ndarray, colors: int) -> np.ndarray:
    """Count the pixels of each index, in pieces, because NumPy needs eight bytes per element.

    Args:
        indices: uint8.
        colors: number of indices.
    """
    flat = indices.reshape(-1)
    pieces = np.array_split(flat, 1 + flat.size // 2**22)
    counts: np.ndarray = np.sum([np.bincount(piece, minlength=colors) for piece in pieces], axis=0)
    return counts


def map_indices(indices: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Replace every index by its entry in a table. NumPy's look-up would need eight bytes per index.

    Args:
        indices: uint8.
        table: (256,) uint8.
    """
    translated = indices.tobytes().translate(table.tobytes().ljust(256, b"\0"))
    return np.frombuffer(bytearray(translated), dtype=np.uint8).reshape(indices.shape)


class Indexed(NamedTuple):
    """An indexed image.

    Attributes:
        indices: (H, W) integers, each below n.
        palette: (n, 3) uint8; rows may be equal or unused.
    """

    indices: np.ndarray
    palette: np.ndarray

    def pixels(self) -> np.ndarray:
        """Return the colours of all pixels, (H, W, 3) uint8."""
        return self.palette[self.indices]

    def compact(self, *, transparent: np.ndarray | None = None) -> Indexed:
        """Return the image with only its used colours: equal rows merged, unused rows removed.

        Args:
            transparent: (H, W) bool; pixels whose colour is ignored and whose index becomes 0.

        Returns:
            uint8 indices and the palette, in order of the first row of each colour.

        Raises:
            UsageError: the palette has more than 256 rows.
        """
        rows = self.palette
        if len(rows) > 256:
            raise UsageError(f"The palette has {len(rows)} rows: an indexed image has at most 256.")
        indices = self.indices.astype(np.uint8, copy=False)
        shown = indices if transparent is None else indices[~transparent]
        used = np.flatnonzero(count_indices(shown, len(rows)))
        _, first, inverse = np.unique(rows[used], axis=0, return_index=True, return_inverse=True)
        order = np.argsort(first)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        table = np.zeros(len(rows), dtype=np.uint8)
        table[used] = rank[inverse.reshape(-1)]
        compacted = map_indices(indices, table)
        if transparent is not None:
            compacted[transparent] = 0
        return Indexed(compacted, rows[used][first[order]])

    def to_pil(self, *, transparent: np.ndarray | None = None) -> Image.Image:
        """Return a Pillow image of mode P whose palette has only the used colours.

        Args:
            transparent: (H, W) bool; these pixels get a separate transparent entry. It comes first, because a
                PNG file lists alpha up to its last transparent entry.

        Raises:
            UsageError: ``transparent`` has another size, or there are 256 other colours.
        """
        if transparent is None or not transparent.any():
            indices, palette = self.compact()
            picture = Image.fromarray(indices)
            picture.putpalette(palette.tobytes(), "RGB")
            return picture
        if transparent.shape != self.indices.shape:
            raise UsageError(
                f"The transparent mask is {transparent.shape}: give a mask of {self.indices.shape}."
            )
        indices, palette = self.compact(transparent=transparent)
        if len(palette) > 255:
            raise UsageError("This image has 256 colours: keep at most 255 besides a transparent one.")
        picture = Image.fromarray(np.where(transparent, 0, indices + 1).astype(np.uint8))
        picture.putpalette(bytes(3) + palette.tobytes(), "RGB")
        picture.info["transparency"] = 0
        return picture

    def png(self, *, optimize: bool = True, transparent: np.ndarray | None = None) -> bytes:
        """Return an indexed PNG file of 1, 2, 4 or 8 bits per pixel, as the palette needs.

        Args:
            optimize: True for a smaller file that takes longer.
            transparent: (H, W) bool; these pixels get a transparent entry.

        Raises:
            UsageError: see :meth:`to_pil`.
        """
        buffer = io.BytesIO()
        self.to_pil(transparent=transparent).save(buffer, "PNG", optimize=optimize)
        return buffer.getvalue()
