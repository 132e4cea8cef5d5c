"""Map pixels to palettes, and encode parts of the data set as shards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from colorcnn.dcq.packing import packed_length
from colorcnn.dcq.palettes import by_lightness
from colorcnn.dcq.settings import Settings
from colorcnn.dcq.shard_writer import ShardContent, encode_shard
from colorcnn.dcq.smooth import smooth
from colorcnn.dcq.sources import ImageSource
from colorcnn.dcq.stages import Arrays
from colorcnn.indexed import map_indices
from colorcnn.quantizers.base import distinct
from colorcnn.quantizers.designed import nearest
from colorcnn.quantizers.histogram import Histogram

_TOGETHER = 1 << 18  # pixels quantized in one call: for small images a call costs more than its work


def map_pixels(pixels: np.ndarray, palette: np.ndarray, space: str) -> np.ndarray:
    """Return the nearest row of a palette for each pixel: uint8 in the shape of the pixels.

    Args:
        pixels: (..., 3) uint8.
        palette: (K, 3) uint8.
        space: the colour space of the distance.
    """
    histogram = Histogram(pixels)
    return histogram.per_pixel(nearest(histogram.colors, palette, space))


@dataclass(frozen=True)
class SharedColors:
    """Images of a cluster share its palette.

    Attributes:
        clusters: (N,) the cluster of each image.
        palettes: (P, K, 3) uint8.
        space: the colour space of the distance.
    """

    clusters: np.ndarray
    palettes: np.ndarray
    space: str

    def __call__(
        self, images: Sequence[int], pictures: Sequence[np.ndarray]
    ) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        """Return index maps, palettes (P, K, 3), and the number of each image's palette (n,)."""
        ids = self.clusters[np.asarray(images)]
        maps: list[np.ndarray] = [np.empty(0, np.uint8)] * len(pictures)
        for cluster in np.unique(ids):
            members = np.flatnonzero(ids == cluster).tolist()
            flat = np.concatenate([pictures[member].reshape(-1, 3) for member in members])
            labels = map_pixels(flat, self.palettes[cluster], self.space)
            ends = np.cumsum([pictures[member][..., 0].size for member in members])[:-1]
            for member, part in zip(members, np.split(labels, ends)):
                maps[member] = part.reshape(pictures[member].shape[:2])
        return maps, self.palettes, ids


@dataclass(frozen=True)
class SuperColors:
    """Each image has its own palette, whose colours come from one larger palette.

    Attributes:
        designed: function that returns the palettes (n, K, 3) uint8 of a part's images, of any colours.
        colors: (S, 3) uint8, the larger palette that replaces them.
        space: the colour space of the distance.
    """

    designed: Callable[[Sequence[int]], np.ndarray]
    colors: np.ndarray
    space: str

    def __call__(
        self, images: Sequence[int], pictures: Sequence[np.ndarray]
    ) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        """See :class:`SharedColors`."""
        palettes = snapped(self.designed(images), self.colors, self.space)
        maps = [map_pixels(one, palette, self.space) for one, palette in zip(pictures, palettes)]
        return maps, palettes, np.arange(len(pictures))


@dataclass(frozen=True)
class OwnColors:
    """Each image is quantized by itself.

    Attributes:
        quantizer: the method.
        num_colors: K.
    """

    quantizer: Any
    num_colors: int

    def __call__(
        self, images: Sequence[int], pictures: Sequence[np.ndarray]
    ) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        """See :class:`SharedColors`."""
        maps: list[np.ndarray] = []
        palettes: list[np.ndarray] = []
        for batch in _of_one_size(pictures):
            tensor = torch.from_numpy(np.stack(batch))
            result = self.quantizer(tensor, self.num_colors, channels_last=True)
            for image in range(len(batch)):
                index_map, colors = self._sorted(*result.compact(image))
                maps.append(index_map)
                palettes.append(colors)
        return maps, np.stack(palettes), np.arange(len(pictures))

    def _sorted(self, indices: np.ndarray, colors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ordered = by_lightness(colors)
        table = (ordered[None] == colors[:, None]).all(axis=2).argmax(axis=1).astype(np.uint8)
        return map_indices(indices, table), ordered[np.minimum(np.arange(self.num_colors), len(colors) - 1)]


def snapped(palettes: np.ndarray, colors: np.ndarray, space: str) -> np.ndarray:
    """Replace each colour of palettes by the nearest of some colours, sorted and padded.

    Args:
        palettes: (n, K, 3).
        colors: (S, 3).
        space: the colour space of the distance.
    """
    near = colors[nearest(palettes.reshape(-1, 3), colors, space)].reshape(palettes.shape)
    rows = [by_lightness(distinct(palette)) for palette in near]
    return np.stack([row[np.minimum(np.arange(palettes.shape[1]), len(row) - 1)] for row in rows])


def _of_one_size(pictures: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
    """Group consecutive images of equal size into batches."""
    batches: list[list[np.ndarray]] = []
    for picture in pictures:
        last = batches[-1] if batches else []
        if last and last[0].shape == picture.shape and len(last) * picture[..., 0].size < _TOGETHER:
            last.append(picture)
        else:
            batches.append([picture])
    return batches


@dataclass
class _Sums:
    """Sums over the pixels of original and quantized images, and of their squared differences."""

    sums: np.ndarray = field(default_factory=lambda: np.zeros((2, 2, 3)))
    error: float = 0.0
    pixels: int = 0

    def add(self, original: np.ndarray, quantized: np.ndarray) -> None:
        one, other = original.reshape(-1, 3) / 255.0, quantized.reshape(-1, 3) / 255.0
        for number, values in enumerate((one, other)):
            self.sums[number] += values.sum(axis=0), (values**2).sum(axis=0)
        self.error += float(((one - other) ** 2).sum())
        self.pixels += len(one)


@dataclass(frozen=True)
class ShardEncoder:
    """Callable that encodes some images as a shard.

    Attributes:
        source: the images.
        settings: bits per index, and the smoothing of index maps.
        colors: function that returns index maps and palettes.
    """

    source: ImageSource
    settings: Settings
    colors: SharedColors | SuperColors | OwnColors

    def __call__(self, images: Sequence[int]) -> Arrays:
        """Return the file's bytes as ``shard``, and sums for the manifest."""
        pictures = self.source.read(images)
        maps, palettes, ids = self.colors(images, pictures)
        bits, weight, space = self.settings.bits, self.settings.smoothing, self.settings.space
        if weight:
            if self.settings.palettes == "own":  # a method, such as dithering, may not use the nearest colour
                maps = [map_pixels(*one, space) for one in zip(pictures, palettes[ids])]
            maps = [smooth(*one, weight, space) for one in zip(pictures, maps, palettes[ids])]
        sums = _Sums()
        for picture, indices, palette in zip(pictures, maps, ids):
            sums.add(picture, palettes[palette][indices])
        chosen = np.asarray(images)
        content = ShardContent(
            bits, maps, palettes, ids, self.source.labels[chosen], self.source.rows[chosen]
        )
        return {
            "shard": np.frombuffer(encode_shard(content), np.uint8),
            "images": np.array(len(maps)),
            "sums": sums.sums,
            "error": np.array(sums.error),
            "pixels": np.array(sums.pixels),
            "packed": np.array(sum(packed_length(len(one), one.shape[1], bits) for one in maps)),
            "sizes": np.unique([one.shape for one in maps], axis=0),
        }
