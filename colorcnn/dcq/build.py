"""Build a store from a data set. Each stage's result is kept on disk until the store is complete."""

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
from colorcnn.dcq.encode import OwnColors, ShardEncoder, SharedColors, SuperColors
from colorcnn.dcq.features import GIVEN, PixelFeatures
from colorcnn.dcq.palettes import PaletteDesigner, PixelSampler, grouped, pixels_per_image, to_colors
from colorcnn.dcq.refine import PaletteRefiner
from colorcnn.dcq.settings import Settings
from colorcnn.dcq.sources import ImageSource, names_of
from colorcnn.dcq.stages import Arrays, Work, ranges
from colorcnn.dcq.storage import Manifest, Sizes, Statistics, shard_entry, shard_name, write_names
from colorcnn.dcq.store_folder import MANIFEST, NAMES
from colorcnn.errors import ColorCNNError
from colorcnn.files import refuse_existing, write_atomically
from colorcnn.models.replicas import Replicas, modules_of
from colorcnn.quantizers.k_means import KMeans
from colorcnn.quantizers.palettes import SharedPalette
from colorcnn.records import weights_hash

WORK = ".build"
NETWORK = "network"
"""Stage that runs the classifier on all images: ``features`` (n, D) and ``attention`` (n, h, w)."""

EXTRACT_BATCH = 128
_PART_PIXELS = 1 << 23  # pixels per shard: 25 MB of RGB
_MOST_IMAGES = 1 << 13

Extract = Callable[[ImageSource, Settings, Work], None]
"""Function that runs a classifier and saves the pieces of ``NETWORK``, ``EXTRACT_BATCH`` images each."""


