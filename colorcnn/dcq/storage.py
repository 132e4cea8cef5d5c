"""A quantized data set on disk: a folder of shards (see :mod:`colorcnn.dcq.shard`) and ``store.json``.

The manifest ``store.json`` describes the images (``data``, ``classes``, ``multi_label``, ``images``,
``size``), their storage (``bits``, ``palettes``, ``shards`` with size and BLAKE2b digest of each), their
sizes in bytes (``bytes``), the channel statistics of originals and quantized images (``statistics``), and the
build (``config`` and ``report``). It is written last: a folder without it is an unfinished store.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, TypedDict

import msgspec
import numpy as np
from tqdm import tqdm

from colorcnn import schema
from colorcnn.dcq.shard import CURE, MOST_IMAGES, Shard
from colorcnn.dcq.sources import plain_text
from colorcnn.dcq.store_folder import MANIFEST, NAMES, no_store
from colorcnn.errors import ColorCNNError, shortened
from colorcnn.files import write_atomically

FORMAT = "colorcnn-dcq"
VERSION = 1
_OPEN_SHARDS = 64  # each holds a file descriptor
_CACHE_BYTES = 64 << 20


class ShardEntry(TypedDict):
    """The part of store.json about a shard; its file lies in the store's folder."""

    file: Annotated[str, msgspec.Meta(pattern=r"^[\w-][\w.-]*$", max_length=255)]
    images: Annotated[int, msgspec.Meta(ge=0, le=MOST_IMAGES)]
    bytes: schema.Natural
    blake2b: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]


class Palettes(TypedDict):
    """The part of store.json about palettes: ``shared``, ``own`` or ``super``, and their number."""

    kind: str
    count: schema.Natural


class Sizes(TypedDict):
    """The part of store.json about bytes of all images, see :func:`colorcnn.dcq.build.count_bytes`."""

    raw: schema.Positive
    nominal: schema.Natural
    packed: schema.Natural
    coded: schema.Positive
    source: schema.Natural | None


Channels = tuple[float, float, float]


class Statistics(TypedDict):
    """The part of store.json about channels: their mean and standard deviation in [0, 1]."""

    original: tuple[Channels, Channels]
    quantized: tuple[Channels, Channels]


@dataclasses.dataclass(frozen=True)
class Manifest:
    """Schema of store.json.

    Attributes:
        data: the data set as its user named it.
        images: number of images.
        bits: bits per index, 1..8.
        classes: names of the classes, in the order of the labels.
        multi_label: True if an image can have any number of classes.
        size: [H, W] of every image, None if sizes differ.
        palettes: {"kind": "shared", "own" or "super", "count": their number}.
        statistics: "original" and "quantized" -> [mean, std] of the channels in [0, 1].
        bytes: size of all images, see :func:`colorcnn.dcq.build.count_bytes`.
        config: the settings of the build as JSON values.
        report: notes and errors of the build.
        shards: [{"file", "images", "bytes", "blake2b"}], in the order of the images.
        names: checksum of names.json, which holds the names of the images' files; None without names.
        format: name of the format.
        version: version of the format.
    """

    data: str
    images: schema.Natural
    bits: Annotated[int, msgspec.Meta(ge=1, le=8)]
    classes: tuple[str, ...]
    multi_label: bool
    size: tuple[schema.Side, schema.Side] | None
    palettes: Palettes
    statistics: Statistics
    bytes: Sizes
    config: Mapping[str, Any]
    report: Mapping[str, Any]
    shards: Sequence[ShardEntry]
    names: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")] | None = None
    format: str = FORMAT
    version: int = VERSION

    def write(self, root: Path) -> None:
        """Write store.json. The folder is a complete store afterwards."""
        text = json.dumps(dataclasses.asdict(self), indent=1, ensure_ascii=False)
        write_atomically(root / MANIFEST, text.encode() + b"\n")


def shard_name(number: int) -> str:
    """Return the file name of a shard."""
    return f"shard-{number:05d}.dcq"


def shard_entry(path: Path, images: int) -> ShardEntry:
    """Return the manifest's entry for the file of a shard.

    Args:
        path: the file.
        images: number of its images.
    """
    data = path.read_bytes()
    return {"file": path.name, "images": images, "bytes": len(data), "blake2b": digest(data)}


