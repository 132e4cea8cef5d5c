"""Stores in the formats of other libraries, read back by these libraries."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from dcq_samples import CLASSES, tinted
from PIL import Image

from colorcnn import cli
from colorcnn.dcq import archives, formats
from colorcnn.dcq.archives import export_archives
from colorcnn.dcq.export import export_store
from colorcnn.dcq.sources import ArrayImages
from colorcnn.dcq.storage import Store
from colorcnn.errors import ColorCNNError

FORMATS = ("webdataset", "parquet", "litdata")
FILES = ["dog.1.jpg", *(f"pet{number:02}.jpg" for number in range(1, 30))]


class NamedImages(ArrayImages):
    def name(self, image: int) -> str:
        return FILES[image]


@pytest.fixture
def store(build, tmp_path) -> Store:
    images = NamedImages(tinted(30), np.arange(30) % 3, ("owl", "cat", "dög"))
    build(images, clusters=1, refine=False).run()
    return Store(tmp_path / "store")


def numbers(pixels) -> np.ndarray:
    return np.asarray(pixels.convert("RGB"))


def image_folder(out, cache):
    from torchvision.datasets import ImageFolder

    found = ImageFolder(str(out))
    for (path, label), (picture, _) in zip(found.samples, found):
        yield numbers(picture), label, Path(path).name, found.classes[label].partition("-")[2]


def webdataset(out, cache):
    library = pytest.importorskip("webdataset")
    classes = json.loads((out / "classes.json").read_text())
    shards = sorted(map(str, out.glob("*.tar")))
    for sample in library.WebDataset(shards, shardshuffle=False).decode("pil"):
        label = sample["cls"]
        yield numbers(sample["png"]), label, f"{Path(sample['__key__']).name}.png", classes[label]


def parquet(out, cache):
    library = pytest.importorskip("datasets")
    rows = library.Dataset.from_parquet([str(file) for file in sorted(out.iterdir())], cache_dir=str(cache))
    names = rows.features["label"].names
    for picture, row in zip(rows, rows.cast_column("image", library.Image(decode=False))):
        yield numbers(picture["image"]), row["label"], row["image"]["path"], names[row["label"]]


def litdata(out, cache):
    library = pytest.importorskip("litdata")
    classes = json.loads((out / "classes.json").read_text())
    for sample in library.StreamingDataset(str(out)):
        with Image.open(io.BytesIO(sample["image"])) as picture:
            yield numbers(picture), sample["label"], sample["name"], classes[sample["label"]]


READERS = {"png": image_folder, "webdataset": webdataset, "parquet": parquet, "litdata": litdata}


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(archives, "_SHARD_IMAGES", 8)


@pytest.mark.parametrize("file_format", formats.EXPORTS)
def test_other_libraries_read_the_images_labels_and_names(store, tmp_path, small_shards, file_format):
    out = tmp_path / "out"
    if file_format == "png":
        export_store(store, out)
    else:
        pytest.importorskip({"parquet": "pyarrow"}.get(file_format, file_format))
        size = export_archives(store, out, file_format)
        assert size == sum(file.stat().st_size for file in out.iterdir())
    found = {name: (pixels, label, kind) for pixels, label, name, kind in READERS[file_format](out, tmp_path)}
    assert len(found) == len(store) == 30
    for image in range(30):
        name = Path(FILES[image]).with_suffix(".png").name
        if file_format == "webdataset":  # a key ends at the first dot
            name = name.replace("dog.1", "dog_1")
        pixels, label, kind = found[name]
        np.testing.assert_array_equal(pixels, store.decode(image))
        assert label == store.labels[image]
        expected = store.class_names[label]
        assert kind == (expected.replace("\\", "_") if file_format == "png" else expected)


@pytest.mark.parametrize("file_format", FORMATS)
def test_several_labels_are_kept(build, tmp_path, file_format):
    pytest.importorskip({"parquet": "pyarrow"}.get(file_format, file_format))
    labels = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]], np.uint8)
    build(ArrayImages(tinted(3), labels, CLASSES), clusters=1, refine=False).run()
    out = tmp_path / "out"
    export_archives(Store(tmp_path / "store"), out, file_format)
    if file_format == "webdataset":
        with tarfile.open(out / "shard-000000.tar") as archive:
            found = [json.load(archive.extractfile(f"{number}.json")) for number in range(3)]
    elif file_format == "parquet":
        from pyarrow import parquet

        found = parquet.read_table(out)["label"].to_pylist()
    else:
        found = [np.flatnonzero(each["label"]).tolist() for each in _litdata(out)]
    assert found == [[0, 2], [], [1]]


def _litdata(out):
    from litdata import StreamingDataset

    return StreamingDataset(str(out))


@pytest.mark.parametrize("file_format", ["webdataset", "parquet"])
def test_the_same_store_gives_the_same_bytes(store, tmp_path, file_format):
    pytest.importorskip({"parquet": "pyarrow"}.get(file_format, file_format))
    for name, jobs in (("one", 1), ("two", 2)):
        export_archives(store, tmp_path / name, file_format, jobs=jobs)
    content = [
        {file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("one", "two")
    ]
    assert content[0] == content[1]


@pytest.mark.parametrize("file_format", FORMATS)
def test_an_export_that_was_stopped_is_done_by_the_same_call(
    store, tmp_path, small_shards, monkeypatch, file_format
):
    pytest.importorskip({"parquet": "pyarrow"}.get(file_format, file_format))
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        decode, calls = Store.indexed, []

        def stopping(self, image):
            calls.append(image)
            if len(calls) > 25:
                raise KeyboardInterrupt
            return decode(self, image)

        patch.setattr(Store, "indexed", stopping)
        patch.setattr(archives, "_STEP", 4)
        with pytest.raises(KeyboardInterrupt):
            export_archives(store, out, file_format, jobs=1)
    assert (out / ".unfinished").exists()
    with pytest.raises(ColorCNNError, match="is not empty"):
        export_store(store, out)
    export_archives(store, out, file_format)
    assert not (out / ".unfinished").exists()
    assert len(list(READERS[file_format](out, tmp_path))) == 30
    with pytest.raises(ColorCNNError, match="is not empty"):
        export_archives(store, out, file_format)


def test_keys_of_a_webdataset_are_different():
    keys = archives._Keys()
    assert [keys.of(name) for name in ("a/x.y.png", "a/X_y.png", "b/x_y.png", "7.png")] == [
        "a/x_y", "a/X_y-2", "b/x_y", "7",
    ]  # fmt: skip


def test_the_command_exports_archives(store, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["dcq", "export", "store", "--format", "webdataset", "-o", "tars"]) == 0
    assert capsys.readouterr().out.startswith("30 images in webdataset files of ")
    assert cli.main(["dcq", "export", "store", "--format", "tfrecord", "-o", "more"]) == 2
    assert "tfrecord" in capsys.readouterr().err
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    assert cli.main(["dcq", "export", "store", "--format", "parquet", "-o", "more"]) == 1
    assert "pip install pyarrow" in capsys.readouterr().err
    assert not (tmp_path / "more").exists()
