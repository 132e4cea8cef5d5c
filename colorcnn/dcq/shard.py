"""One shard of a quantized data set: a file of named arrays in independent, checksummed zstd frames.

The file is little-endian throughout:

===================  =====================================================================================
bytes                meaning
===================  =====================================================================================
8                    the signature ``89 44 43 51 0D 0A 1A 0A`` ("DCQ", and line ends that a transfer in
                     text mode would damage)
2                    format version, unsigned
2                    0
4, 4                 length of the header and its CRC-32, unsigned
length               the header, JSON in UTF-8
the rest             the zstd frames of all arrays, in the order of the header, without gaps
===================  =====================================================================================

Header: ``images`` n; ``bits`` q; ``size`` [H, W], or null if sizes differ; ``layout``, ``prediction`` and
``order`` of the index maps; ``first``, the position of the first image in the original data set, or null;
``classes``, the number of classes if images have several labels, else null; ``arrays``, a list of
{name, dtype, shape, block, frames}. The bytes of an array in C order are cut into blocks of ``block`` bytes
(at most 512 KiB). Each block is a zstd frame with content size and checksum. ``frames`` are their lengths.

=================  =======================================================================================
array              content
=================  =======================================================================================
palette_colors     uint8 (S, 3): the different colours of all palettes
palette_codes      uint8 or uint16 (P, 2**q): the rows of ``palette_colors`` that make up each palette
palettes           uint8 (P, 2**q, 3): the palettes themselves, if this is smaller than the two above
palette_ids        uint8, uint16 or uint32 (n,): the palette of each image; missing if image i has palette i
labels             uint8, uint16 or uint32 (n,); for several labels uint8 (n, ceil(classes / 8)), one bit
                   each, highest first
sizes              uint32 (n, 2): H and W, if they differ
rows               uint32 (n,): positions in the original data set, if they are not first, first + 1, ...
contexts           uint8 (2**(q * d), 2**q): all indices for each context of d neighbours, see below
indices            uint8: the index maps, one after the other
=================  =======================================================================================

``layout`` of an index map: "packed" has ceil(H * W * q / 8) bytes, q bits per pixel, row after row, highest
bit first. "paired", for q up to 4, has ceil(H / 2) * W bytes, each with a pixel in the high four bits and the
pixel below it in the low four bits. "unpacked" has H * W bytes. ``order`` of the maps: "images" is the order
of the images, "palettes" sorts them by palette number.

``prediction`` of an index from its neighbours (see :mod:`colorcnn.dcq.predict`): "none" stores the index.
"median" stores the difference modulo 2**q from the median of left, above, and left + above - above left (the
predictor of LOCO-I: M. Weinberger, G. Seroussi and G. Sapiro, IEEE Transactions on Image Processing 2000).
"context" stores the position of the index in a row of ``contexts``. The number of the row consists of the
first d (2 to 4) of the indices left, above, above right and above left, q bits each, the first one highest.
The writer tries several combinations on a sample of the maps and uses the smallest.
"""

from __future__ import annotations

import itertools
import math
import mmap
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
import zstandard

from colorcnn import schema
from colorcnn.dcq.packing import LAYOUTS, packed_length, unpack
from colorcnn.dcq.predict import from_differences, from_ranks, table_depth
from colorcnn.errors import ColorCNNError

SIGNATURE = b"\x89DCQ\r\n\x1a\n"
VERSION = 1
BLOCK = 1 << 19
"""Maximum number of bytes in a decoded frame."""

HEAD = struct.Struct("<8sHHII")
MOST_IMAGES = 1 << 20
"""Maximum number of images in a shard; the writer uses far fewer."""

CURE = "download it again, or rebuild the store"
_MOST_BYTES = 1 << 28  # of the arrays that are decoded when a shard is opened
_DTYPES = {"|u1": 1, "<u2": 2, "<u4": 4}


class _ArrayEntry(msgspec.Struct):
    """An array, as the header describes it."""

    name: str
    dtype: Literal["|u1", "<u2", "<u4"]
    shape: Annotated[list[Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]], msgspec.Meta(max_length=4)]
    block: Annotated[int, msgspec.Meta(ge=1, le=BLOCK)]
    frames: list[Annotated[int, msgspec.Meta(ge=1, le=1 << 40)]]


