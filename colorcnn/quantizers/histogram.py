"""Histogram of the distinct colours of an image.

Most images have far fewer colours than pixels (a Kodak photograph: a tenth), so work on weighted colours is
faster and still exact. Up to four megapixels a hash table counts them. Above, a table with a slot for each of
the 16.7 million colours needs less memory than the hash table of a noisy image.
"""

from __future__ import annotations

import numpy as np

from colorcnn.compiled import njit

DIRECT_PIXELS = 1 << 22
"""From this number of pixels on, the table has a slot for every colour."""

_GOLDEN = 2654435769  # 2**32 / golden ratio, for D. Knuth's multiplicative hashing
_LOW = 0xFFFFFFFF


@njit
def _code(pixels, i):
    """Return the colour of a pixel as one number."""
    return (np.int32(pixels[i, 0]) << 16) | (np.int32(pixels[i, 1]) << 8) | np.int32(pixels[i, 2])


@njit
def _shift(slots):
    """Return the shift of a hashed code to its slot: 2**k slots leave k bits."""
    shift = 32
    while slots > 1:
        slots >>= 1
        shift -= 1
    return shift


@njit
def _slot(code, table, shift):
    """Return the slot of a code in a table (slots, 2) of codes and counts, or the empty slot for it."""
    slot = ((np.int64(code) * _GOLDEN) & _LOW) >> shift
    while table[slot, 0] != code and table[slot, 0] >= 0:
        slot = (slot + 1) & (table.shape[0] - 1)
    return slot


@njit
def _count_hashed(pixels, start, table, used):
    """Count pixels from ``start`` until 7 of 10 slots are used; return next pixel and number of colours."""
    shift = _shift(table.shape[0])
    limit = 7 * table.shape[0] // 10
    for i in range(start, pixels.shape[0]):
        code = _code(pixels, i)
        slot = _slot(code, table, shift)
        if table[slot, 0] < 0:
            if used == limit:
                return i, used
            table[slot, 0] = code
            used += 1
        table[slot, 1] += 1
    return pixels.shape[0], used


@njit
def _rehash(old, table):
    """Copy a table into a larger one."""
    shift = _shift(table.shape[0])
    for i in range(old.shape[0]):
        if old[i, 0] >= 0:
            table[_slot(old[i, 0], table, shift)] = old[i]


@njit
def _put(code, n, colors):
    """Write the n-th colour."""
    colors[n, 0] = code >> 16
    colors[n, 1] = (code >> 8) & 255
    colors[n, 2] = code & 255


@njit
def _take_hashed(table, colors, counts):
    """Write the colours of a table in order of its slots, and replace its counts by their positions."""
    n = 0
    for slot in range(table.shape[0]):
        if table[slot, 0] >= 0:
            _put(table[slot, 0], n, colors)
            counts[n] = table[slot, 1]
            table[slot, 1] = n
            n += 1


@njit
def _index_hashed(pixels, table, labels, out):
    """Write into ``out`` the label of every pixel's colour."""
    mask = table.shape[0] - 1
    shift = _shift(table.shape[0])
    both = np.empty(table.shape[0], np.int32)  # code and label in one word need half the memory
    for slot in range(table.shape[0]):
        if table[slot, 0] >= 0:
            both[slot] = table[slot, 0] | (np.int32(labels[table[slot, 1]]) << 24)
    for i in range(pixels.shape[0]):
        code = _code(pixels, i)
        at = ((np.int64(code) * _GOLDEN) & _LOW) >> shift
        while (both[at] & 0xFFFFFF) != code:
            at = (at + 1) & mask
        out[i] = (both[at] >> 24) & 255


@njit
def _position_hashed(pixels, table, out):
    """Write into ``out`` the position of every pixel's colour."""
    shift = _shift(table.shape[0])
    for i in range(pixels.shape[0]):
        out[i] = table[_slot(_code(pixels, i), table, shift), 1]


@njit
def _count_direct(pixels, counts):
    used = 0
    for i in range(pixels.shape[0]):
        code = _code(pixels, i)
        used += counts[code] == 0
        counts[code] += 1
    return used


@njit
def _take_direct(table, colors, counts):
    """See :func:`_take_hashed`; the slot is the code."""
    n = 0
    for code in range(table.size):
        if table[code] > 0:
            _put(code, n, colors)
            counts[n] = table[code]
            table[code] = n
            n += 1


@njit
def _index_direct(pixels, table, labels, out):
    for i in range(pixels.shape[0]):
        out[i] = labels[table[_code(pixels, i)]]


@njit
def _position_direct(pixels, table, out):
    for i in range(pixels.shape[0]):
        out[i] = table[_code(pixels, i)]


class Histogram:
    """The distinct colours of an image.

    Args:
        pixels: uint8, (..., 3), at least one pixel.

    Attributes:
        colors: (n, 3) uint8, all distinct, in an order that depends only on the image.
        counts: (n,) uint32, number of pixels of each colour.
    """

    def __init__(self, pixels: np.ndarray) -> None:
        self._shape = pixels.shape[:-1]
        self._pixels = pixels.reshape(-1, 3)
        self._direct = len(self._pixels) >= DIRECT_PIXELS
        if self._direct:
            self._table = np.zeros(1 << 24, np.uint32)
            used = _count_direct(self._pixels, self._table)
        else:
            self._table, used = self._hashed()
        self.colors = np.empty((used, 3), np.uint8)
        self.counts = np.empty(used, np.uint32)
        (_take_direct if self._direct else _take_hashed)(self._table, self.colors, self.counts)

    def _hashed(self) -> tuple[np.ndarray, int]:
        slots = min(max(64, 1 << (2 * len(self._pixels) - 1).bit_length()), 1 << 17)
        table = _empty_table(slots)
        done, used = _count_hashed(self._pixels, 0, table, 0)
        while done < len(self._pixels):
            smaller, table = table, _empty_table(2 * len(table))
            _rehash(smaller, table)
            done, used = _count_hashed(self._pixels, done, table, used)
        return table, used

    def __len__(self) -> int:
        return len(self.colors)

    def per_pixel(self, labels: np.ndarray) -> np.ndarray:
        """Return the label of every pixel's colour.

        Args:
            labels: (n,) uint8, in the order of ``colors``.

        Returns:
            uint8 in the shape of the image.
        """
        out = np.empty(len(self._pixels), np.uint8)
        (_index_direct if self._direct else _index_hashed)(self._pixels, self._table, labels, out)
        return out.reshape(self._shape)

    def positions(self) -> np.ndarray:
        """Return the position of each pixel's colour in ``colors``: int32 in the shape of the image."""
        out = np.empty(len(self._pixels), np.int32)
        (_position_direct if self._direct else _position_hashed)(self._pixels, self._table, out)
        return out.reshape(self._shape)


def _empty_table(slots: int) -> np.ndarray:
    """Return an empty table (slots, 2) int32 of codes (-1) and counts (0)."""
    table = np.zeros((slots, 2), np.int32)
    table[:, 0] = -1
    return table
