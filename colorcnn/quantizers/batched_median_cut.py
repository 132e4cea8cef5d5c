"""Pillow's MedianCut for a whole batch on its device, for imitation targets computed during training.

The method is P. Heckbert's (SIGGRAPH 1982) as Pillow defines it. The box with most pixels is split at the
median along its longest side, with the sides weighted as in luminance. Each pixel then takes the nearest
mean of a box. All values are whole numbers, so that the maps equal those of :class:`MedianCut` in every
pixel. Ties are decided alike, too: Pillow keeps its boxes in a binary heap, whose order decides between boxes
with equal numbers of pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from colorcnn.quantizers.base import check_num_colors
from colorcnn.quantizers.batched import pieces, squared_distances
from colorcnn.quantizers.median_cut import MedianCut

MOST_PIXELS = 1 << 16
"""Number of colours above which Pillow merges colours; an image of as many pixels never has more."""

_WEIGHTS = (77, 150, 29)  # of red, green and blue, in 256ths
_SLOTS = 512  # a heap's entry is this times the number of pixels, plus the number of the box
_NO_BOX = 1_000_000  # added to the distances of palette rows without a box


def median_cut_index_maps(images: Tensor, num_colors: int) -> Tensor:
    """Return the index maps of MedianCut, computed on the device of the images.

    Images of more than 65,536 pixels are quantized by :class:`MedianCut` itself.

    Args:
        images: uint8 (B, 3, H, W).
        num_colors: C, 1..256.

    Returns:
        uint8 (B, H, W), each entry below C. As partitions of the pixels they equal the maps of
        :class:`MedianCut`, which also removes unused numbers.
    """
    check_num_colors(num_colors)
    if images.shape[2] * images.shape[3] > MOST_PIXELS:
        return MedianCut()(images, num_colors).indices.to(images.device)
    pixels = images.flatten(2).long()
    boxes = _Boxes(pixels, num_colors)
    for step in range(2 * num_colors):
        going = boxes.going()
        # Each step splits one box of each image, unless it has a single colour. An earlier check of whether
        # all images are done would only wait for the GPU.
        if step >= num_colors - 1 and not bool(going.any()):
            break
        boxes.split(going)
    labels = _nearest(pixels, *boxes.in_tree_order())
    return labels.to(torch.uint8).view(len(images), *images.shape[2:])


class _Boxes:
    """The boxes of a batch of images: of each pixel, with histograms, and in a heap.

    Args:
        pixels: (B, 3, N) int64 bytes.
        num_colors: C.
    """

    def __init__(self, pixels: Tensor, num_colors: int) -> None:
        batch, _, count = pixels.shape
        device = pixels.device
        self.pixels = pixels
        self.num_colors = num_colors
        self.rows = torch.arange(batch, device=device)
        self.labels = torch.zeros(batch, count, dtype=torch.int64, device=device)
        self.histograms = torch.zeros(batch, num_colors, 3, 256, dtype=torch.int32, device=device)
        ones = torch.ones((), dtype=torch.int32, device=device)
        self.histograms[:, 0].scatter_add_(2, pixels, ones.expand_as(pixels))
        self.count = torch.ones_like(self.rows)
        self.numbers = torch.arange(num_colors, device=device)
        self.place = self.numbers.repeat(batch, 1)  # of the boxes in the tree, from left to right
        self.heap = _Heap(batch, num_colors, device)
        self.heap.add(torch.full_like(self.rows, count * _SLOTS), self.rows >= 0)

    def going(self) -> Tensor:
        """Return which images still have boxes to split, (B,)."""
        return (self.count < self.num_colors) & (self.heap.size > 0)

    def split(self, going: Tensor) -> None:
        """Take the box with most pixels from the heap and split it, if it has several colours.

        Args:
            going: (B,), the images to work on.
        """
        rows, first = self.rows, self.heap.remove(going) % _SLOTS
        histogram = self.histograms[rows, first]
        present = (histogram > 0).to(torch.uint8)
        low, high = present.argmax(dim=2), 255 - present.flip(2).argmax(dim=2)
        sides = (high - low).unbind(dim=1)
        axis = torch.stack([side * weight for side, weight in zip(sides, _WEIGHTS)]).argmax(dim=0)
        low, high = low[rows, axis], high[rows, axis]
        able = going & (high > low)
        # The first part has the values from the highest one down to the median, but never all of them.
        above = histogram[rows, axis].flip(1).cumsum(1).flip(1)  # the pixels with at least each value
        median = 255 - (2 * above > above[:, :1]).to(torch.uint8).flip(1).argmax(dim=1)
        least = torch.where(median > low, median, low + 1).clamp_max(255)
        second = self.count.clamp_max(self.num_colors - 1)
        values = self.pixels.gather(1, axis[:, None, None].expand(-1, 1, self.pixels.shape[2])).squeeze(1)
        moved = (self.labels == first[:, None]) & (values < least[:, None]) & able[:, None]
        self.labels = torch.where(moved, second[:, None], self.labels)
        other = torch.zeros_like(histogram)
        other.scatter_add_(2, self.pixels, moved.int()[:, None].expand_as(self.pixels))
        self.histograms[rows, first] -= other
        self.histograms[rows, second] += other
        self._number(first, second, able)
        kept = above[rows, least]
        self.heap.add(kept * _SLOTS + first, able)
        self.heap.add((above[:, 0] - kept) * _SLOTS + second, able)
        self.count = self.count + able

    def _number(self, first: Tensor, second: Tensor, able: Tensor) -> None:
        """Insert the second part of a box behind the first in the order of the tree."""
        place = self.place[self.rows, first][:, None]
        exists = self.numbers < self.count[:, None]
        self.place += exists & (self.place > place) & able[:, None]
        self.place[self.rows, second] = torch.where(able, place[:, 0] + 1, self.place[self.rows, second])

    def in_tree_order(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the box (B, N) of each pixel, the palettes (B, C, 3), and the number of boxes (B,).

        The boxes are numbered from left to right in the tree.
        """
        batch, device = len(self.rows), self.rows.device
        labels = self.place.gather(1, self.labels)
        sums = torch.zeros(batch, 3, self.num_colors, dtype=torch.int64, device=device)
        sums.scatter_add_(2, labels[:, None].expand_as(self.pixels), self.pixels)
        counts = torch.zeros(batch, self.num_colors, dtype=torch.int64, device=device)
        counts.scatter_add_(1, labels, torch.ones_like(labels))
        means = (sums.double() / counts.clamp_min(1)[:, None].double() + 0.5).long()
        return labels, means.transpose(1, 2), self.count


