"""Prediction of an index map from its neighbours: residuals compress better with zstd.

A pixel's neighbours are left, above, above right, and above left of it. Outside the map they are replaced:

============  ==================================================
position      replacement
============  ==================================================
first pixel   all neighbours are 0
first row     all neighbours are the left one
first column  left and above left are the one above
last column   above right is the one above
============  ==================================================
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from colorcnn.compiled import njit

DEPTHS = (4, 3, 2)
"""Possible numbers of neighbours in a context, in the order above."""

_PIXELS_FOR_AN_ENTRY = 64  # a table saves bytes only if its entries are used often


@njit
def _neighbours(indices, y, x):
    if y == 0:
        left = np.int64(indices[0, x - 1]) if x else 0
        return left, left, left, left
    above = np.int64(indices[y - 1, x])
    right = np.int64(indices[y - 1, x + 1]) if x + 1 < indices.shape[1] else above
    if x == 0:
        return above, above, right, above
    return np.int64(indices[y, x - 1]), above, right, np.int64(indices[y - 1, x - 1])


@njit
def _median(left, above, corner):
    """Return the median of left, above and left + above - corner."""
    low, high = min(left, above), max(left, above)
    if corner >= high:
        return low
    if corner <= low:
        return high
    return left + above - corner


@njit
def _context(indices, y, x, bits, depth):
    left, above, right, corner = _neighbours(indices, y, x)
    context = (left << bits) | above
    if depth > 2:
        context = (context << bits) | right
    if depth > 3:
        context = (context << bits) | corner
    return context


@njit
def _to_differences(indices, mask, out):
    for y in range(indices.shape[0]):
        for x in range(indices.shape[1]):
            left, above, _, corner = _neighbours(indices, y, x)
            out[y, x] = (np.int64(indices[y, x]) - _median(left, above, corner)) & mask


@njit
def _from_differences(indices, mask):
    for y in range(indices.shape[0]):
        for x in range(indices.shape[1]):
            left, above, _, corner = _neighbours(indices, y, x)
            indices[y, x] = (np.int64(indices[y, x]) + _median(left, above, corner)) & mask


@njit
def _count(indices, bits, depth, counts):
    for y in range(indices.shape[0]):
        for x in range(indices.shape[1]):
            counts[_context(indices, y, x, bits, depth), indices[y, x]] += 1


@njit
def _to_ranks(indices, bits, depth, ranks, out):
    for y in range(indices.shape[0]):
        for x in range(indices.shape[1]):
            out[y, x] = ranks[_context(indices, y, x, bits, depth), indices[y, x]]


@njit
def _from_ranks(indices, bits, depth, table):
    for y in range(indices.shape[0]):
        for x in range(indices.shape[1]):
            indices[y, x] = table[_context(indices, y, x, bits, depth), indices[y, x]]


def to_differences(indices: np.ndarray, bits: int) -> np.ndarray:
    """Return an index map as differences modulo ``2**bits`` from the median prediction of its neighbours.

    Args:
        indices: (H, W).
        bits: bits per index.
    """
    out = np.empty_like(indices)
    _to_differences(indices, (1 << bits) - 1, out)
    return out


def from_differences(differences: np.ndarray, bits: int) -> None:
    """Invert :func:`to_differences`, in place.

    Args:
        differences: (H, W).
        bits: bits per index.
    """
    _from_differences(differences, (1 << bits) - 1)


def context_table(images: Sequence[np.ndarray], bits: int) -> np.ndarray | None:
    """Return, for every context, all indices by descending frequency.

    Args:
        images: index maps (H, W) uint8.
        bits: bits per index.

    Returns:
        (2**(bits * depth), 2**bits) uint8 with the largest depth that the number of pixels allows; None if
        it allows none.
    """
    pixels = sum(image.size for image in images)
    fitting = [depth for depth in DEPTHS if _PIXELS_FOR_AN_ENTRY << bits * (depth + 1) <= pixels]
    if not fitting:
        return None
    counts = np.zeros((1 << bits * fitting[0], 1 << bits), np.int64)
    for image in images:
        _count(image, bits, fitting[0], counts)
    return np.argsort(-counts, axis=1, kind="stable").astype(np.uint8)


def table_depth(table: np.ndarray, bits: int) -> int:
    """Return the number of neighbours in a table's contexts.

    Args:
        table: (contexts, 2**bits) uint8.
        bits: bits per index.

    Raises:
        ValueError: the table does not fit these bits.
    """
    depths = [depth for depth in DEPTHS if table.shape == (1 << bits * depth, 1 << bits)]
    if not depths or int(table.max()) >> bits:
        raise ValueError
    return depths[0]


def to_ranks(indices: np.ndarray, bits: int, table: np.ndarray) -> np.ndarray:
    """Return an index map as the positions of its indices in the rows of a table.

    Args:
        indices: (H, W).
        bits: bits per index.
        table: (contexts, 2**bits) uint8.
    """
    ranks = np.argsort(table, axis=1, kind="stable").astype(np.uint8)
    out = np.empty_like(indices)
    _to_ranks(indices, bits, table_depth(table, bits), ranks, out)
    return out


def from_ranks(ranks: np.ndarray, bits: int, table: np.ndarray) -> None:
    """Invert :func:`to_ranks`, in place.

    Args:
        ranks: (H, W).
        bits: bits per index.
        table: (contexts, 2**bits) uint8.
    """
    _from_ranks(ranks, bits, table_depth(table, bits), table)