def digest(data: bytes) -> str:
    """Return the BLAKE2b digest of 16 bytes in hexadecimal, as a manifest keeps it."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def read_manifest(root: str | os.PathLike[str]) -> Manifest:
    """Read and check store.json.

    Raises:
        UsageError: the folder is not a store.
        ColorCNNError: the manifest is damaged, or of a later version.
    """
    path = Path(root) / MANIFEST
    try:
        content = schema.parse_json(schema.read_file(path, CURE), path, CURE)
    except FileNotFoundError as error:
        raise no_store(root) from error
    if content.get("format") != FORMAT:
        raise ColorCNNError(f"{path} is not the manifest of a store: use another folder.")
    version = content.get("version")
    if isinstance(version, int) and version > VERSION:
        raise ColorCNNError(
            f"{path} has version {shortened(version)}, later than {VERSION}: update colorcnn."
        )
    manifest = schema.convert(content, Manifest, path, CURE)
    if sum(entry["images"] for entry in manifest.shards) != manifest.images:
        raise ColorCNNError(f"{path} is damaged, its numbers of images disagree: {CURE}.")
    return manifest


class Store:
    """A quantized data set, mapped into memory, with access to any image; every byte read is checked.

    Args:
        root: the folder.
        cache_bytes: size of the cache of decoded frames.

    Raises:
        UsageError: the folder is not a store.
        ColorCNNError: the store is damaged.
    """

    def __init__(self, root: str | os.PathLike[str], *, cache_bytes: int = _CACHE_BYTES) -> None:
        self.root = Path(root)
        self.manifest = read_manifest(root)
        self._ends = np.cumsum([entry["images"] for entry in self.manifest.shards], dtype=np.int64)
        self._cache_bytes = cache_bytes
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._shards: OrderedDict[int, Shard] = OrderedDict()
        self._frames: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._held = 0

    def __getstate__(self) -> dict[str, Any]:
        """Leave out open files and caches, which each process has for itself."""
        left = ("_lock", "_shards", "_frames", "_held")
        return {key: value for key, value in self.__dict__.items() if key not in left}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def __len__(self) -> int:
        return self.manifest.images

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.manifest.classes

    @property
    def image_size(self) -> tuple[int, int] | None:
        """(H, W) of every image, or None if sizes differ."""
        return self.manifest.size

    @property
    def key(self) -> str:
        """Key that identifies the content in cache keys."""
        return digest("".join(entry["blake2b"] for entry in self.manifest.shards).encode())

    @cached_property
    def labels(self) -> np.ndarray:
        """(N,) int64, or (N, classes) uint8 of 0 and 1."""
        return self._column("labels")

    @cached_property
    def rows(self) -> np.ndarray:
        """(N,) int64: the images' positions in the original data set."""
        return self._column("rows")

    def _column(self, name: str) -> np.ndarray:
        return np.concatenate([getattr(self._shard(n), name) for n in range(len(self._ends))])

    def _shard(self, number: int) -> Shard:
        if number in self._shards:
            self._shards.move_to_end(number)
            return self._shards[number]
        entry = self.manifest.shards[number]
        path = self.root / entry["file"]
        shard = Shard(path)
        _check_shard(shard, path, entry, self.manifest)
        self._shards[number] = shard
        if len(self._shards) > _OPEN_SHARDS:
            self._shards.popitem(last=False)
        return shard

    def _frame(self, number: int, frame: int) -> bytes:
        key = (number, frame)
        if key in self._frames:
            self._frames.move_to_end(key)
            return self._frames[key]
        data = self._shard(number).frame(frame)
        self._frames[key] = data
        self._held += len(data)
        while self._held > self._cache_bytes and len(self._frames) > 1:
            self._held -= len(self._frames.popitem(last=False)[1])
        return data

    def indexed(self, image: int) -> tuple[np.ndarray, np.ndarray]:
        """Return an image as it is stored.

        Args:
            image: 0..N - 1.

        Returns:
            (H, W) uint8 indices and the (2**bits, 3) uint8 palette.
        """
        image = range(len(self))[image]
        with self._lock:
            number = int(np.searchsorted(self._ends, image, side="right"))
            shard = self._shard(number)
            local = image - int(self._ends[number]) + shard.images
            frames = {frame: self._frame(number, frame) for frame in shard.frames_of(local)}
        return shard.indices(local, frames), shard.palettes[shard.palette_ids[local]]

    def decode(self, image: int) -> np.ndarray:
        """Return an image's pixels, (H, W, 3) uint8."""
        indices, palette = self.indexed(image)
        pixels = np.empty((*indices.shape, 3), np.uint8)
        from colorcnn.dcq.packing import render  # imported here, because the manifest needs no compiled code

        render(indices.reshape(-1), palette, pixels.reshape(-1, 3))
        return pixels

    def read(self, images: Sequence[int] | np.ndarray) -> list[np.ndarray]:
        """Return the pixels of several images; images in the same frames are decoded together."""
        found: dict[int, np.ndarray] = {}
        for image in np.unique(np.asarray(images, dtype=np.int64)):
            found[int(image)] = self.decode(int(image))
        return [found[int(image)] for image in images]

    @cached_property
    def _names(self) -> list[str] | None:
        return None if self.manifest.names is None else read_names(self.root, self.manifest)

    def name(self, image: int) -> str | None:
        """Return the name of the file that an image comes from, or None if it is unknown."""
        return None if self._names is None else self._names[image]

    def size_bytes(self) -> int:
        """Return the size of the files that training reads: shards and store.json, without names.json."""
        shards = sum(entry["bytes"] for entry in self.manifest.shards)
        return shards + (self.root / MANIFEST).stat().st_size

    def file(self, image: int) -> None:
        """Return None: an image of a store has no file of its own."""
        return