class _Heap:
    """Binary heaps of a batch, with the largest number of pixels at position 1.

    Entries are compared by their numbers of pixels only, as in Pillow.

    Args:
        batch: B.
        most: maximum number of entries.
        device: device of the heaps.
    """

    def __init__(self, batch: int, most: int, device: torch.device) -> None:
        self.entries = torch.zeros(batch, most + 2, dtype=torch.int64, device=device)
        self.size = torch.zeros(batch, dtype=torch.int64, device=device)
        self.levels = most.bit_length()

    def add(self, entry: Tensor, active: Tensor) -> None:
        """Add an entry to the active heaps.

        Args:
            entry: (B,).
            active: (B,) bool.
        """
        self.size = self.size + active
        place, rising = self.size, active
        for _ in range(self.levels):
            above = (place // 2).clamp_min(1)
            value = self._at(above)
            rising = rising & (place > 1) & (entry // _SLOTS > value // _SLOTS)
            self._put(place, value, rising)
            place = torch.where(rising, above, place)
        self._put(place, entry, active)

    def remove(self, active: Tensor) -> Tensor:
        """Remove the largest entry of the active heaps and return it, (B,).

        Args:
            active: (B,) bool; these heaps are not empty.
        """
        largest, last = self.entries[:, 1].clone(), self._at(self.size)
        self.size = self.size - active.long()
        place, sinking = torch.ones_like(self.size), active
        for _ in range(self.levels):
            left = (2 * place).clamp_max(self.entries.shape[1] - 2)
            one, other = self._at(left), self._at(left + 1)
            right_is_larger = (2 * place < self.size) & (one // _SLOTS < other // _SLOTS)
            value = torch.where(right_is_larger, other, one)
            sinking = sinking & (2 * place <= self.size) & (last // _SLOTS <= value // _SLOTS)
            self._put(place, value, sinking)
            place = torch.where(sinking, left + right_is_larger, place)
        self._put(place, last, active)
        return largest

    def _at(self, place: Tensor) -> Tensor:
        return self.entries.gather(1, place[:, None]).squeeze(1)

    def _put(self, place: Tensor, entry: Tensor, active: Tensor) -> None:
        self.entries.scatter_(1, place[:, None], torch.where(active, entry, self._at(place))[:, None])


def _nearest(pixels: Tensor, own: Tensor, palette: Tensor, count: Tensor) -> Tensor:
    """Return the nearest row (B, N) of palettes for every pixel.

    Of equally near rows the row of the pixel's own box comes first, then the row nearest to that one.

    Args:
        pixels: (B, 3, N).
        own: (B, N), the box of each pixel.
        palette: (B, C, 3), in the order of the boxes.
        count: (B,), the number of boxes.
    """
    colors = palette.shape[1]
    numbers = torch.arange(colors, device=palette.device)
    between = squared_distances(palette.transpose(1, 2), palette)
    rank = between.argsort(dim=2, stable=True).argsort(dim=2).int() + 1
    rank = torch.where(numbers[:, None] == numbers, 0, rank)
    missing = (_NO_BOX * (numbers >= count[:, None])).int()[:, None]
    parts = []
    for part in pieces(pixels, colors):
        distance = squared_distances(pixels[:, :, part], palette) + missing
        order = rank.gather(1, own[:, part, None].expand(-1, -1, colors))
        parts.append((distance * (colors + 1) + order).argmin(dim=2))
    return torch.cat(parts, dim=1)
