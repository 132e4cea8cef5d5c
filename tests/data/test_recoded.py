"""Training from recoded files: the splits are those of the originals, whatever else lies there is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from colorcnn.data import ImageFolder, RecodedFolder, training_images
from colorcnn.dcq.export import mean_payload, recode
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
