from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from colorcnn.data import ImageFolder, TinyImageNet200, decode, open_data
from colorcnn.data.decode import fit_image
from colorcnn.errors import ColorCNNError, UsageError

Maker = Callable[..., Path]


def test_train_val_and_test_folders_are_taken_as_they_are(tmp_path: Path, make_tree: Maker) -> None:
    for part, counts in {"train": (6, 5), "val": (3, 2), "test": (2, 2)}.items():
        make_tree(tmp_path / "set" / part, {"cat": counts[0], "dog": counts[1]}, seed=len(part))
    data = ImageFolder(path=str(tmp_path / "set"))
    assert (data.name, data.num_classes, data.class_names) == ("set", 2, ("cat", "dog"))
    assert data.multi_label is False
    assert data.train.labels.tolist() == [0] * 6 + [1] * 5
    assert data.val.labels.tolist() == [0] * 3 + [1] * 2
    assert data.test.labels.tolist() == [0, 0, 1, 1]
    assert data.image_size == (8, 8)
    expected = np.asarray(Image.open(tmp_path / "set" / "test" / "dog" / "001.png"))
    np.testing.assert_array_equal(data.test.pixels([3])[0], expected)


@pytest.mark.parametrize("last", ["test", "val", "valid"])
def test_without_val_beside_test_val_is_cut_from_train(
    tmp_path: Path, make_tree: Maker, last: str, caplog: pytest.LogCaptureFixture
) -> None:
    make_tree(tmp_path / "train", {"cat": 10, "dog": 20})
    make_tree(tmp_path / last, {"cat": 3, "dog": 4}, seed=1)
    with caplog.at_level(logging.INFO, "colorcnn"):
        data = ImageFolder(path=str(tmp_path), val_size=0.2)
    assert f"train/ and {last}/, which is the test split; val is cut from train" in caplog.text
    assert [len(split) for split in (data.train, data.val, data.test)] == [24, 6, 7]
    assert data.val.labels.bincount().tolist() == [2, 4]
    pixels = [data.train.pixels(slice(None)), data.val.pixels(slice(None))]
    assert len(np.unique(np.concatenate(pixels).reshape(30, -1), axis=0)) == 30


@pytest.mark.parametrize("below", ["", "train"])
def test_a_single_tree_is_cut_into_three(
    tmp_path: Path, make_tree: Maker, below: str, caplog: pytest.LogCaptureFixture
) -> None:
    make_tree(tmp_path / below, {"cat": 20, "dog": 20})
    with caplog.at_level(logging.INFO, "colorcnn"):
        data = ImageFolder(path=str(tmp_path), val_size=0.25)
    assert "test and val are cut from" in caplog.text
    assert [len(split) for split in (data.train, data.val, data.test)] == [24, 8, 8]
    rows = [split.pixels(slice(None)).reshape(len(split), -1) for split in (data.train, data.val, data.test)]
    assert len(np.unique(np.concatenate(rows), axis=0)) == 40


def test_a_folder_is_found_below_the_root(
    tmp_path: Path, make_tree: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tree(tmp_path / "pets", {"cat": 3, "dog": 3})
    assert ImageFolder(path="pets", root=str(tmp_path)).num_classes == 2
    monkeypatch.setenv("COLORCNN_DATA", str(tmp_path))
    assert open_data("pets").name == "pets"


def test_mistakes_about_folders_are_one_sentence(tmp_path: Path, make_tree: Maker) -> None:
    with pytest.raises(UsageError, match=r"no folder pets .*looked for.*with root or COLORCNN_DATA"):
        ImageFolder(path="pets", root=str(tmp_path))
    with pytest.raises(UsageError, match="has no class folders"):
        ImageFolder(path=str(tmp_path))
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "notes.txt").write_text("")
    with pytest.raises(UsageError, match="holds no image"):
        ImageFolder(path=str(tmp_path)).setup("fit")
    make_tree(tmp_path / "set" / "train", {"cat": 3})
    make_tree(tmp_path / "set" / "test", {"cat": 3, "bird": 1})
    with pytest.raises(UsageError, match=r"classes that train does not have \(bird\)"):
        ImageFolder(path=str(tmp_path / "set"))
    with pytest.raises(UsageError, match=r"'fix'.*error, skip"):
        ImageFolder(path=str(tmp_path / "set"), on_corrupt="fix")


