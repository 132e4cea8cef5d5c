"""Every pixel to its nearest colour, and a piece of the data set to a shard."""

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

_TOGETHER = 1 << 18  # pixels quantized in one call: for small images calls cost more than work


def map_pixels(pixels: np.ndarray, palette: np.ndarray, space: str) -> np.ndarray:
    """Return the nearest row of a palette for each pixel: uint8 in the shape of the pixels.

    Args:
        pixels: (..., 3) uint8.
        palette: (K, 3) uint8.
        space: the colour space of the distance.
    """
    histogram = Histogram(pixels)
    return histogram.spread(nearest(histogram.colors, palette, space))


@dataclass(frozen=True)
class SharedColors:
    """Images of a cluster share its palette.

    Attributes:
        clusters: (N,) the cluster of each image.
        palettes: (P, K, 3) uint8.
        space: where the nearest colour is looked for.
    """

    clusters: np.ndarray
    palettes: np.ndarray
    space: str

    def __call__(
        self, images: Sequence[int], pictures: Sequence[np.ndarray]
    ) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        """Index maps, palettes (P, K, 3), and which of these each image uses (n,)."""
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
    """Each image has a palette of its own, of colours from a larger one.

    Attributes:
        designed: reads the palettes (n, K, 3) uint8 of a part's images, of any colours.
        colors: (S, 3) uint8, those that take their places.
        space: where the nearest colour is looked for.
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
            for place in range(len(batch)):
                index_map, colors = self._sorted(*result.compact(place))
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
    """Consecutive images of one size, as many as are worth a call."""
    batches: list[list[np.ndarray]] = []
    for picture in pictures:
        last = batches[-1] if batches else []
        if last and last[0].shape == picture.shape and len(last) * picture[..., 0].size < _TOGETHER:
            last.append(picture)
        else:
            batches.append([picture])
    return batches


@dataclass
class _Tally:
    """Sums over pixels: of the originals, of the quantized, and of the squared differences."""

    sums: np.ndarray = field(default_factory=lambda: np.zeros((2, 2, 3)))
    error: float = 0.0
    pixels: int = 0

    def add(self, original: np.ndarray, quantized: np.ndarray) -> None:
        one, other = original.reshape(-1, 3) / 255.0, quantized.reshape(-1, 3) / 255.0
        for place, values in enumerate((one, other)):
            self.sums[place] += values.sum(axis=0), (values**2).sum(axis=0)
        self.error += float(((one - other) ** 2).sum())
        self.pixels += len(one)


@dataclass(frozen=True)
class Encoding:
    """A stage's work: some images as a shard.

    Attributes:
        source: the images.
        settings: bits of an index, and how index maps are smoothed.
        colors: gives index maps and palettes.
    """

    source: ImageSource
    settings: Settings
    colors: SharedColors | SuperColors | OwnColors

    def __call__(self, images: Sequence[int]) -> Arrays:
        """``shard`` (bytes,) the file, and sums: see :func:`colorcnn.dcq.build.count_bytes`."""
        pictures = self.source.read(images)
        maps, palettes, ids = self.colors(images, pictures)
        bits, weight, space = self.settings.bits, self.settings.smoothing, self.settings.space
        if weight:
            if self.settings.palettes == "own":  # the method's maps need not be of the nearest colours
                maps = [map_pixels(*one, space) for one in zip(pictures, palettes[ids])]
            maps = [smooth(*one, weight, space) for one in zip(pictures, maps, palettes[ids])]
        tally = _Tally()
        for picture, indices, palette in zip(pictures, maps, ids):
            tally.add(picture, palettes[palette][indices])
        chosen = np.asarray(images)
        content = ShardContent(
            bits, maps, palettes, ids, self.source.labels[chosen], self.source.rows[chosen]
        )
        return {
            "shard": np.frombuffer(encode_shard(content), np.uint8),
            "images": np.array(len(maps)),
            "sums": tally.sums,
            "error": np.array(tally.error),
            "pixels": np.array(tally.pixels),
            "packed": np.array(sum(packed_length(len(one), one.shape[1], bits) for one in maps)),
            "sizes": np.unique([one.shape for one in maps], axis=0),
        }
