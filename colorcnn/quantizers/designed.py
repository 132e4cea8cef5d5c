"""Base of the project's own methods: colours in, a palette designed, exactly as many colours out."""

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
"""Images of more colours are designed for on the means of 6-bit cells, at most 262,144 of them."""

_CHUNK = 1 << 20


class Points(NamedTuple):
    """Weighted points in a colour space: coordinates (3, n) float32 and weights (n,) float32."""

    coordinates: np.ndarray
    weights: np.ndarray


class Designed(Quantizer):
    """A quantizer that designs a palette for weighted points in a colour space.

    Gives exactly ``num_colors`` colours where the image has as many, all of its colours where it has fewer.

    Args:
        space: where distances are measured, a name in :data:`colorcnn.quantizers.spaces.SPACES`.
        keep: colours that are part of every palette, (m, 3) bytes; those that no pixel is nearest to are
            dropped from the result, as every unused colour is.

    Raises:
        UsageError: an unknown colour space, or more than 256 kept colours.
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
            histogram: of the image.
            num_colors: C.
        """
        palette = self.design_palette(histogram.colors, histogram.counts, num_colors)
        labels, palette = complete(histogram.colors, histogram.counts, palette, num_colors, self.space)
        return histogram.spread(labels), palette

    def design_palette(self, colors: np.ndarray, counts: np.ndarray, num_colors: int) -> np.ndarray:
        """Choose a palette for colours of which each occurs so often.

        Args:
            colors: (n, 3) uint8, all different.
            counts: (n,) how often each occurs.
            num_colors: 1..256.

        Returns:
            (m, 3) uint8, m <= num_colors; the kept colours come first.

        Raises:
            UsageError: there are more kept colours than ``num_colors``.
        """
        if len(self.keep) > num_colors:
            raise UsageError(
                f"{len(self.keep)} colours are to be kept and {num_colors} asked for: allow more colours."
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
        palette[: len(self.keep)] = self.keep  # whatever rounding on the way there and back has done
        return palette

    @abstractmethod
    def design(self, points: Points, num_colors: int, kept: np.ndarray) -> np.ndarray:
        """Choose centres for weighted points.

        Args:
            points: n of them, n >= 1.
            num_colors: how many centres are wanted.
            kept: (3, m) float32 centres that are given, m < num_colors.

        Returns:
            (3, k) float32 centres, m <= k <= num_colors, of which the first m are those given.
        """


def nearest(colors: np.ndarray, palette: np.ndarray, space: str = "srgb") -> np.ndarray:
    """The nearest palette row of each colour, the first of equals.

    In sRGB the answer is exact; elsewhere two distances that differ by less than 2**-15 of themselves may
    pass for equal.

    Args:
        colors: (n, 3) uint8.
        palette: (k, 3) uint8, 1 <= k <= 256.
        space: where distances are measured.

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
    """Map colours to a palette and see to it that it has ``num_colors`` rows, or all colours, all used.

    Rows that are equal or unused give way to the colours that are worst represented. Each of these is at once
    the nearest to itself and lowers the squared error, so that this ends.

    Args:
        colors: (n, 3) uint8, all different.
        counts: (n,) how often each occurs.
        palette: (k, 3) uint8, 1 <= k <= num_colors.
        num_colors: how many rows there shall be.
        space: where distances are measured.

    Returns:
        (n,) uint8 labels and the palette, in which every row is used.
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
    """Places of the colours with the largest share of the squared error, at most ``most``, in pieces."""
    centers = enter(palette.T, space)
    places, errors = np.empty(0, np.int64), np.empty(0)
    for start in range(0, len(colors), _CHUNK):
        part = slice(start, start + _CHUNK)
        squares = ((enter(colors[part].T, space) - centers[:, labels[part]]) ** 2).sum(axis=0)
        found = squares * counts[part].astype(np.float64)
        top = np.argsort(-found, kind="stable")[:most]
        places, errors = np.append(places, start + top), np.append(errors, found[top])
    order = np.argsort(-errors, kind="stable")[:most]
    return places[order[errors[order] > 0]]