@pytest.mark.parametrize("image_size", [None, 8])
def test_a_folder_without_test_images_says_so(
    tmp_path: Path, make_tree: Maker, image_size: int | None
) -> None:
    make_tree(tmp_path, {"cat": 5, "dog": 5})
    data = ImageFolder(str(tmp_path), test_size=0, image_size=image_size)
    assert len(data.all) == 10
    with pytest.raises(ColorCNNError, match="has no test images"):
        data.test  # noqa: B018


def test_different_sizes_and_corrupt_files_are_answered_by_options(tmp_path: Path, make_tree: Maker) -> None:
    make_tree(tmp_path, {"cat": 5, "dog": 5})
    make_tree(tmp_path, {"bird": 5}, size=(9, 12))
    with pytest.raises(UsageError, match="image_size"):
        ImageFolder(path=str(tmp_path)).setup("fit")
    (tmp_path / "cat" / "000.png").write_bytes(b"\x89PNG")
    with pytest.raises(ColorCNNError, match=r"cat/000.png"):
        ImageFolder(path=str(tmp_path), image_size=8, test_size=3).setup(None)
    data = ImageFolder(path=str(tmp_path), image_size=8, on_corrupt="skip", val_size=3, test_size=3)
    with pytest.warns(UserWarning, match="left out"):
        data.setup(None)
    assert sum(len(split) for split in (data.train, data.val, data.test)) == 14
    assert data.image_size == (8, 8)


@pytest.mark.parametrize("cache", [True, False])
def test_a_file_that_can_be_read_again_is_not_left_out(
    tmp_path: Path, make_tree: Maker, monkeypatch: pytest.MonkeyPatch, cache: bool
) -> None:
    make_tree(tmp_path, {"cat": 5, "dog": 5})
    options = {"image_size": 8, "test_size": 3, "cache": cache}
    read = decode.read_image

    def refused(path: Path) -> Image.Image:
        if path.name == "000.png":
            raise ColorCNNError(f"{path} cannot be read (Permission denied): check its rights.")
        return read(path)

    with monkeypatch.context() as patch:
        patch.setattr(decode, "read_image", refused)
        for _ in range(2):
            with pytest.raises(ColorCNNError, match="Permission denied"):
                ImageFolder(str(tmp_path), **options).setup(None)
    everything = ImageFolder(str(tmp_path), **options).all
    assert everything.pixels(slice(None)).any(axis=(1, 2, 3)).tolist() == [True] * 10


