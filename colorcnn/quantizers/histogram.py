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
def _count_hashed(pixels, start, keys, counts, used):
    """Count pixels from ``start`` on until 7 of 10 slots are taken; returns the next and the colours."""
    mask = keys.size - 1
    shift = 32
    size = keys.size
    while size > 1:
        size >>= 1
        shift -= 1
    limit = 7 * keys.size // 10
    for i in range(start, pixels.shape[0]):
        code = (np.int32(pixels[i, 0]) << 16) | (np.int32(pixels[i, 1]) << 8) | np.int32(pixels[i, 2])
        slot = ((np.int64(code) * _GOLDEN) & _LOW) >> shift
        while True:
            key = keys[slot]
            if key == code:
                counts[slot] += 1
                break
            if key < 0:
                if used == limit:
                    return i, used
                keys[slot] = code
                counts[slot] = 1
                used += 1
                break
            slot = (slot + 1) & mask
    return pixels.shape[0], used


@njit(nogil=True, cache=True)
def _rehash(old_keys, old_counts, keys, counts):
    mask = keys.size - 1
    shift = 32
    size = keys.size
    while size > 1:
        size >>= 1
        shift -= 1
    for i in range(old_keys.size):
        code = old_keys[i]
        if code >= 0:
            slot = ((np.int64(code) * _GOLDEN) & _LOW) >> shift
            while keys[slot] >= 0:
                slot = (slot + 1) & mask
            keys[slot] = code
            counts[slot] = old_counts[i]


@njit(nogil=True, cache=True)
def _take_hashed(keys, counts, colors, weights):
    """Write the colours of a table in order of its slots."""
    n = 0
    for slot in range(keys.size):
        code = keys[slot]
        if code >= 0:
            colors[n, 0] = code >> 16
            colors[n, 1] = (code >> 8) & 255
            colors[n, 2] = code & 255
            weights[n] = counts[slot]
            n += 1


@njit(nogil=True, cache=True)
def _index_hashed(pixels, keys, labels, out):
    """Write into ``out`` the label of every pixel; labels come in order of the slots that are taken."""
    mask = keys.size - 1
    shift = 32
    size = keys.size
    while size > 1:
        size >>= 1
        shift -= 1
    both = np.empty(keys.size, np.int32)  # key and label in one word: one look into memory for a pixel
    n = 0
    for slot in range(keys.size):
        if keys[slot] >= 0:
            both[slot] = keys[slot] | (np.int32(labels[n]) << 24)
            n += 1
    for i in range(pixels.shape[0]):
        code = (np.int32(pixels[i, 0]) << 16) | (np.int32(pixels[i, 1]) << 8) | np.int32(pixels[i, 2])
        at = ((np.int64(code) * _GOLDEN) & _LOW) >> shift
        while (both[at] & 0xFFFFFF) != code:
            at = (at + 1) & mask
        out[i] = (both[at] >> 24) & 255


@njit(nogil=True, cache=True)
def _count_direct(pixels, counts):
    used = 0
    for i in range(pixels.shape[0]):
        code = (np.int32(pixels[i, 0]) << 16) | (np.int32(pixels[i, 1]) << 8) | np.int32(pixels[i, 2])
        used += counts[code] == 0
        counts[code] += 1
    return used


@njit(nogil=True, cache=True)
def _take_direct(counts, colors, weights):
    """Write the colours in order and replace each count by the place of its colour."""
    n = 0
    for code in range(counts.size):
        if counts[code] > 0:
            colors[n, 0] = code >> 16
            colors[n, 1] = (code >> 8) & 255
            colors[n, 2] = code & 255
            weights[n] = counts[code]
            counts[code] = n
            n += 1


@njit(nogil=True, cache=True)
def _index_direct(pixels, places, labels, out):
    for i in range(pixels.shape[0]):
        code = (np.int32(pixels[i, 0]) << 16) | (np.int32(pixels[i, 1]) << 8) | np.int32(pixels[i, 2])
        out[i] = labels[places[code]]


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
            del self._table

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
            _index_hashed(self._pixels, self._keys, labels, out)
        return out.reshape(self._shape)
