"""Write a shard. Index maps use the coding that is smallest on a sample.

The format is described in :mod:`colorcnn.dcq.shard`.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import zstandard

from colorcnn.dcq.packing import pack
from colorcnn.dcq.predict import context_table, to_differences, to_ranks
from colorcnn.dcq.shard import BLOCK, HEAD, SIGNATURE, VERSION, map_order

LEVEL = 19
"""Compression level of zstd: slow to write, but as fast to read as any other."""

_TRIED = (  # the codings that were smallest on photographs and drawings of 1 to 8 bits
    ("packed", "context", "images"),
    ("paired", "context", "images"),
    ("packed", "median", "images"),
    ("packed", "none", "palettes"),
    ("paired", "none", "palettes"),
    ("unpacked", "none", "palettes"),
)


@dataclass(frozen=True)
class ShardContent:
    """Content of a shard.

    Attributes:
        bits: q, 1..8.
        indices: n index maps (H, W) uint8, each below 2**q.
        palettes: (P, 2**q, 3) uint8.
        palette_ids: (n,) number of each image's palette.
        labels: (n,) integers, or (n, classes) of 0 and 1.
        rows: (n,) positions in the original data set, ascending.
    """

    bits: int
    indices: Sequence[np.ndarray]
    palettes: np.ndarray
    palette_ids: np.ndarray
    labels: np.ndarray
    rows: np.ndarray


def encode_shard(content: ShardContent) -> bytes:
    """Return the bytes of a shard's file."""
    shapes = {image.shape for image in content.indices}
    header: dict[str, Any] = {
        "images": len(content.indices),
        "bits": content.bits,
        "size": list(next(iter(shapes))) if len(shapes) == 1 else None,
        "first": int(content.rows[0]) if len(content.rows) else 0,
        "classes": int(content.labels.shape[1]) if content.labels.ndim == 2 else None,
    }
    arrays = _palette_arrays(content)
    if content.labels.ndim == 2:
        arrays["labels"] = np.packbits(content.labels.astype(bool), axis=1)
    else:
        arrays["labels"] = _narrow(content.labels)
    if header["size"] is None:
        arrays["sizes"] = np.array([image.shape for image in content.indices], "<u4")
    if not np.array_equal(content.rows, header["first"] + np.arange(len(content.rows))):
        header["first"] = None
        arrays["rows"] = content.rows.astype("<u4")
    best = _smallest(content)
    frames = _compress(best.data, best.block)
    header |= {**best.coding, "arrays": []}
    body = b""
    for name, array in {**arrays, **best.tables}.items():
        own = _compress(array.tobytes(), BLOCK)
        header["arrays"].append(_entry(name, array, BLOCK, own))
        body += b"".join(own)
    header["arrays"].append(_entry("indices", np.frombuffer(best.data, np.uint8), best.block, frames))
    text = json.dumps(header, separators=(",", ":")).encode()
    head = HEAD.pack(SIGNATURE, VERSION, 0, len(text), zlib.crc32(text))
    return head + text + body + b"".join(frames)


def _palette_arrays(content: ShardContent) -> dict[str, np.ndarray]:
    flat = content.palettes.reshape(-1, 3)
    colors, codes = np.unique(flat, axis=0, return_inverse=True)
    coded = {
        "palette_colors": colors.astype(np.uint8),
        "palette_codes": _narrow(codes.reshape(content.palettes.shape[:2])),
    }
    arrays = {"palettes": np.ascontiguousarray(content.palettes, np.uint8)}
    if _coded_size(coded) < _coded_size(arrays):
        arrays = coded
    ids = content.palette_ids
    if len(content.palettes) != len(ids) or not np.array_equal(ids, np.arange(len(ids))):
        arrays["palette_ids"] = _narrow(ids)
    return arrays


def _coded_size(arrays: Mapping[str, np.ndarray]) -> int:
    return sum(len(frame) for array in arrays.values() for frame in _compress(array.tobytes(), BLOCK))


class _Stream(NamedTuple):
    """Index maps in one coding.

    Attributes:
        coding: layout, prediction and order.
        tables: further arrays that the coding needs.
        data: the bytes to compress.
        block: bytes per block.
    """

    coding: dict[str, str]
    tables: dict[str, np.ndarray]
    data: bytes
    block: int


def _smallest(content: ShardContent) -> _Stream:
    """Try each coding on a sample of about one block; return all maps in the smallest coding."""
    table = context_table(content.indices, content.bits)
    ways = [way for way in _TRIED if _fits(way, content.bits, table)]
    packed = sum(image.size for image in content.indices) * content.bits / 8
    step = max(1, int(packed / BLOCK))

    def estimate(way: tuple[str, str, str]) -> int:
        sample = _lay_out(content.indices[::step], content.palette_ids[::step], content.bits, table, way)
        coded = sum(map(len, _compress(sample.data, sample.block)))
        return step * coded + _coded_size(sample.tables)

    return _lay_out(content.indices, content.palette_ids, content.bits, table, min(ways, key=estimate))


def _fits(way: tuple[str, str, str], bits: int, table: np.ndarray | None) -> bool:
    layout, prediction, _ = way
    if prediction == "context" and table is None:
        return False
    return not ((layout == "paired" and bits > 4) or (layout == "unpacked" and bits == 8))


def _lay_out(
    indices: Sequence[np.ndarray],
    palette_ids: np.ndarray,
    bits: int,
    table: np.ndarray | None,
    way: tuple[str, str, str],
) -> _Stream:
    layout, prediction, order = way
    maps = [indices[image] for image in map_order(palette_ids, order)]
    tables = {}
    if prediction == "median":
        maps = [to_differences(one, bits) for one in maps]
    if prediction == "context" and table is not None:
        maps = [to_ranks(one, bits, table) for one in maps]
        tables = {"contexts": table}
    parts = [pack(one, bits, layout) for one in maps]
    lengths = {len(part) for part in parts}
    length = lengths.pop() if len(lengths) == 1 else 0
    # Images of equal size fill blocks as whole images, so that each lies in one frame.
    block = BLOCK // length * length if 0 < length <= BLOCK else BLOCK
    coding = {"layout": layout, "prediction": prediction, "order": order}
    return _Stream(coding, tables, b"".join(parts), block)


def _compress(data: bytes, block: int) -> list[bytes]:
    compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True, write_content_size=True)
    return [compressor.compress(data[start : start + block]) for start in range(0, len(data), block)]


def _entry(name: str, array: np.ndarray, block: int, frames: Sequence[bytes]) -> dict[str, Any]:
    return {
        "name": name,
        "dtype": array.dtype.str,
        "shape": list(array.shape),
        "block": block,
        "frames": [len(frame) for frame in frames],
    }


def _narrow(values: np.ndarray) -> np.ndarray:
    top = int(values.max()) if values.size else 0
    return values.astype(np.uint8 if top < 1 << 8 else "<u2" if top < 1 << 16 else "<u4")