class _Header(msgspec.Struct):
    """The header of a shard."""

    images: Annotated[int, msgspec.Meta(ge=0, le=MOST_IMAGES)]
    bits: Annotated[int, msgspec.Meta(ge=1, le=8)]
    layout: str
    prediction: Literal["none", "median", "context"]
    order: Literal["images", "palettes"]
    arrays: list[_ArrayEntry]
    size: tuple[schema.Side, schema.Side] | None
    first: Annotated[int, msgspec.Meta(ge=0, le=1 << 40)] | None
    classes: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] | None


def map_order(palette_ids: np.ndarray, order: str) -> np.ndarray:
    """Return the images (n,) in the order of their index maps.

    Args:
        palette_ids: (n,) palette of each image.
        order: ``images`` or ``palettes``.
    """
    return np.argsort(palette_ids, kind="stable") if order == "palettes" else np.arange(len(palette_ids))


@dataclass(frozen=True)
class _Array:
    dtype: str
    shape: tuple[int, ...]
    block: int
    offsets: tuple[int, ...]
    """Offsets of the frames in the file, and the end of the last one."""

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * _DTYPES[self.dtype]


class Shard:
    """A shard's file, mapped into memory. Checksums are checked on every read.

    Args:
        path: the file.

    Attributes:
        images: number of images.
        bits: bits per index.
        labels: (n,) int64, or (n, classes) uint8 of 0 and 1.
        palettes: (P, 2**bits, 3) uint8.
        palette_ids: (n,) int64.
        rows: (n,) int64, positions in the original data set.
        sizes: (n, 2) int64, H and W of each image.

    Raises:
        ColorCNNError: the file is missing, not a shard, truncated, damaged, or of a later version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._map = _open(path)
        try:
            self._read_header()
            self._read_arrays()
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            raise self._damaged("its header is inconsistent") from error

    def _read_header(self) -> None:
        head = self._map[: HEAD.size]
        if head[: len(SIGNATURE)] != SIGNATURE:
            raise ColorCNNError(f"{self.path} is not a shard of a store: remove it from the folder.")
        if len(head) < HEAD.size:
            raise self._damaged("it is truncated")
        _, version, reserved, length, check = HEAD.unpack(head)
        if version > VERSION or reserved:
            raise ColorCNNError(
                f"{self.path} has format version {version}, later than {VERSION}: update colorcnn."
            )
        text = self._map[HEAD.size : HEAD.size + length]
        if len(text) < length:
            raise self._damaged("it is truncated")
        if zlib.crc32(text) != check:
            raise self._damaged("the checksum of its header is wrong")
        source = f"{self.path} is damaged, its header"
        header = schema.convert(schema.parse_json(text, source, CURE), _Header, source, CURE)
        self.images, self.bits = header.images, header.bits
        self._classes, self._first, self._size = header.classes, header.first, header.size
        self.coding = {"layout": header.layout, "prediction": header.prediction, "order": header.order}
        if header.layout not in LAYOUTS:
            raise ValueError
        self._arrays: dict[str, _Array] = {}
        offset = HEAD.size + length
        for entry in header.arrays:
            ends = itertools.accumulate(entry.frames, initial=offset)
            array = _Array(entry.dtype, tuple(entry.shape), entry.block, tuple(ends))
            if -(-array.nbytes // array.block) != len(entry.frames):
                raise ValueError
            self._arrays[entry.name] = array
            offset = array.offsets[-1]
        if sum(array.nbytes for name, array in self._arrays.items() if name != "indices") > _MOST_BYTES:
            raise self._damaged(f"its arrays claim more than {_MOST_BYTES:,} bytes")
        if offset != len(self._map):
            what = "truncated" if len(self._map) < offset else "too long"
            raise self._damaged(f"it is {what}, {len(self._map)} instead of {offset} bytes")

    def _read_arrays(self) -> None:
        count, colors = self.images, 1 << self.bits
        labels = self._array("labels")
        if self._classes is not None:
            labels = np.unpackbits(labels, axis=1)[:, : self._classes]
        self.labels = labels if self._classes is not None else labels.astype(np.int64)
        if "palettes" in self._arrays:
            self.palettes = self._array("palettes")
        else:
            self.palettes = self._array("palette_colors")[self._array("palette_codes")]
        ids = self._array("palette_ids") if "palette_ids" in self._arrays else np.arange(count)
        self.palette_ids = ids.astype(np.int64)
        if self._first is None:
            self.rows = self._array("rows").astype(np.int64)
        else:
            self.rows = int(self._first) + np.arange(count)
        sizes = self._array("sizes") if self._size is None else np.tile(np.array(self._size), (count, 1))
        self.sizes = sizes.astype(np.int64).reshape(-1, 2)
        self._contexts = self._array("contexts") if self.coding["prediction"] == "context" else None
        if self._contexts is not None:
            table_depth(self._contexts, self.bits)
        lengths = packed_length(self.sizes[:, 0], self.sizes[:, 1], self.bits, self.coding["layout"])
        order = map_order(self.palette_ids, self.coding["order"])
        self._starts = np.empty(count, np.int64)
        self._starts[order] = np.cumsum(lengths[order]) - lengths[order]
        self._lengths = lengths
        if (
            {len(self.labels), len(self.palette_ids), len(self.rows), len(self.sizes)} != {count}
            or self.palettes.shape[1:] != (colors, 3)
            or (count and not 0 <= self.palette_ids.min() <= self.palette_ids.max() < len(self.palettes))
            or (count and not 1 <= self.sizes.min() <= self.sizes.max() <= 65_535)
            or (count and self.sizes.prod(axis=1).max() > schema.MOST_PIXELS)
            or lengths.sum() != self._arrays["indices"].nbytes
        ):
            raise ValueError

    def _array(self, name: str) -> np.ndarray:
        array = self._arrays[name]
        data = b"".join(self.frame(number, name) for number in range(len(array.offsets) - 1))
        return np.frombuffer(data, array.dtype).reshape(array.shape)

    @property
    def frames(self) -> int:
        """Number of frames of the index maps."""
        return len(self._arrays["indices"].offsets) - 1

    def frames_of(self, image: int) -> range:
        """Return the numbers of the frames that hold an index map."""
        block, start = self._arrays["indices"].block, int(self._starts[image])
        return range(start // block, (start + int(self._lengths[image]) - 1) // block + 1)

    def frame(self, number: int, name: str = "indices") -> bytes:
        """Decode a frame of an array, by default of the index maps.

        Args:
            number: number of the frame.
            name: name of the array.

        Raises:
            ColorCNNError: the frame is damaged.
        """
        array = self._arrays[name]
        expected = min(array.block, array.nbytes - number * array.block)
        frame = self._map[array.offsets[number] : array.offsets[number + 1]]
        try:
            if zstandard.get_frame_parameters(frame).content_size != expected:
                raise self._damaged(f"frame {number} of its {name} has the wrong length")
            return zstandard.ZstdDecompressor().decompress(frame, max_output_size=BLOCK)
        except zstandard.ZstdError as error:
            raise self._damaged(f"frame {number} of its {name} fails its checksum") from error

    def indices(self, image: int, frames: Mapping[int, bytes] | None = None) -> np.ndarray:
        """Return an image's index map.

        Args:
            image: 0..images - 1.
            frames: the image's decoded frames; None decodes them here.

        Returns:
            (H, W) uint8, each below ``2**bits``.
        """
        needed = self.frames_of(image)
        parts = [self.frame(number) if frames is None else frames[number] for number in needed]
        start = int(self._starts[image]) - needed[0] * self._arrays["indices"].block
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        packed = np.frombuffer(data, np.uint8, int(self._lengths[image]), start)
        height, width = map(int, self.sizes[image])
        indices = unpack(packed, height, width, self.bits, self.coding["layout"])
        if self.coding["prediction"] == "median":
            from_differences(indices, self.bits)
        elif self._contexts is not None:
            from_ranks(indices, self.bits, self._contexts)
        return indices

    def close(self) -> None:
        """Close the file."""
        self._map.close()

    def _damaged(self, how: str) -> ColorCNNError:
        return ColorCNNError(f"{self.path} is damaged, {how}: {CURE}.")


def _open(path: Path) -> mmap.mmap:
    try:
        with path.open("rb") as stream:
            return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError as error:
        raise ColorCNNError(f"{path} is missing: {CURE}.") from error
    except (OSError, ValueError) as error:  # an empty file cannot be mapped
        raise ColorCNNError(f"{path} could not be read ({error}): {CURE}.") from error
