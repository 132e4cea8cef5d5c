"""Stores as archives that other libraries train from: WebDataset, Parquet (Hugging Face) and LitData.

Every image is an indexed PNG file in the archive, with its label and the name of the file it came from.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
from tqdm import tqdm

from colorcnn.dcq.export import class_folders, file_stems, indexed_png, unfinished
from colorcnn.dcq.formats import check_export
from colorcnn.dcq.stages import ranges
from colorcnn.dcq.storage import Store
from colorcnn.files import write_atomically

CLASSES = "classes.json"
"""File with the names of the classes, in the order of the labels. Parquet files hold the names themselves."""

_STEP = 64  # images encoded at a time
_SHARD_IMAGES = 10_000
_SHARD_BYTES = 64 << 20  # of packed index maps


class _Sample(NamedTuple):
    """One image: its PNG file, the name of that file, and a number or 0s and 1s as its label."""

    name: str
    png: bytes
    label: int | np.ndarray


def export_archives(store: Store, out: Path, file_format: str, *, jobs: int = -1) -> int:
    """Write a store as archives of many images.

    The same call repeats an export that was stopped. ``webdataset``: tar files with
    ``CLASS/NAME.png`` and ``CLASS/NAME.cls``, the label's number; with several labels ``NAME.json``, a list
    of numbers. ``parquet``: the columns ``image`` and ``label``, with the class names in the schema as
    Hugging Face's ``datasets`` keeps them. ``litdata``: samples with ``image`` (the bytes of a PNG file),
    ``label`` (a number; with several labels 0s and 1s) and ``name``.

    Args:
        store: the images.
        out: a new or empty folder.
        file_format: ``webdataset``, ``parquet`` or ``litdata``.
        jobs: number of images encoded in parallel; -1 is one for each core.

    Returns:
        Total size of the files in bytes.

    Raises:
        UsageError: the format is unknown.
        ColorCNNError: its library is missing, ``out`` is not empty, the store is damaged, or a file cannot be
            written.
    """
    check_export(file_format)
    write = _WRITERS[file_format]
    with unfinished(out, f"{file_format}\n{store.key}\n"):
        shards = -(-len(store) // _images_a_shard(store))
        bar = tqdm(_samples(store, jobs), f"Writing {file_format}", len(store), unit="image", disable=None)
        with bar:
            write(iter(bar), out, store, shards)
    return sum(file.stat().st_size for file in out.iterdir())


def _images_a_shard(store: Store) -> int:
    each = store.manifest.bytes["packed"] / max(1, len(store))
    return int(min(max(1, _SHARD_BYTES // max(1, each)), _SHARD_IMAGES))


def _samples(store: Store, jobs: int) -> Iterator[_Sample]:
    """Yield the images in their order, encoded in threads."""
    stems, folders = file_stems(store), class_folders(store.class_names)
    digits = len(str(int(store.rows.max(initial=0))))

    def encode(images: np.ndarray) -> list[_Sample]:
        found = []
        for image in map(int, images):
            label = store.labels[image]
            name = f"{stems[image] or f'{int(store.rows[image]):0{digits}}'}.png"
            one = store.labels.ndim == 1
            found.append(
                _Sample(f"{folders[label]}/{name}" if one else name, indexed_png(store, image), label)
            )
        return found

    parallel = joblib.Parallel(n_jobs=jobs, require="sharedmem", return_as="generator")
    for part in parallel(joblib.delayed(encode)(piece) for piece in ranges(len(store), _STEP).values()):
        yield from part


def _shards(samples: Iterator[_Sample], store: Store) -> Iterator[list[_Sample]]:
    while shard := list(islice(samples, _images_a_shard(store))):
        yield shard


def _write_webdataset(samples: Iterator[_Sample], out: Path, store: Store, shards: int) -> None:
    _write_classes(out, store)
    # A key ends at the first dot of a file's name.
    keys = _Keys()
    for number, shard in enumerate(_shards(samples, store)):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for sample in shard:
                key = keys.of(sample.name)
                _add(archive, f"{key}.png", sample.png)
                if np.ndim(sample.label) == 0:
                    _add(archive, f"{key}.cls", str(int(sample.label)).encode())
                else:
                    _add(archive, f"{key}.json", json.dumps(np.flatnonzero(sample.label).tolist()).encode())
        write_atomically(out / f"shard-{number:06}.tar", buffer.getvalue())


class _Keys:
    """Unique names of samples without dots. Upper and lower case count as equal."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def of(self, name: str) -> str:
        """Return the key of the sample with a file name: the name without ending, ``_`` for dots."""
        folder, _, file = name.rpartition("/")
        stem = file.removesuffix(".png").replace(".", "_")
        key, number = stem, 1
        while f"{folder}/{key}".lower() in self._taken:
            number += 1
            key = f"{stem}-{number}"
        self._taken.add(f"{folder}/{key}".lower())
        return f"{folder}/{key}".lstrip("/")


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)  # without time and owner, so that the same store gives the same bytes
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


def _write_classes(out: Path, store: Store) -> None:
    names = json.dumps(list(store.class_names), ensure_ascii=False)
    write_atomically(out / CLASSES, names.encode() + b"\n")


def _write_parquet(samples: Iterator[_Sample], out: Path, store: Store, shards: int) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    schema = _parquet_schema(store)
    for number, shard in enumerate(_shards(samples, store)):
        columns = {
            "image": [{"bytes": each.png, "path": Path(each.name).name} for each in shard],
            "label": [
                int(each.label) if np.ndim(each.label) == 0 else np.flatnonzero(each.label).tolist()
                for each in shard
            ],
        }
        buffer = pa.BufferOutputStream()
        table = pa.table(columns, schema=schema)
        # Small PNG files have similar headers. A row group is the smallest unit that a reader fetches.
        parquet.write_table(table, buffer, compression="zstd", use_dictionary=["label"], row_group_size=1000)
        write_atomically(out / f"train-{number:05}-of-{shards:05}.parquet", buffer.getvalue().to_pybytes())


def _parquet_schema(store: Store) -> Any:
    """Return the columns, with their types as Hugging Face's ``datasets`` names them."""
    import pyarrow as pa

    label: Mapping[str, Any] = {"names": list(store.class_names), "_type": "ClassLabel"}
    kind = pa.int64()
    if store.labels.ndim == 2:
        label, kind = {"feature": label, "_type": "List"}, pa.list_(pa.int64())
    features = {"image": {"_type": "Image"}, "label": label}
    columns = [("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])), ("label", kind)]
    metadata = json.dumps({"info": {"features": features}}, ensure_ascii=False)
    return pa.schema(columns, metadata={b"huggingface": metadata.encode()})


def _write_litdata(samples: Iterator[_Sample], out: Path, store: Store, shards: int) -> None:
    from litdata.streaming import Cache

    for left in (*out.glob("chunk-*.bin"), *out.glob("*index.json")):
        left.unlink()  # remains of an export that was stopped
    _write_classes(out, store)
    cache = Cache(str(out), chunk_size=_images_a_shard(store))
    for number, sample in enumerate(samples):
        label = int(sample.label) if np.ndim(sample.label) == 0 else np.asarray(sample.label, dtype=np.uint8)
        cache[number] = {"image": sample.png, "label": label, "name": Path(sample.name).name}
    cache.done()
    cache.merge()


_WRITERS: Mapping[str, Callable[[Iterator[_Sample], Path, Store, int], None]] = {
    "webdataset": _write_webdataset,
    "parquet": _write_parquet,
    "litdata": _write_litdata,
}
