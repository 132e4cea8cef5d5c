"""Training from recoded files: the splits are those of the originals, whatever else lies there is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from colorcnn.data import ImageFolder, QuantizedFolder, RecodedFolder, training_images
from colorcnn.data.decode import fit_image
from colorcnn.dcq.build import Build
from colorcnn.dcq.export import mean_payload, recode
from colorcnn.dcq.originals import ORIGINALS
from colorcnn.dcq.settings import recipe
from colorcnn.dcq.sources import ArrayImages, Chosen
from colorcnn.errors import UsageError


@pytest.fixture
def folder(tmp_path: Path, make_tree) -> Path:
    make_tree(tmp_path / "pets" / "train", {"cat": 12, "dog": 12})
    make_tree(tmp_path / "pets" / "test", {"cat": 4, "dog": 4}, seed=1)
    return tmp_path / "pets"


def test_some_of_the_files_as_they_are_train_and_the_originals_measure(folder: Path, tmp_path: Path) -> None:
    source = training_images(ImageFolder(str(folder)))
    kept = Chosen(source, np.arange(0, 24, 2))
    found = recode(kept, tmp_path / "half", "source")
    assert found.quality is None
    assert found.payload_bytes == pytest.approx(mean_payload(kept, "source"))
    copies = RecodedFolder(str(tmp_path / "half"), str(folder), val_size=0.25, batch_size=2)
    original = ImageFolder(str(folder), val_size=0.25)
    assert copies.rows.tolist() == list(range(0, 24, 2))
    assert copies.files[3].read_bytes() == source.file(6).read_bytes()
    left = sorted(set(range(0, 24, 2)) & set(original.train.rows.tolist()))
    assert copies.rows[copies.train.rows].tolist() == left
    np.testing.assert_array_equal(copies.val.pixels(slice(None)), original.val.pixels(slice(None)))
    np.testing.assert_array_equal(copies.test.pixels(slice(None)), original.test.pixels(slice(None)))
    assert (copies.mean, copies.std) == (original.mean, original.std)
    assert copies.class_names == ("cat", "dog")


def test_images_without_files_of_their_own_cannot_be_copied(tmp_path: Path) -> None:
    source = ArrayImages(np.zeros((2, 4, 4, 3), np.uint8), np.array([0, 1]), ("a", "b"))
    with pytest.raises(UsageError, match="use the format png"):
        recode(source, tmp_path / "out", "source")


def test_what_was_not_recoded_is_refused(folder: Path, tmp_path: Path, make_tree) -> None:
    with pytest.raises(UsageError, match="no folder"):
        RecodedFolder(str(tmp_path / "nothing"), str(folder))
    make_tree(tmp_path / "others" / "train", {"cat": 3, "dog": 3}, seed=2)
    source = training_images(ImageFolder(str(tmp_path / "others")))
    recode(source, tmp_path / "files", "png")
    with pytest.raises(UsageError, match="not made from the training images of pets"):
        RecodedFolder(str(tmp_path / "files"), str(folder))
    (tmp_path / "files" / "cat" / "0.png").rename(tmp_path / "files" / "cat" / "tom.png")
    with pytest.raises(UsageError, match=r"tom\.png does not have a row number"):
        RecodedFolder(str(tmp_path / "files"), str(tmp_path / "others"))


@pytest.mark.parametrize("image_size", [None, 6])
@pytest.mark.parametrize("kind", ["recoded", "quantized"])
def test_no_copy_is_a_val_or_test_image_of_the_cut_it_was_made_with(
    tmp_path: Path, make_tree, kind: str, image_size: int | None
) -> None:
    flat, copies = str(make_tree(tmp_path / "flat", {"cat": 20, "dog": 20})), str(tmp_path / "copies")
    cut = {"split_seed": 3, "test_size": 0.3, "image_size": image_size}
    source = training_images(ImageFolder(flat, **cut))
    if kind == "recoded":
        recode(source, Path(copies), "png")
    else:
        Build(source, recipe("super", bits=2), Path(copies), data=flat).run()
    opened = RecodedFolder if kind == "recoded" else QuantizedFolder
    data, own = opened(copies, originals=flat, **cut), ImageFolder(flat, **cut)
    assert len(data.test) == 12
    for part in ("val", "test"):
        mine, theirs = getattr(data, part), getattr(own, part)
        np.testing.assert_array_equal(mine.pixels(slice(None)), theirs.pixels(slice(None)))
    assert sorted(data.rows[data.train.rows]) == sorted(own.train.rows)
    for other in ({"split_seed": 0}, {"test_size": 0.2}):
        with pytest.raises(UsageError, match=r"not made from .* of flat: .*split_seed and test_size"):
            opened(copies, originals=flat, **{**cut, **other}).test  # noqa: B018


def test_files_of_an_earlier_version_open_with_a_warning(tmp_path: Path, make_tree, caplog) -> None:
    flat = str(make_tree(tmp_path / "flat", {"cat": 10, "dog": 10}))
    recode(training_images(ImageFolder(flat)), tmp_path / "files", "png")
    assert len(RecodedFolder(str(tmp_path / "files"), flat).test) == 4
    assert "make sure" not in caplog.text
    (tmp_path / "files" / ORIGINALS).unlink()
    assert len(RecodedFolder(str(tmp_path / "files"), flat).test) == 4
    assert "make sure that split_seed and test_size" in caplog.text


def test_a_data_set_with_its_own_test_split_takes_no_test_size(folder: Path, tmp_path: Path) -> None:
    recode(training_images(ImageFolder(str(folder))), tmp_path / "files", "png")
    with pytest.raises(UsageError, match="photo-digits has its own test split: remove test_size"):
        RecodedFolder(str(tmp_path / "files"), "photo-digits", test_size=2)


def test_all_copies_train_without_a_val_split(folder: Path, tmp_path: Path) -> None:
    source = training_images(ImageFolder(str(folder)))
    recode(source, tmp_path / "files", "png")
    Build(source, recipe("super", bits=2), tmp_path / "store", data="gone").run()
    recoded = RecodedFolder(str(tmp_path / "files"), str(folder), val_size=0)
    stored = QuantizedFolder(str(tmp_path / "store"), originals=str(folder), val_size=0)
    for data in (recoded, stored, QuantizedFolder(str(tmp_path / "store"), val_size=0)):
        assert (len(data.train), len(data.val)) == (24, 0)
        assert data.val_dataloader() == []


def test_copies_are_scaled_to_the_short_side_like_their_originals(folder: Path, tmp_path: Path) -> None:
    source = training_images(ImageFolder(str(folder)))
    recode(source, tmp_path / "files", "png")
    Build(source, recipe("super", bits=2), tmp_path / "store", data=str(folder)).run()
    options = {"image_size": 6, "short_side": 7, "val_size": 4}
    original, recoded = (
        ImageFolder(str(folder), **options),
        RecodedFolder(str(tmp_path / "files"), str(folder), **options),
    )
    stored = QuantizedFolder(str(tmp_path / "store"), **options)
    for data in (recoded, stored):
        for part in ("train", "val", "test") if data is recoded else ("val", "test"):
            mine, theirs = getattr(data, part), getattr(original, part)
            np.testing.assert_array_equal(mine.pixels(slice(None)), theirs.pixels(slice(None)))
    first = fit_image(Image.fromarray(stored.store.read([0])[0]), 6, 7)
    np.testing.assert_array_equal(stored.copies().pixels([0])[0], first)
    others = (QuantizedFolder(str(tmp_path / "store"), image_size=size, val_size=4) for size in (6, None))
    assert len({stored.copies().key, *(other.copies().key for other in others)}) == 3
