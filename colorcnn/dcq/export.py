"""Write images as files, one folder per class, from a store or from the originals."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import joblib
import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from colorcnn.dcq.originals import write_originals
from colorcnn.dcq.sources import ImageSource
from colorcnn.dcq.stages import ranges
from colorcnn.dcq.storage import Store
from colorcnn.errors import ColorCNNError, UsageError, unknown_name
from colorcnn.files import write_atomically
from colorcnn.paletted import Paletted, from_bytes

FORMATS = {"jpeg": ".jpg", "png": ".png", "webp": ".webp", "source": ""}
"""Endings of the files. ``source`` copies the images' own files."""

LOSSLESS = ("png", "source")
_QUALITIES = (1, 95)
_SAMPLE = 512  # images on which a quality is chosen
_STEP = 64
_UNFINISHED = ".unfinished"
"""Marker file, present until all files are written. It describes the job: only the same job may resume."""


def class_folders(classes: Sequence[str]) -> list[str]:
    """Return a folder name for each class. Sorted names are in the order of the labels."""
    plain = all(
        name == Path(name).name and name.isprintable() and name[:1] not in ("", ".") for name in classes
    )
    if plain and sorted(set(classes)) == list(classes):
        return list(classes)
    digits = len(str(len(classes)))
    safe = ["".join(c if c.isalnum() or c in "-_" else "_" for c in name) for name in classes]
    return [f"{label:0{digits}}-{name}" for label, name in enumerate(safe)]


def export_store(store: Store, out: Path, *, jobs: int = -1) -> int:
    """Write every image of a store as an indexed PNG file, ``out/<class>/<name>.png``.

    The name is the original file name, or the position in the original data set.

    Args:
        store: the images.
        out: a new or empty folder.
        jobs: number of images written in parallel; -1 is one for each core.

    Returns:
        Total size of the files in bytes.

    Raises:
        UsageError: images have several labels, or ``out`` is not empty.
        ColorCNNError: the store is damaged, or a file cannot be written.
    """
    stems = file_stems(store)
    encode = partial(indexed_png, store)
    return _write_all(store, out, ".png", encode, jobs, "Writing PNG files", stems=stems)


def indexed_png(store: Store, image: int) -> bytes:
    """Return an image of a store as an indexed PNG file.

    Args:
        store: the images.
        image: its number.
    """
    indices, palette = store.indexed(image)
    colors = from_bytes(torch.from_numpy(palette.copy()))
    return Paletted(torch.from_numpy(indices)[None], colors[None]).png()


class Recoded(NamedTuple):
    """Size of re-encoded images in bytes per image: of the files, and without headers and tables."""

    quality: int | None
    file_bytes: float
    payload_bytes: float


def recode(
    source: ImageSource,
    out: Path,
    file_format: str,
    *,
    target: float | None = None,
    quality: int | None = None,
    jobs: int = -1,
    seed: int = 0,
) -> Recoded:
    """Write images as JPEG, WebP or PNG files, ``out/<class>/<row>``, or copy the files they come from.

    The names of the files that the images come from are kept in ``originals.json``.

    Args:
        source: the images.
        out: a new or empty folder.
        file_format: ``jpeg``, ``webp`` or ``png``, or ``source`` for the images' own files.
        target: maximum mean payload in bytes per image. All images get the best quality that meets it on a
            sample of 512 images. The payload is a JPEG file without headers and tables, which a set could
            share, or a WebP file without its container.
        quality: the quality if ``target`` is None, 1..95.
        jobs: number of images written in parallel; -1 is one for each core.
        seed: seed of the sample.

    Raises:
        UsageError: the format, the target or the quality is invalid, or ``out`` is not empty.
    """
    if file_format not in FORMATS:
        raise unknown_name("format", file_format, FORMATS)
    if (target is not None or quality is not None) == (file_format in LOSSLESS) or (target and quality):
        raise UsageError("Give either bytes or a quality for jpeg and webp. png and source take neither.")
    if quality is not None and not _QUALITIES[0] <= quality <= _QUALITIES[1]:
        raise UsageError(f"The quality is {quality}: choose a whole number from 1 to 95.")
    if target is not None:
        quality = _find_quality(source, file_format, target, seed)
    encode = _Encode(source, file_format, quality)
    sizes: list[int] = []

    def measured(image: int) -> bytes:
        data = encode(image)
        sizes.append(payload(data))
        return data

    total = _write_all(
        source, out, FORMATS[file_format], measured, jobs, f"Writing {file_format} files", f"{quality}"
    )
    return Recoded(quality, total / len(source), sum(sizes) / len(source))


@dataclass(frozen=True)
class _Encode:
    source: ImageSource
    file_format: str
    quality: int | None

    def __call__(self, image: int) -> bytes:
        if self.file_format == "source":
            return own_file(self.source, image).read_bytes()
        picture, buffer = Image.fromarray(self.source.read([image])[0]), io.BytesIO()
        if self.quality is None:
            picture.save(buffer, "PNG", optimize=True)
        elif self.file_format == "jpeg":
            picture.save(buffer, "JPEG", quality=self.quality, optimize=True)
        else:
            picture.save(buffer, "WEBP", quality=self.quality, method=6)
        return buffer.getvalue()


def own_file(source: ImageSource, image: int) -> Path:
    """Return the file that holds only this image.

    Args:
        source: the images.
        image: its number.

    Raises:
        UsageError: the image has no such file.
    """
    file = source.file(image)
    if file is None:
        raise UsageError("These images have no files of their own in this size: use the format png.")
    return file


