"""Base class of this package's own methods, which design a palette for the colours of an image."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from colorcnn.errors import UsageError
from colorcnn.indexed import count_indices, map_indices
from colorcnn.quantizers.base import Quantizer, check_kept, distinct
from colorcnn.quantizers.boxes import coarse
from colorcnn.quantizers.histogram import Histogram
from colorcnn.quantizers.lloyd import assign, assign_bytes
from colorcnn.quantizers.spaces import check_space, enter, leave

MOST_POINTS = 1 << 17
"""Above this number of colours, the means of 6-bit cells (at most 262,144) replace the image's colours."""

_CHUNK = 1 << 20


class Points(NamedTuple):
    """Weighted points in a colour space: coordinates (3, n) float32 and weights (n,) float32."""

    coordinates: np.ndarray
    weights: np.ndarray


class Designed(Quantizer):
    """Base class of quantizers that design a palette for weighted points in a colour space.

    The result has exactly ``num_colors`` colours, or all colours of an image with fewer.

    Args:
        space: colour space of the distances, a name in :data:`colorcnn.quantizers.spaces.SPACES`.
        keep: colours that are part of every palette, (m, 3) bytes. Unused ones are removed from the result.

    Raises:
        UsageError: the colour space is unknown, or there are more than 256 colours to keep.
    """

    def __init__(self, *, space: str = "srgb", keep: Iterable[tuple[int, int, int]] = ()) -> None:
        self.space = check_space(space)
        self.keep = check_kept(keep)

    def quantize_pixels(self, pixels: np.ndarray, num_colors: int) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`Quantizer.quantize_pixels`."""
        return self.map_colors(Histogram(pixels), num_colors)

    def map_colors(self, histogram: Histogram, num_colors: int) -> tuple[np.ndarray, np.ndarray]:
        """Design a palette for the colours of an image and map its pixels: indices (H, W) and palette.

        Args:
            histogram: colours of the image.
            num_colors: C.
        """
        palette = self.design_palette(histogram.colors, histogram.counts, num_colors)
        labels, palette = complete(histogram.colors, histogram.counts, palette, num_colors, self.space)
        return histogram.per_pixel(labels), palette

    def design_palette(self, colors: np.ndarray, counts: np.ndarray, num_colors: int) -> np.ndarray:
        """Choose a palette for weighted colours.

        Args:
            colors: (n, 3) uint8, all distinct.
            counts: (n,) number of pixels of each colour.
            num_colors: 1..256.

        Returns:
            (m, 3) uint8, m <= num_colors; the kept colours come first.

        Raises:
            UsageError: there are more colours to keep than ``num_colors``.
        """
        if len(self.keep) > num_colors:
            raise UsageError(
                f"There are {len(self.keep)} colours to keep, but only {num_colors} are allowed: "
                "allow more colours."
            )
        wanted = distinct(np.concatenate([self.keep, colors])) if len(colors) <= num_colors else colors
        if len(wanted) <= num_colors:
            return wanted
        if len(self.keep) == num_colors:
            return self.keep
        if len(colors) > MOST_POINTS:
            values, weights = coarse(colors, counts, 6)
        else:
            values, weights = colors.T.astype(np.float32), counts.astype(np.float32)
        kept = enter(self.keep.T, self.space)
        centers = self.design(Points(enter(values, self.space), weights), num_colors, kept)
        palette = leave(centers, self.space)
        palette[: len(self.keep)] = self.keep  # exact, without rounding by the colour space
        return palette

    @abstractmethod
    def design(self, points: Points, num_colors: int, kept: np.ndarray) -> np.ndarray:
        """Choose centres for weighted points.

        Args:
            points: n points, n >= 1.
            num_colors: number of centres.
            kept: (3, m) float32 fixed centres, m < num_colors.

        Returns:
            (3, k) float32 centres, m <= k <= num_colors; the first m are ``kept``.
        """


def nearest(colors: np.ndarray, palette: np.ndarray, space: str = "srgb") -> np.ndarray:
    """Return the nearest palette row of each colour; ties go to the first row.

    The result is exact in sRGB. In other spaces two distances count as equal if they differ by less than a
    factor of 1 + 2**-15.

    Args:
        colors: (n, 3) uint8.
        palette: (k, 3) uint8, 1 <= k <= 256.
        space: colour space of the distances.

    Returns:
        (n,) uint8.
    """
    labels = np.empty(len(colors), np.uint8)
    if space == "srgb":
        assign_bytes(np.ascontiguousarray(colors), palette, labels)
        return labels
    centers = enter(palette.T, space)
    for start in range(0, len(colors), _CHUNK):  # coordinates take four times the memory of colours
        part = slice(start, start + _CHUNK)
        assign(enter(colors[part].T, space), centers, labels[part])
    return labels


def complete(
    colors: np.ndarray, counts: np.ndarray, palette: np.ndarray, num_colors: int, space: str
) -> tuple[np.ndarray, np.ndarray]:
    """Map colours to a palette, and complete it to ``num_colors`` used rows, or to all colours.

    Equal and unused rows are replaced by the colours with the largest error. Each of these is then nearest to
    itself and lowers the squared error, so the loop ends.

    Args:
        colors: (n, 3) uint8, all distinct.
        counts: (n,) number of pixels of each colour.
        palette: (k, 3) uint8, 1 <= k <= num_colors.
        num_colors: number of rows.
        space: colour space of the distances.

    Returns:
        (n,) uint8 labels and the palette without unused rows.
    """
    wanted = min(num_colors, len(colors))
    palette = distinct(palette)
    while True:
        labels = nearest(colors, palette, space)
        used = count_indices(labels, len(palette)) > 0
        if not used.all():
            palette = palette[used]
            labels = map_indices(labels, np.maximum(np.cumsum(used) - 1, 0).astype(np.uint8))
        if len(palette) >= wanted:
            return labels, palette
        worst = _worst(colors, counts, palette, labels, space, wanted - len(palette))
        palette = np.concatenate([palette, colors[worst]])


def _worst(
    colors: np.ndarray, counts: np.ndarray, palette: np.ndarray, labels: np.ndarray, space: str, most: int
) -> np.ndarray:
    """Return the numbers of at most ``most`` colours with the largest share of the squared error."""
    centers = enter(palette.T, space)
    numbers, errors = np.empty(0, np.int64), np.empty(0)
    for start in range(0, len(colors), _CHUNK):
        part = slice(start, start + _CHUNK)
        squares = ((enter(colors[part].T, space) - centers[:, labels[part]]) ** 2).sum(axis=0)
        found = squares * counts[part].astype(np.float64)
        top = np.argsort(-found, kind="stable")[:most]
        numbers, errors = np.append(numbers, start + top), np.append(errors, found[top])
    order = np.argsort(-errors, kind="stable")[:most]
    return numbers[order[errors[order] > 0]]