class _Names(msgspec.Struct):
    """Schema of names.json."""

    names: list[Annotated[str, msgspec.Meta(max_length=1024)]]


def write_names(root: Path, names: Sequence[str]) -> str:
    """Write names.json and return its checksum.

    Args:
        root: the folder of the store.
        names: names of the images' files, in the order of the images.
    """
    data = msgspec.json.encode(_Names([plain_text(name) for name in names]))
    write_atomically(root / NAMES, data)
    return digest(data)


def read_names(root: Path, manifest: Manifest) -> list[str]:
    """Read names.json and check it.

    Args:
        root: the folder of the store.
        manifest: the store's manifest.

    Raises:
        ColorCNNError: the file is missing or damaged.
    """
    path = root / NAMES
    try:
        data = schema.read_file(path, CURE)
    except FileNotFoundError as error:
        raise ColorCNNError(f"{path} is missing: {CURE}.") from error
    if digest(data) != manifest.names:
        raise ColorCNNError(f"{path} does not have the checksum in {MANIFEST}: {CURE}.")
    names = schema.convert(schema.parse_json(data, path, CURE), _Names, path, CURE).names
    if len(names) != manifest.images:
        raise ColorCNNError(f"{path} is damaged, its number of names is wrong: {CURE}.")
    return names


def verify_store(root: str | os.PathLike[str]) -> list[str]:
    """Read and decode a whole store to find damage.

    Returns:
        One sentence per problem, with the file's name; empty for an intact store.

    Raises:
        UsageError: the folder is not a store.
    """
    manifest = read_manifest(root)
    root, problems = Path(root), list[str]()
    entries = {entry["file"]: entry for entry in manifest.shards}
    if manifest.names is not None:
        try:
            read_names(root, manifest)
        except ColorCNNError as error:
            problems.append(str(error))
    foreign = sorted(path.name for path in root.glob("*.dcq") if path.name not in entries)
    problems += [f"{root / name} does not belong to this store: remove it." for name in foreign]
    for name, entry in tqdm(entries.items(), desc="Verifying shards", unit="shard", disable=None):
        try:
            _verify_shard(root / name, entry, manifest)
        except ColorCNNError as error:
            problems.append(str(error))
    return problems


def _check_shard(shard: Shard, path: Path, entry: ShardEntry, manifest: Manifest) -> None:
    """Raise an error if a shard is not the one that the manifest describes."""
    classes = len(manifest.classes)
    if manifest.multi_label:
        labelled = shard.labels.ndim == 2 and shard.labels.shape[1] == classes
    else:
        labelled = shard.labels.ndim == 1 and int(shard.labels.max(initial=-1)) < classes
    if not labelled or (shard.images, shard.bits) != (entry["images"], manifest.bits):
        raise ColorCNNError(
            f"{path} belongs to another store, {MANIFEST} describes other content: remove it."
        )


def _verify_shard(path: Path, entry: ShardEntry, manifest: Manifest) -> None:
    shard = Shard(path)
    try:
        for image in range(shard.frames):
            shard.frame(image)
        _check_shard(shard, path, entry, manifest)
    finally:
        shard.close()
    if digest(path.read_bytes()) != entry["blake2b"]:
        raise ColorCNNError(f"{path} does not have the checksum in {MANIFEST}: {CURE}.")