def payload(data: bytes) -> int:
    """Return the size of the image data in a file: JPEG's scans, WebP's chunk, else the whole file."""
    if data[:4] == b"RIFF":
        return len(data) - 20
    if data[:2] != b"\xff\xd8":
        return len(data)
    at = 2
    while data[at + 1] != 0xDA:  # the first scan; what is before it are headers and tables
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return len(data) - at - 2 - int.from_bytes(data[at + 2 : at + 4], "big") - 2


def mean_payload(
    source: ImageSource, file_format: str, quality: int | None = None, *, seed: int = 0
) -> float:
    """Return the mean payload, see :func:`recode`, of a sample of 512 images.

    Args:
        source: the images.
        file_format: a key of :data:`FORMATS`.
        quality: 1..95 for JPEG and WebP.
        seed: seed of the sample.
    """
    chosen = np.random.RandomState(seed).permutation(len(source))[:_SAMPLE]
    encode = _Encode(source, file_format, quality)
    return sum(payload(encode(int(image))) for image in chosen) / len(chosen)


def _find_quality(source: ImageSource, file_format: str, target: float, seed: int) -> int:
    def mean(quality: int) -> float:
        return mean_payload(source, file_format, quality, seed=seed)

    low, high = _QUALITIES
    if (smallest := mean(low)) > target:
        raise UsageError(
            f"{file_format} needs {smallest:.0f} bytes per image at its lowest quality: allow more "
            f"than {target:.0f}."
        )
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if mean(middle) <= target else (low, middle - 1)
    return low


def file_stems(store: Store) -> list[str | None]:
    """Return the names of the exported files without endings; None stands for the image's position.

    A store may come from an untrusted source, so a name with a folder or of a hidden file is not used.
    Images of one class whose names differ only in ending or case get their position appended. Images with
    several labels count as one class.
    """
    labels = store.labels if store.labels.ndim == 1 else np.zeros(len(store), np.int64)
    found: list[str | None] = []
    for image in range(len(store)):
        stem = (store.name(image) or "").rpartition(".")[0]
        plain = stem == Path(stem).name and stem.isprintable() and not stem.startswith(".")
        found.append(stem if plain and not set(stem) & set('/\\:*?"<>|') and 0 < len(stem) < 200 else None)
    counts = Counter((int(label), str(stem).lower()) for label, stem in zip(labels, found))
    stems = [
        stem if stem is None or counts[int(label), stem.lower()] == 1 else f"{stem}-{int(row)}"
        for label, stem, row in zip(labels, found, store.rows)
    ]
    # If a name equals a position, or a name with an appended position, all files are named by positions.
    different = {
        (int(label), stem.lower() if stem else int(row))
        for label, stem, row in zip(labels, stems, store.rows)
    }
    numbers = any(stem and stem.isdecimal() for stem in stems) and None in stems
    return [None] * len(stems) if numbers or len(different) < len(stems) else stems


def _write_all(
    source: ImageSource,
    out: Path,
    suffix: str,
    encode: Callable[[int], bytes],
    jobs: int,
    describe: str,
    what: str = "",
    stems: Sequence[str | None] = (),
) -> int:
    """Write a file for each image. An interrupted export of the same images is resumed.

    Args:
        source: the images.
        out: a new or empty folder, or the folder of an interrupted export.
        suffix: ending of the files; empty for the ending of each image's own file.
        encode: function that returns the bytes of an image's file.
        jobs: number of images written in parallel.
        describe: text of the progress bar.
        what: further options that change the files.
        stems: names of the files without endings; None is the image's position. Empty for positions only.

    Returns:
        Total size of the files in bytes.
    """
    if source.labels.ndim == 2:
        raise UsageError("These images have several labels each and cannot be sorted into class folders.")
    with unfinished(out, f"{describe}\n{source.key}\n{what}\n"):
        total = _write_files(source, out, suffix, encode, jobs, describe, stems)
        if not stems:
            write_originals(out, source)
        return total


@contextmanager
def unfinished(out: Path, work: str) -> Iterator[None]:
    """Mark a folder as unfinished until the context ends without an error.

    Args:
        out: a new or empty folder, or an unfinished folder of the same work.
        work: description of the work, which decides the content of the folder.

    Raises:
        ColorCNNError: the folder holds something else.
    """
    marker = out / _UNFINISHED
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not _holds(marker, work.encode()))):
        raise ColorCNNError(f"{out} exists and is not empty: use another folder.")
    write_atomically(marker, work.encode())
    yield
    marker.unlink(missing_ok=True)


def _write_files(
    source: ImageSource,
    out: Path,
    suffix: str,
    encode: Callable[[int], bytes],
    jobs: int,
    describe: str,
    stems: Sequence[str | None],
) -> int:
    folders = class_folders(source.class_names)
    for name in folders:
        (out / name).mkdir(parents=True, exist_ok=True)
    digits = len(str(int(source.rows.max())))

    def write(images: np.ndarray) -> int:
        total = 0
        for image in images:
            data = encode(int(image))
            ending = suffix or own_file(source, int(image)).suffix
            stem = stems[int(image)] if stems else None
            name = f"{stem or f'{int(source.rows[image]):0{digits}}'}{ending}"
            write_atomically(out / folders[int(source.labels[image])] / name, data)
            total += len(data)
        return total

    pieces = ranges(len(source), _STEP)
    with tqdm(total=len(pieces), desc=describe, unit="batch", disable=None) as bar:
        # Threads, because the workers share the open store and the list of sizes.
        parallel = joblib.Parallel(n_jobs=jobs, require="sharedmem", return_as="generator_unordered")
        total = 0
        for written in parallel(joblib.delayed(write)(piece) for piece in pieces.values()):
            total += written
            bar.update()
    return total


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:
        return False