def test_channel_statistics_are_those_of_the_training_images(tmp_path: Path, make_tree: Maker) -> None:
    make_tree(tmp_path, {"cat": 20, "dog": 20})
    data = ImageFolder(path=str(tmp_path))
    values = data.train.pixels(slice(None)).reshape(-1, 3) / 255
    assert data.mean == pytest.approx(values.mean(0), abs=1e-4)
    assert data.std == pytest.approx(values.std(0), abs=1e-4)
    assert all(type(value) is float for value in (*data.mean, *data.std))
    limited = ImageFolder(path=str(tmp_path), train_limit=5)
    assert limited.mean == data.mean


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="needs a folder that nobody may write to")
def test_a_cache_that_cannot_be_written_costs_a_warning(
    tmp_path: Path, make_tree: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLORCNN_CACHE", "/sys/kernel/colorcnn")
    make_tree(tmp_path, {"cat": 20, "dog": 20})
    with pytest.warns(UserWarning, match="/sys/kernel/colorcnn cannot be written to"):
        assert len(ImageFolder(path=str(tmp_path)).mean) == 3


def test_damaged_files_of_the_cache_are_made_anew_or_named(
    tmp_path: Path, make_tree: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLORCNN_CACHE", str(tmp_path / "cache"))
    make_tree(tmp_path / "images", {"cat": 20, "dog": 20})
    mean = ImageFolder(path=str(tmp_path / "images")).mean
    notes = sorted((tmp_path / "cache").rglob("*.json"))
    assert notes
    for content in ("", "{", '{"corrupt": 1}', "[1, 2]"):
        for path in notes:
            path.write_text(content)
        assert ImageFolder(path=str(tmp_path / "images")).mean == mean
    for path in (tmp_path / "cache").rglob("*.npy"):
        path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ColorCNNError, match=r"npy is damaged: remove it"):
        ImageFolder(path=str(tmp_path / "images")).train.pixels(slice(None))


def write_tiny(folder: Path, train_below: str, val_table: bool) -> None:
    random = np.random.RandomState(0)
    (folder / "val").mkdir(parents=True)
    table = []
    for label in range(200):
        wnid = f"n{label:08d}"
        picture = Image.fromarray(random.randint(0, 256, (64, 64, 3)).astype(np.uint8))
        place = folder / "train" / wnid / train_below
        place.mkdir(parents=True)
        for number in range(2):
            picture.save(place / f"{wnid}_{number}.JPEG", quality=30)
        # The order of the val files is unlike that of the classes, as in the real data set.
        name = f"val_{199 - label}.JPEG"
        place = folder / "val" / ("images" if val_table else wnid)
        place.mkdir(exist_ok=True)
        picture.save(place / name, quality=30)
        table.append(f"{name}\t{wnid}\t0\t0\t62\t62\n")
    if val_table:
        (folder / "val" / "val_annotations.txt").write_text("".join(table))
    (folder / "words.txt").write_text("n00000001\tgoldfish, Carassius auratus\n")


@pytest.mark.parametrize(("train_below", "val_table"), [("images", True), ("", False)])
def test_tiny_imagenet_is_read_as_distributed_and_as_sorted(
    tmp_path: Path, train_below: str, val_table: bool
) -> None:
    folder = "tiny-imagenet-200" if val_table else "tiny-imagenet-200-mini"
    write_tiny(tmp_path / folder, train_below, val_table)
    data = TinyImageNet200(root=str(tmp_path), val_size=200)
    data.setup(None)
    assert (data.name, data.num_classes, data.image_size) == (folder, 200, (64, 64))
    assert data.class_names[:2] == ("n00000000", "goldfish")
    assert [len(split) for split in (data.train, data.val, data.test)] == [200, 200, 200]
    # An image of class k in val equals those of class k in train, by construction.
    rows = {
        tuple(pixels[0, 0]): int(label)
        for pixels, label in zip(data.train.pixels(slice(None)), data.train.labels)
    }
    found = [rows[tuple(pixels[0, 0])] for pixels in data.test.pixels(slice(None))]
    agree = np.mean(np.array(found) == data.test.labels.numpy())
    assert agree > 0.95  # two of 200 corner pixels may be equal by chance


def test_of_two_tiny_imagenets_the_one_that_is_named_is_taken(tmp_path: Path) -> None:
    for name in TinyImageNet200.folder_names:
        (tmp_path / name).mkdir()
        assert TinyImageNet200(root=str(tmp_path), folder=name).name == name
    data = TinyImageNet200(root=str(tmp_path), folder="elsewhere", download=True)
    with pytest.raises(UsageError, match=r"looked for elsewhere\): set the folder .* COLORCNN_DATA\.$"):
        _ = data.wnids


def test_tiny_imagenet_says_what_is_missing(tmp_path: Path) -> None:
    data = TinyImageNet200(root=str(tmp_path))
    assert (data.num_classes, data.name) == (200, "tiny-imagenet-200")
    with pytest.raises(UsageError, match=r"Tiny-ImageNet-200 is not in .*download=True"):
        data.setup("fit")
    (tmp_path / "tiny-imagenet-200" / "train" / "n01").mkdir(parents=True)
    with pytest.raises(UsageError, match="has 1 class folders instead of 200"):
        data.setup("fit")


def test_an_image_of_the_final_size_is_scaled_to_the_short_side_too() -> None:
    image = Image.fromarray(np.random.RandomState(0).randint(0, 256, (8, 8, 3)).astype(np.uint8))
    scaled = np.asarray(image.resize((10, 10), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(fit_image(image, 8, 10), scaled[1:9, 1:9])
    np.testing.assert_array_equal(fit_image(image, 8, 8), np.asarray(image))