@dataclass
class Build:
    """Running build; each public method is one stage.

    Args:
        source: the images.
        settings: the settings of the quantization.
        folder: the store's folder.
        extract: function that runs the classifier; None without a classifier.
        quantizer: the quantizer that ``settings.method`` names.
        data: the data set as its user names it, for the manifest.
        classifier: the classifier as its user names it, for the manifest.
        classifier_input: JSON value that identifies the classifier's weights and image size. An unfinished
            build resumes only if this is unchanged.
        jobs: number of pieces computed in parallel; -1 is one for each core, None one for each worker of
            :func:`colorcnn.parallel.connected`.
        devices: devices of a learned quantizer; each gets a copy. empty if it stays where it is.
        say: function that prints a message for the user.
    """

    source: ImageSource
    settings: Settings
    folder: Path
    extract: Extract | None = None
    quantizer: Any = None
    data: str = ""
    classifier: str | None = None
    classifier_input: Any = None
    jobs: int | None = -1
    devices: Sequence[str] = ()
    say: Callable[[str], None] = lambda message: None
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Open the folder; raise UsageError if it holds another build."""
        if not len(self.source):
            raise ColorCNNError(f"{self.data or 'The data set'} has no training images: use another.")
        if self.extract is None:
            self.settings, notes = self.settings.without_classifier()
            for note in notes:
                self._note(note)
        plan = {
            "settings": self.settings.to_json(),
            "images": self.source.key,
            "classifier": [self.classifier, self.classifier_input] if self.needs_network else None,
            "method": weights_hash(self.quantizer) if isinstance(self.quantizer, nn.Module) else None,
        }
        self.work = Work(self.folder / WORK, plan, jobs=self.jobs)
        if self.work.resumed:
            self.say(f"resuming the unfinished build in {self.folder}")
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
        """Run all stages and return the manifest of the finished store."""
        if self.settings.palettes == "own":
            return self.finish(self.encode(self._own_colors()), len(self.source))
        if self.settings.palettes == "super":
            found = SuperColors(_Designed(self.work), self.larger_palette(), self.settings.space)
            return self.finish(self.encode(found), len(self.source))
        self.run_classifier()
        clusters = self.clusters()
        palettes = self.palettes(clusters)
        return self.finish(self.encode(SharedColors(clusters, palettes, self.settings.space)), len(palettes))

    def _own_colors(self) -> OwnColors:
        quantizer = self.quantizer or KMeans(space=self.settings.space, seed=self.settings.seed)
        if len(self.devices) > 1 and any(modules_of(quantizer)):
            quantizer = Replicas(quantizer, self.devices)
        return OwnColors(quantizer, self.settings.num_colors)

    def run_classifier(self) -> None:
        """Compute features and attention of all images if a stage needs them."""
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
        means = pixels_per_image(clusters, count, settings.pixels)
        sampler = PixelSampler(self.source, means, settings.kept, attention, settings.seed)
        self.work.pieces("pixels", self.parts, sampler, describe="Choosing pixels")
        if attention is not None:
            empty = sum(int(self.work.load("pixels", start)["without_attention"]) for start in self.parts)
            if empty:
                self._note(f"the attention is 0 everywhere in {empty} images: all of their pixels are kept")
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
            PaletteDesigner(self.source, settings, self.quantizer),
            prepare=piece,
            describe="Designing palettes",
            unit="palette",
        )
        return np.stack([self.work.load("palette", cluster)["palette"] for cluster in range(count)])

    def refine(self, clusters: np.ndarray, coordinates: np.ndarray) -> np.ndarray:
        """Refine palettes (stage 3); palettes whose loss does not fall are unchanged.

        Args:
            clusters: (N,) cluster of each image.
            coordinates: coordinates of the palettes, (P, K, 3) float32.
        """
        count = len(coordinates)
        refinement = dataclasses.replace(self.settings.refinement, seed=self.settings.seed)
        self.work.pieces(
            "refined",
            {cluster: cluster for cluster in range(count)},
            PaletteRefiner(self.source, refinement),
            prepare=lambda cluster: (np.flatnonzero(clusters == cluster), coordinates[cluster]),
            describe="Refining palettes",
            unit="palette",
        )
        found = [self.work.load("refined", cluster) for cluster in range(count)]
        losses = np.stack([one["losses"] for one in found])
        lowered = int((losses[:, 1] < losses[:, 0]).sum())
        mean = losses.mean(axis=0)
        self._note(
            f"refinement improved {lowered} of {count} palettes on held-out images (mean loss "
            f"{mean[0]:.5f} -> {mean[1]:.5f})" + ("; the others are unchanged" if lowered < count else "")
        )
        return np.stack([one["palette"] for one in found])

    def larger_palette(self) -> np.ndarray:
        """Design a palette per image. Return the larger palette (S, 3) uint8 that replaces their colours."""
        own = self._own_colors()
        self.work.pieces("own", self.parts, _Palettes(self.source, own), describe="Palettes of the images")

        def compute() -> Arrays:
            method = KMeans(quality="best", space=self.settings.space, seed=self.settings.seed)
            larger = SharedPalette(method, self.settings.super_colors)
            for start in self.parts:
                piece = self.work.load("own", start)
                colors, counts = piece["palettes"].reshape(-1, 3), piece["counts"].reshape(-1)
                different, rows = np.unique(colors[counts > 0], axis=0, return_inverse=True)
                larger.add(different, np.bincount(rows.reshape(-1), counts[counts > 0]))
            return {"colors": larger.design()}

        return self.work.once("super", compute)["colors"]

    def encode(self, colors: Any) -> list[Mapping[str, Any]]:
        """Write the shards. Return the manifest's entry and the sums of each."""
        numbers = {start: number for number, start in enumerate(self.parts)}

        def keep(start: int, result: Mapping[str, np.ndarray]) -> None:
            write_atomically(self.folder / shard_name(numbers[start]), result["shard"].tobytes())
            self.work.save("shard", {key: value for key, value in result.items() if key != "shard"}, start)

        encoding = ShardEncoder(self.source, self.settings, colors)
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
            shards: the results of :meth:`encode`.
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
    """Callable that reads the attention maps (n, h, w) of some images from the pieces of ``NETWORK``."""

    work: Work

    def __call__(self, images: Sequence[int]) -> np.ndarray:
        rows = np.asarray(images)
        starts = np.unique(rows // EXTRACT_BATCH) * EXTRACT_BATCH
        maps = np.concatenate([self.work.load(NETWORK, int(start))["attention"] for start in starts])
        return maps[rows - starts[0]]


@dataclass(frozen=True)
class _Designed:
    """Callable that reads the palettes that :class:`_Palettes` computed for a part."""

    work: Work

    def __call__(self, images: Sequence[int]) -> np.ndarray:
        return self.work.load("own", int(images[0]))["palettes"]


@dataclass(frozen=True)
class _Palettes:
    """Callable that returns the palettes (n, K, 3) of some images, and the pixels of each colour (n, K)."""

    source: ImageSource
    own: OwnColors

    def __call__(self, images: Sequence[int]) -> Arrays:
        maps, palettes, _ = self.own(images, self.source.read(images))
        counts = [np.bincount(one.reshape(-1), minlength=palettes.shape[1]) for one in maps]
        return {"palettes": palettes, "counts": np.stack(counts)}


def count_bytes(
    shards: Sequence[Mapping[str, Any]], settings: Settings, palettes: int, source: ImageSource
) -> dict[str, Any]:
    """Return the size of all images in bytes, in five ways.

    Args:
        shards: the results of :meth:`Build.encode`.
        settings: the store's settings.
        palettes: number of palettes.
        source: the images.

    Returns:
        ``raw``: three bytes per pixel.
        ``nominal``: q / 24 of ``raw``, as the paper counts.
        ``packed``: index maps of q bits per pixel, palettes of 3 * 2**q bytes, the label of each image, and
        the number of its palette if palettes are shared.
        ``coded``: the shards' files.
        ``source``: the files that the images come from, or None.
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
    """Return mean and standard deviation of the channels, in [0, 1], of original and quantized images."""
    count = sum(int(shard["pixels"]) for shard in shards)
    sums = np.sum([shard["sums"] for shard in shards], axis=0) / count
    result = {}
    for name, (mean, squares) in zip(("original", "quantized"), sums):
        std = np.sqrt(np.maximum(squares - mean**2, 0))
        result[name] = [[round(float(v), 4) for v in mean], [round(max(float(v), 1e-3), 4) for v in std]]
    return result


def prepare_folder(folder: Path, *, force: bool = False) -> None:
    """Prepare a folder for a build.

    Args:
        folder: the store's folder. An unfinished build in it is resumed.
        force: True to remove the folder's store or unfinished build; other files stay.

    Raises:
        ColorCNNError: the folder holds a store and ``force`` is false.
    """
    if not force:
        refuse_existing(folder / MANIFEST)
        return
    for path in (folder / MANIFEST, folder / NAMES, *folder.glob("shard-*.dcq")):
        path.unlink(missing_ok=True)
    shutil.rmtree(folder / WORK, ignore_errors=True)
