"""Measure how fast a training set is read from each format: our store, its exports, and image files.

    python tools/dcq_formats_benchmark.py $COLORCNN_DATA/kodak runs/formats

Cuts square tiles of each side out of the pictures of a folder, builds a store of them, exports the store in
every format whose library is installed, and writes the tiles as full-colour PNG and JPEG files, too. Then it
reads each format in its order, as its users do, in one process: the formats by turns, ``--repeats`` times.
``results.json`` keeps images per second of CPU time (the best repeat) and the bytes of an image.
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_variable] = "1"  # before the libraries start their threads

import argparse
import importlib.util
import io
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image

from colorcnn.cli import main as colorcnn
from colorcnn.dcq.archives import export_archives
from colorcnn.dcq.export import export_store, recode
from colorcnn.dcq.sources import FileImages
from colorcnn.dcq.storage import Store
from colorcnn.errors import ColorCNNError
from colorcnn.files import write_atomically
from colorcnn.images import find_images, flatten, read_image
from colorcnn.records import Clock, Record

ZOOM = 4  # a picture is scaled until its shorter side has so many tiles, if it is large enough
BATCH = 256
_LIBRARIES = {"webdataset": "webdataset", "parquet": "pyarrow", "litdata": "litdata"}
Reader = Callable[[Path], Iterator[np.ndarray]]


def main() -> int:
    """Write the formats, read them, and write the record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", type=Path, help="a folder of photographs")
    parser.add_argument("out", type=Path, help="a folder for the formats and the record")
    parser.add_argument("--sides", type=int, nargs="+", default=[32, 224], help="default: 32 224")
    parser.add_argument("--bits", type=int, default=3, help="of an index of the store (default: 3)")
    parser.add_argument("--quality", type=int, default=90, help="of the JPEG files (default: 90)")
    parser.add_argument("--repeats", type=int, default=5, help="default: 5")
    options = parser.parse_args()
    try:
        measured(options).write(options.out / "results.json")
    except ColorCNNError as error:
        print(f"dcq_formats_benchmark: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def measured(options: argparse.Namespace) -> Record:
    """Return the record of all sides and formats."""
    clock, found, images = Clock(), {}, {}
    for side in options.sides:
        folder = options.out / str(side)
        shutil.rmtree(folder, ignore_errors=True)  # of an earlier call
        images[str(side)] = cut(options.pictures, folder / "tiles", side)
        formats = write_formats(folder, options)
        best = dict.fromkeys(formats, np.inf)
        for _ in range(options.repeats + 1):  # the first round fills the caches
            for name in formats:
                best[name] = min(best[name], seconds(READERS[name], folder / name, images[str(side)]))
        found[str(side)] = {
            name: {
                "images_per_second": round(images[str(side)] / best[name], 1),
                "bytes": round(size / images[str(side)], 1),
            }
            for name, size in formats.items()
        }
    words = ["python tools/dcq_formats_benchmark.py", options.pictures.name, options.out.name]
    libraries = {name: version(name) for name in ("webdataset", "pyarrow", "litdata") if _installed(name)}
    return clock.record(
        " ".join(words),
        n=sum(images.values()),
        metrics={"dcq_formats": found, "images": images},
        config={name: getattr(options, name) for name in ("sides", "bits", "quality", "repeats")},
        libraries=libraries,
    )


def cut(pictures: Path, out: Path, side: int) -> int:
    """Write square tiles of all pictures as PNG files of two classes by turns; return their number."""
    count = 0
    for path in find_images(pictures):
        picture = flatten(read_image(path))
        scale = min(1.0, ZOOM * side / min(picture.size))
        width, height = (max(side, round(each * scale)) for each in picture.size)
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
        for top in range(0, height - side + 1, side):
            for left in range(0, width - side + 1, side):
                buffer = io.BytesIO()
                picture.crop((left, top, left + side, top + side)).save(buffer, "PNG")
                write_atomically(out / "ab"[count % 2] / f"{count:06}.png", buffer.getvalue())
                count += 1
    if not count:
        raise ColorCNNError(f"{pictures} has no pictures of {side} pixels: name a folder of larger ones.")
    return count


def write_formats(folder: Path, options: argparse.Namespace) -> dict[str, int]:
    """Write the tiles in each format; return format -> bytes of its files."""
    tiles = folder / "tiles"
    status = colorcnn(["dcq", "build", str(tiles), "--bits", str(options.bits), "-o", str(folder / "store")])
    if status:
        raise ColorCNNError("The store could not be built: see above.")
    store = Store(folder / "store")
    sizes = {"store": store.size_bytes(), "png": export_store(store, folder / "png", jobs=1)}
    for name, library in _LIBRARIES.items():
        if _installed(library):
            sizes[name] = export_archives(store, folder / name, name, jobs=1)
    files = find_images(tiles, recursive=True)
    labels = np.array(["ab".index(file.parent.name) for file in files])
    source = FileImages(files, labels, ("a", "b"))
    for name, quality in (("png", None), ("jpeg", options.quality)):
        place = f"{name}, full colour"
        sizes[place] = round(
            len(source) * recode(source, folder / place, name, quality=quality, jobs=1).file_bytes
        )
    return sizes


def _installed(library: str) -> bool:
    return importlib.util.find_spec(library) is not None


def seconds(read: Reader, folder: Path, images: int) -> float:
    """CPU seconds to read every image once, from opening the format on."""
    start, found = time.process_time(), 0
    for pixels in read(folder):
        found += pixels.shape[2] == 3
    if found != images:
        raise ColorCNNError(f"{folder} gave {found} of {images} images: its reader is at fault.")
    return time.process_time() - start


def read_store(folder: Path) -> Iterator[np.ndarray]:
    """Our store, in batches."""
    store = Store(folder)
    for start in range(0, len(store), BATCH):
        yield from store.read(range(start, min(start + BATCH, len(store))))


def read_folder(folder: Path) -> Iterator[np.ndarray]:
    """Files in folders, by torchvision."""
    from torchvision.datasets import ImageFolder

    for picture, _ in ImageFolder(str(folder)):
        yield np.asarray(picture)


def read_webdataset(folder: Path) -> Iterator[np.ndarray]:
    """Tar files, by webdataset."""
    import webdataset

    shards = sorted(map(str, folder.glob("*.tar")))
    for (pixels,) in webdataset.WebDataset(shards, shardshuffle=False).decode("rgb8").to_tuple("png"):
        yield pixels


def read_parquet(folder: Path) -> Iterator[np.ndarray]:
    """Parquet files, by pyarrow and Pillow."""
    from pyarrow import parquet

    for file in sorted(folder.glob("*.parquet")):
        for batch in parquet.ParquetFile(file).iter_batches(BATCH, columns=["image"]):
            yield from map(_decode, (value["bytes"] for value in batch["image"].to_pylist()))


def read_litdata(folder: Path) -> Iterator[np.ndarray]:
    """Chunks, by litdata and Pillow."""
    from litdata import StreamingDataset

    for sample in StreamingDataset(str(folder)):
        yield _decode(sample["image"])


def _decode(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB"))


READERS: dict[str, Reader] = {
    "store": read_store,
    "png": read_folder,
    "webdataset": read_webdataset,
    "parquet": read_parquet,
    "litdata": read_litdata,
    "png, full colour": read_folder,
    "jpeg, full colour": read_folder,
}


if __name__ == "__main__":
    sys.exit(main())
