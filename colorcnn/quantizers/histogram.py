"""The different colours of an image and how often each occurs; all later work is on these, not on pixels.

Most images have far fewer colours than pixels (a Kodak photograph: a tenth), so that a weighted colour is the
cheapest exact description of one. Up to four megapixels a hash table counts them; above, a table with a place
for each of the 16.7 million colours, which then needs less memory than the hash table of a noisy image would.
"""

from __future__ import annotations

import numpy as np
from numba import njit

DIRECT_PIXELS = 1 << 22
"""From this many pixels on, the table has a place for every colour."""

_GOLDEN = 2654435769  # 2**32 over the golden ratio: D. Knuth's multiplicative hashing
_LOW = 0xFFFFFFFF


@njit(nogil=True, cache=True)
def _code(pixels, i):
    """The colour of a pixel as one number."""
    return (np.int32(pixels[i, 0]) << 16) | (np.int32(pixels[i, 1]) << 8) | np.int32(pixels[i, 2])


@njit(nogil=True, cache=True)
def _shift(keys):
    """How far a hashed code is shifted to become a slot: a table of 2**k slots leaves k bits."""
    shift, size = 32, keys.size
    while size > 1:
        size >>= 1
        shift -= 1
    return shift


@njit(nogil=True, cache=True)
def _slot(code, keys, shift):
    """Where a code is, or the empty slot where it belongs."""
    slot = ((np.int64(code) * _GOLDEN) & _LOW) >> shift
    while keys[slot] != code and keys[slot] >= 0:
        slot = (slot + 1) & (keys.size - 1)
    return slot


@njit(nogil=True, cache=True)
def _count_hashed(pixels, start, keys, counts, used):
    """Count pixels from ``start`` on until 7 of 10 slots are taken; returns the next and the colours."""
    shift = _shift(keys)
    limit = 7 * keys.size // 10
    for i in range(start, pixels.shape[0]):
        code = _code(pixels, i)
        slot = _slot(code, keys, shift)
        if keys[slot] == code:
            counts[slot] += 1
        elif used == limit:
            return i, used
        else:
            keys[slot] = code
            counts[slot] = 1
            used += 1
    return pixels.shape[0], used


@njit(nogil=True, cache=True)
def _rehash(old_keys, old_counts, keys, counts):
    """Take a table over into a larger one."""
    shift = _shift(keys)
    for i in range(old_keys.size):
        if old_keys[i] >= 0:
            slot = _slot(old_keys[i], keys, shift)
            keys[slot] = old_keys[i]
            counts[slot] = old_counts[i]


@njit(nogil=True, cache=True)
def _take(code, n, slot, table, colors, counts):
    """Write the n-th colour and its count, which lies in a slot of the table and gives way to n."""
    colors[n, 0] = code >> 16
    colors[n, 1] = (code >> 8) & 255
    colors[n, 2] = code & 255
    counts[n] = table[slot]
    table[slot] = n
    return n + 1


@njit(nogil=True, cache=True)
def _take_hashed(keys, table, colors, counts):
    """Write the colours of a table in order of its slots, and replace counts there by their places."""
    n = 0
    for slot in range(keys.size):
        if keys[slot] >= 0:
            n = _take(keys[slot], n, slot, table, colors, counts)


@njit(nogil=True, cache=True)
def _take_direct(table, colors, counts):
    """As :func:`_take_hashed`, where the slot is the colour."""
    n = 0
    for code in range(table.size):
        if table[code] > 0:
            n = _take(code, n, code, table, colors, counts)


@njit(nogil=True, cache=True)
def _index_hashed(pixels, keys, places, labels, out):
    """Write into ``out`` the label of every pixel's colour."""
    mask = keys.size - 1
    shift = _shift(keys)
    both = np.empty(keys.size, np.int32)  # key and label in one word: one look into memory for a pixel
    for slot in range(keys.size):
        if keys[slot] >= 0:
            both[slot] = keys[slot] | (np.int32(labels[places[slot]]) << 24)
    for i in range(pixels.shape[0]):
        code = _code(pixels, i)
        at = ((np.int64(code) * _GOLDEN) & _LOW) >> shift
        while (both[at] & 0xFFFFFF) != code:
            at = (at + 1) & mask
        out[i] = (both[at] >> 24) & 255


@njit(nogil=True, cache=True)
def _place_hashed(pixels, keys, table, out):
    """Write into ``out`` the place of every pixel's colour."""
    shift = _shift(keys)
    for i in range(pixels.shape[0]):
        out[i] = table[_slot(_code(pixels, i), keys, shift)]


@njit(nogil=True, cache=True)
def _count_direct(pixels, counts):
    used = 0
    for i in range(pixels.shape[0]):
        code = _code(pixels, i)
        used += counts[code] == 0
        counts[code] += 1
    return used


@njit(nogil=True, cache=True)
def _index_direct(pixels, table, labels, out):
    for i in range(pixels.shape[0]):
        out[i] = labels[table[_code(pixels, i)]]


@njit(nogil=True, cache=True)
def _place_direct(pixels, table, out):
    for i in range(pixels.shape[0]):
        out[i] = table[_code(pixels, i)]


class Histogram:
    """The different colours of an image.

    Args:
        pixels: uint8, (..., 3), at least one pixel.

    Attributes:
        colors: (n, 3) uint8, all different; their order depends on the image alone.
        counts: (n,) uint32, how many pixels have each.
    """

    def __init__(self, pixels: np.ndarray) -> None:
        self._shape = pixels.shape[:-1]
        self._pixels = pixels.reshape(-1, 3)
        if len(self._pixels) >= DIRECT_PIXELS:
            self._keys: np.ndarray | None = None
            self._table = np.zeros(1 << 24, np.uint32)
            used = _count_direct(self._pixels, self._table)
        else:
            used = self._fill_hash_table()
        self.colors = np.empty((used, 3), np.uint8)
        self.counts = np.empty(used, np.uint32)
        if self._keys is None:
            _take_direct(self._table, self.colors, self.counts)
        else:
            _take_hashed(self._keys, self._table, self.colors, self.counts)

    def _fill_hash_table(self) -> int:
        size = min(max(64, 1 << (2 * len(self._pixels) - 1).bit_length()), 1 << 17)
        keys, counts = np.full(size, -1, np.int32), np.empty(size, np.uint32)
        done, used = _count_hashed(self._pixels, 0, keys, counts, 0)
        while done < len(self._pixels):
            larger = np.full(2 * len(keys), -1, np.int32), np.empty(2 * len(keys), np.uint32)
            _rehash(keys, counts, *larger)
            keys, counts = larger
            done, used = _count_hashed(self._pixels, done, keys, counts, used)
        self._keys = keys
        self._table = counts
        return used

    def __len__(self) -> int:
        return len(self.colors)

    def spread(self, labels: np.ndarray) -> np.ndarray:
        """Give every pixel what its colour was given.

        Args:
            labels: (n,) uint8, in the order of ``colors``.

        Returns:
            uint8 in the shape of the image.
        """
        out = np.empty(len(self._pixels), np.uint8)
        if self._keys is None:
            _index_direct(self._pixels, self._table, labels, out)
        else:
            _index_hashed(self._pixels, self._keys, self._table, labels, out)
        return out.reshape(self._shape)

    def places(self) -> np.ndarray:
        """Where in ``colors`` the colour of every pixel is: int32 in the shape of the image."""
        out = np.empty(len(self._pixels), np.int32)
        if self._keys is None:
            _place_direct(self._pixels, self._table, out)
        else:
            _place_hashed(self._pixels, self._keys, self._table, out)
        return out.reshape(self._shape)
