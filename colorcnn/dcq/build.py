"""From a data set to a store: the stages one after the other, each kept on disk until the store is whole."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from torch import nn

from colorcnn.dcq.clusters import cluster_images, given_clusters
from colorcnn.dcq.encode import Encoding, OwnColors, SharedColors, SuperColors
from colorcnn.dcq.features import GIVEN, PixelFeatures
from colorcnn.dcq.palettes import Designing, Sampling, grouped, pixel_shares, to_colors
from colorcnn.dcq.place import MANIFEST, NAMES
from colorcnn.dcq.refine import Refining
from colorcnn.dcq.settings import Settings
from colorcnn.dcq.sources import ImageSource, names_of
from colorcnn.dcq.stages import Arrays, Work, ranges
from colorcnn.dcq.storage import Manifest, Sizes, Statistics, shard_entry, shard_name, write_names
from colorcnn.errors import ColorCNNError
from colorcnn.files import refuse_existing, write_atomically
from colorcnn.quantizers.k_means import KMeans
from colorcnn.quantizers.palettes import SharedPalette
from colorcnn.records import weights_hash

WORK = ".build"
NETWORK = "network"
"""The stage in which a classifier looks at all images: ``features`` (n, D) and ``attention`` (n, h, w)."""

EXTRACT_BATCH = 128
_PART_PIXELS = 1 << 23  # of a shard: 25 MB as colours
_MOST_IMAGES = 1 << 13

Extract = Callable[[ImageSource, Settings, Work], None]
"""Lets a classifier look at all images and saves the pieces ``NETWORK``, of ``EXTRACT_BATCH`` images each."""


@dataclass
class Build:
    """A build that is under way; its methods are the stages.

    Args:
        source: the images.
        settings: how they are quantized.
        folder: of the store.
        extract: lets the classifier look; None where there is none.
        quantizer: what ``settings.method`` stands for.
        data: the data set as its user names it, for the manifest.
        classifier: likewise.
        sight: what decides what the classifier sees, of JSON's types; an unfinished build goes on with
            no other.
        jobs: pieces worked on at a time; -1 is one for each core.
        say: is told what a user should know.
    """

    source: ImageSource
    settings: Settings
    folder: Path
    extract: Extract | None = None
    quantizer: Any = None
    data: str = ""
    classifier: str | None = None
    sight: Any = None
    jobs: int = -1
    say: Callable[[str], None] = lambda message: None
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Open the folder; raises UsageError where it holds another build."""
        if not len(self.source):
            raise ColorCNNError(f"{self.data or 'The data set'} has no training images: name another.")
        if self.extract is None:
            self.settings, notes = self.settings.without_classifier()
            for note in notes:
                self._note(note)
        plan = {
            "settings": self.settings.to_json(),
            "images": self.source.key,
            "classifier": [self.classifier, self.sight] if self.needs_network else None,
            "method": weights_hash(self.quantizer) if isinstance(self.quantizer, nn.Module) else None,
        }
        self.work = Work(self.folder / WORK, plan, jobs=self.jobs)
        if self.work.resumed:
            self.say(f"going on with the unfinished build in {self.folder}")
        self.parts = ranges(len(self.source), self._part_images())

    def _note(self, text: str) -> None:
        self.notes.append(text)
        self.say(text)

    def _part_images(self) -> int:
        height, width = self.source.image_size or self.source.read([0])[0].shape[:2]
        return int(np.clip(_PART_PIXELS // (height * width), 16, _MOST_IMAGES))

    @property
    def needs_network(self) -> bool:
        """True if a stage uses the classifier's features or attention."""
        return self.settings.layer is not None or self.settings.attends

    def run(self) -> Manifest:
        """All stages; returns the manifest of the finished store."""
        if self.settings.palettes == "own":
            colors: Any = OwnColors(self.quantizer or self._k_means(), self.settings.num_colors)
            return self.finish(self.encode(colors), len(self.source))
        if self.settings.palettes == "super":
            found = SuperColors(_Designed(self.work), self.larger_palette(), self.settings.space)
            return self.finish(self.encode(found), len(self.source))
        self.look()
        clusters = self.clusters()
        palettes = self.palettes(clusters)
        return self.finish(self.encode(SharedColors(clusters, palettes, self.settings.space)), len(palettes))

    def _k_means(self) -> KMeans:
        return KMeans(space=self.settings.space, seed=self.settings.seed)

    def look(self) -> None:
        """Let the classifier look at all images, where a stage needs that."""
        if self.needs_network and self.extract is not None:
            self.extract(self.source, self.settings, self.work)

    def clusters(self) -> np.ndarray:
        """Stage 1: the cluster of each image, (N,) int64."""
        settings = self.settings

        def compute() -> Arrays:
            if settings.features in GIVEN:
                labels = self.source.labels
                return {
                    "clusters": given_clusters(settings.features, labels, settings.clusters, settings.seed)
                }
            stage, pieces = NETWORK, ranges(len(self.source), EXTRACT_BATCH)
            if settings.layer is None:
                stage, pieces = "features", self.parts
                work = PixelFeatures(self.source, settings.features)
                self.work.pieces(stage, pieces, work, describe="Features of the pixels")
            chunks = [lambda start=start: self.work.load(stage, start)["features"] for start in pieces]
            found = cluster_images(
                chunks,
                len(self.source),
                settings.clusters,
                standardise=settings.standardise,
                reduce=settings.features == "pca",
                seed=settings.seed,
            )
            return {"clusters": found}

        return self.work.once("clusters", compute)["clusters"]

    def palettes(self, clusters: np.ndarray) -> np.ndarray:
        """Stages 2 and 3: the palette of each cluster, (P, K, 3) uint8, from dark to light."""
        coordinates = self.design(clusters)
        if self.settings.refine:
            coordinates = self.refine(clusters, coordinates)
        return to_colors(coordinates, self.settings.space)

    def design(self, clusters: np.ndarray) -> np.ndarray:
        """Stage 2: (P, K, 3) float32 coordinates in the settings' colour space."""
        settings, count = self.settings, int(clusters.max()) + 1
        attention = _Attention(self.work) if settings.attends else None
        shares = pixel_shares(clusters, count, settings.pixels)
        sampling = Sampling(self.source, shares, settings.kept, attention, settings.seed)
        self.work.pieces("pixels", self.parts, sampling, describe="Choosing pixels")
        if attention is not None:
            blind = sum(int(self.work.load("pixels", start)["blind"]) for start in self.parts)
            if blind:
                self._note(f"{blind} images have no attention anywhere: all of their pixels are kept")
        drawn = [
            grouped(self.work.load("pixels", start), clusters[images], count)
            for start, images in self.parts.items()
        ]

        def piece(cluster: int) -> tuple[np.ndarray, np.ndarray]:
            pixels = np.concatenate([found[cluster] for found in drawn])
            return np.flatnonzero(clusters == cluster), pixels

        self.work.pieces(
            "palette",
            {cluster: cluster for cluster in range(count)},
            Designing(self.source, settings, self.quantizer),
            prepare=piece,
            describe="Designing palettes",
            unit="palette",
        )
        return np.stack([self.work.load("palette", cluster)["palette"] for cluster in range(count)])

    def refine(self, clusters: np.ndarray, coordinates: np.ndarray) -> np.ndarray:
        """Refine palettes (stage 3); palettes whose loss does not fall stay as they are.

        Args:
            clusters: (N,) cluster of each image.
            coordinates: of the palettes, (P, K, 3) float32.
        """
        count = len(coordinates)
        refinement = dataclasses.replace(self.settings.refinement, seed=self.settings.seed)
        self.work.pieces(
            "refined",
            {cluster: cluster for cluster in range(count)},
            Refining(self.source, refinement),
            prepare=lambda cluster: (np.flatnonzero(clusters == cluster), coordinates[cluster]),
            describe="Refining palettes",
            unit="palette",
        )
        found = [self.work.load("refined", cluster) for cluster in range(count)]
        losses = np.stack([one["losses"] for one in found])
        lowered = int((losses[:, 1] < losses[:, 0]).sum())
        mean = losses.mean(axis=0)
        self._note(
            f"refinement lowered its loss on held images for {lowered} of {count} palettes, in the mean from "
            f"{mean[0]:.5f} to {mean[1]:.5f}"
            + ("; the others are those of k-means" if lowered < count else "")
        )
        return np.stack([one["palette"] for one in found])

    def larger_palette(self) -> np.ndarray:
        """The colours (S, 3) uint8 that the palettes of all images, which are designed first, are to have."""
        own = OwnColors(self.quantizer or self._k_means(), self.settings.num_colors)
        self.work.pieces("own", self.parts, _Palettes(self.source, own), describe="Palettes of the images")

        def compute() -> Arrays:
            method = KMeans(quality="best", space=self.settings.space, seed=self.settings.seed)
            larger = SharedPalette(method, self.settings.super_colors)
            for start in self.parts:
                piece = self.work.load("own", start)
                colors, counts = piece["palettes"].reshape(-1, 3), piece["counts"].reshape(-1)
                different, places = np.unique(colors[counts > 0], axis=0, return_inverse=True)
                larger.add(different, np.bincount(places.reshape(-1), counts[counts > 0]))
            return {"colors": larger.design()}

        return self.work.once("super", compute)["colors"]

    def encode(self, colors: Any) -> list[Mapping[str, Any]]:
        """Write the shards; returns what the manifest says of each, with its sums."""
        numbers = {start: number for number, start in enumerate(self.parts)}

        def keep(start: int, result: Mapping[str, np.ndarray]) -> None:
            write_atomically(self.folder / shard_name(numbers[start]), result["shard"].tobytes())
            self.work.save("shard", {key: value for key, value in result.items() if key != "shard"}, start)

        encoding = Encoding(self.source, self.settings, colors)
        self.work.pieces("shard", self.parts, encoding, keep, describe="Writing shards", unit="shard")
        found: list[Mapping[str, Any]] = []
        for start, number in numbers.items():
            sums = self.work.load("shard", start)
            path = self.folder / shard_name(number)
            found.append({"entry": shard_entry(path, int(sums["images"])), **sums})
        return found

    def finish(self, shards: Sequence[Mapping[str, Any]], palettes: int) -> Manifest:
        """Write the manifest, and remove the files for resuming.

        Args:
            shards: their entries in the manifest.
            palettes: number of palettes.
        """
        sizes = np.unique(np.concatenate([shard["sizes"] for shard in shards]), axis=0)
        error = sum(float(shard["error"]) for shard in shards) / sum(int(shard["pixels"]) for shard in shards)
        config = {**self.settings.to_json(), "classifier": self.classifier}
        text = repr(sorted(config.items()))
        names = names_of(self.source)
        manifest = Manifest(
            data=self.data,
            images=len(self.source),
            bits=self.settings.bits,
            classes=self.source.class_names,
            multi_label=self.source.labels.ndim == 2,
            size=(int(sizes[0][0]), int(sizes[0][1])) if len(sizes) == 1 else None,
            palettes={"kind": self.settings.palettes, "count": palettes},
            statistics=cast(Statistics, channel_statistics(shards)),
            bytes=cast(Sizes, count_bytes(shards, self.settings, palettes, self.source)),
            config={**config, "hash": hashlib.blake2b(text.encode(), digest_size=8).hexdigest()},
            report={"notes": self.notes, "mse": error / 3, "source": self.source.key},
            shards=[shard["entry"] for shard in shards],
            names=None if names is None else write_names(self.folder, names),
        )
        manifest.write(self.folder)
        self.work.remove()
        return manifest


@dataclass(frozen=True)
class _Attention:
    """Reads the attention maps of some images, (n, h, w), from the pieces of the stage that made them."""

    work: Work

    def __call__(self, images: Sequence[int]) -> np.ndarray:
        rows = np.asarray(images)
        starts = np.unique(rows // EXTRACT_BATCH) * EXTRACT_BATCH
        maps = np.concatenate([self.work.load(NETWORK, int(start))["attention"] for start in starts])
        return maps[rows - starts[0]]


@dataclass(frozen=True)
class _Designed:
    """Reads what :class:`_Palettes` made of the images of a part."""

    work: Work

    def __call__(self, images: Sequence[int]) -> np.ndarray:
        return self.work.load("own", int(images[0]))["palettes"]


@dataclass(frozen=True)
class _Palettes:
    """A stage's work: the palettes (n, K, 3) of some images, and how often each colour occurs (n, K)."""

    source: ImageSource
    own: OwnColors

    def __call__(self, images: Sequence[int]) -> Arrays:
        maps, palettes, _ = self.own(images, self.source.read(images))
        counts = [np.bincount(one.reshape(-1), minlength=palettes.shape[1]) for one in maps]
        return {"palettes": palettes, "counts": np.stack(counts)}


def count_bytes(
    shards: Sequence[Mapping[str, Any]], settings: Settings, palettes: int, source: ImageSource
) -> dict[str, Any]:
    """Return the cost of all images, in bytes.

    Args:
        shards: entries of the manifest.
        settings: of the store.
        palettes: number of palettes.
        source: the images.

    Returns:
        ``raw`` three bytes a pixel; ``nominal`` q / 24 of that, the paper's reckoning; ``packed`` index
        maps of q bits, palettes of 3 * 2**q, a byte or two for the number of an image's palette (where it
        is shared) and for its label; ``coded`` the shards' files; ``source`` the files the images come from,
        or None.
    """
    raw = 3 * sum(int(shard["pixels"]) for shard in shards)
    shared = settings.palettes == "shared"
    extra = _index_bytes(palettes) * shared + _index_bytes(len(source.class_names))
    packed = sum(int(shard["packed"]) for shard in shards) + palettes * 3 * settings.num_colors
    return {
        "raw": raw,
        "nominal": round(raw * settings.bits / 24),
        "packed": packed + len(source) * extra,
        "coded": sum(shard["entry"]["bytes"] for shard in shards),
        "source": source.size_bytes(),
    }


def _index_bytes(count: int) -> int:
    return 1 if count <= 1 << 8 else 2 if count <= 1 << 16 else 4


def channel_statistics(shards: Sequence[Mapping[str, Any]]) -> dict[str, list[list[float]]]:
    """Mean and standard deviation of the channels, in [0, 1], of original and quantized images."""
    count = sum(int(shard["pixels"]) for shard in shards)
    sums = np.sum([shard["sums"] for shard in shards], axis=0) / count
    result = {}
    for name, (mean, squares) in zip(("original", "quantized"), sums):
        spread = np.sqrt(np.maximum(squares - mean**2, 0))
        result[name] = [[round(float(v), 4) for v in mean], [round(max(float(v), 1e-3), 4) for v in spread]]
    return result


def prepare_folder(folder: Path, *, force: bool = False) -> None:
    """See to it that a store can be built in a folder.

    Args:
        folder: it may hold an unfinished build, which will be gone on with.
        force: remove the store or the unfinished build that it holds; other files are left alone.

    Raises:
        ColorCNNError: it holds a store and ``force`` is false.
    """
    if not force:
        refuse_existing(folder / MANIFEST)
        return
    for path in (folder / MANIFEST, folder / NAMES, *folder.glob("shard-*.dcq")):
        path.unlink(missing_ok=True)
    shutil.rmtree(folder / WORK, ignore_errors=True)
