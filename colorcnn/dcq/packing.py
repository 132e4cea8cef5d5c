"""Conversion of index maps to bytes in three layouts, and back to indices and colours."""

from __future__ import annotations

from typing import Any

import numpy as np

from colorcnn.compiled import njit

LAYOUTS = ("packed", "paired", "unpacked")


def packed_length(height: Any, width: Any, bits: int, layout: str = "packed") -> Any:
    """Return the number of bytes of an index map.

    Args:
        height: height of the map, an integer or an array of integers.
        width: width of the map, an integer or an array of integers.
        bits: bits per index.
        layout: one of :data:`LAYOUTS`.
    """
    if layout == "packed":
        return (height * width * bits + 7) // 8
    return (height + 1) // 2 * width if layout == "paired" else height * width


@njit
def _pack(indices, bits, out):
    held, count, at = np.int64(0), 0, 0
    for i in range(indices.size):
        held = (held << bits) | np.int64(indices[i])
        count += bits
        while count >= 8:
            count -= 8
            out[at] = (held >> count) & 255
            at += 1
        held &= (1 << count) - 1
    if count:
        out[at] = (held << (8 - count)) & 255


@njit
def _unpack(packed, bits, out):
    held, count, at = np.int64(0), 0, 0
    mask = (1 << bits) - 1
    for i in range(out.size):
        if count < bits:
            held = ((held << 8) | np.int64(packed[at])) & 0xFFFF
            count += 8
            at += 1
        count -= bits
        out[i] = (held >> count) & mask


@njit
def render(indices, palette, out):
    """Write the palette row of each index into an array.

    Args:
        indices: (n,) uint8.
        palette: (K, 3) uint8.
        out: (n, 3) uint8.
    """
    for i in range(indices.size):
        k = indices[i]
        out[i, 0] = palette[k, 0]
        out[i, 1] = palette[k, 1]
        out[i, 2] = palette[k, 2]


def pack(indices: np.ndarray, bits: int, layout: str = "packed") -> bytes:
    """Convert an index map to bytes.

    Args:
        indices: uint8 (H, W), each below ``2**bits``.
        bits: 1..8; at most 4 for ``paired``.
        layout: ``packed`` has ``bits`` bits per pixel, highest bit first, row after row without gaps, the
            last byte filled with 0. ``paired`` has a byte for two pixels, one above the other: the upper one
            in the high four bits. An odd last row is paired with 0. ``unpacked`` has a byte per pixel.

    Returns:
        :func:`packed_length` bytes.
    """
    if layout == "paired":
        even = np.concatenate([indices, np.zeros((len(indices) % 2, indices.shape[1]), np.uint8)])
        return (even[0::2] << 4 | even[1::2]).tobytes()
    if layout == "unpacked" or bits == 8:
        return indices.tobytes()
    height, width = indices.shape
    out = np.empty(packed_length(height, width, bits), np.uint8)
    _pack(np.ascontiguousarray(indices).reshape(-1), bits, out)
    return out.tobytes()


def unpack(data: np.ndarray, height: int, width: int, bits: int, layout: str = "packed") -> np.ndarray:
    """Invert :func:`pack` for uint8 data: (height, width) uint8, all below ``2**bits``.

    Args:
        data: the packed bytes.
        height: height of the map.
        width: width of the map.
        bits: bits per index.
        layout: one of :data:`LAYOUTS`.
    """
    if layout == "packed" and bits < 8:
        out = np.empty(height * width, np.uint8)
        _unpack(data, bits, out)
        return out.reshape(height, width)
    mask = np.uint8((1 << bits) - 1)  # indices of a forged file must stay inside the palette
    if layout == "paired":
        pairs = data.reshape(-1, width)
        return np.stack([pairs >> 4 & mask, pairs & mask], axis=1).reshape(-1, width)[:height].copy()
    return data.reshape(height, width) & mask
