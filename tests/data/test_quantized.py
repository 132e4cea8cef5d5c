from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from colorcnn.data import (
    ImageFolder,
    PhotoDigits,
    QuantizedDataset,
    QuantizedFolder,
    training_images,
)
from colorcnn.dcq.build import Build
from colorcnn.dcq.settings import recipe
from colorcnn.dcq.sources import ArrayImages, Chosen
from colorcnn.errors import ColorCNNError, UsageError


@pytest.fixture
def folder(tmp_path: Path, make_tree) -> Path:
    make_tree(tmp_path / "pets" / "train", {"cat": 12, "dog": 12})
    make_tree(tmp_path / "pets" / "test", {"cat": 4, "dog": 4}, seed=1)
    return tmp_path / "pets"


@pytest.fixture
def store(folder: Path, tmp_path: Path) -> Path:
    source = training_images(ImageFolder(str(folder)))
    Build(source, recipe("super", bits=2), tmp_path / "store", data=str(folder)).run()
    return tmp_path / "store"


def test_the_dataset_gives_what_the_store_holds(store: Path) -> None:
    dataset = QuantizedDataset(str(store))
    assert (len(dataset), dataset.classes) == (24, ("cat", "dog"))
    image, label = dataset[-1]
    assert (image.shape, image.dtype, label.item()) == ((3, 8, 8), torch.uint8, 1)
    np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), dataset.store.decode(23))
    with pytest.raises(IndexError):
        dataset[24]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_takes_batches_of_it(store: Path, workers: int) -> None:
    dataset = QuantizedDataset(str(store), transform=lambda image: image.float() / 255)
    batches = list(DataLoader(dataset, batch_size=10, num_workers=workers))
    assert [len(images) for images, _ in batches] == [10, 10, 4]
    assert torch.cat([labels for _, labels in batches]).tolist() == [0] * 12 + [1] * 12
    assert batches[0][0].max() <= 1


def test_training_images_are_quantized_and_all_others_originals(store: Path, folder: Path) -> None:
    data, original = QuantizedFolder(str(store), val_size=0.25), ImageFolder(str(folder), val_size=0.25)
    assert (data.num_classes, data.class_names, data.image_size) == (2, ("cat", "dog"), (8, 8))
    assert data.mean == pytest.approx(original.train.pixels(slice(None)).mean((0, 1, 2)) / 255, abs=0.05)
    for part in ("val", "test"):
        mine, theirs = getattr(data, part), getattr(original, part)
        np.testing.assert_array_equal(mine.pixels(slice(None)), theirs.pixels(slice(None)))
    assert torch.equal(data.train.labels, original.train.labels)
    train = data.train.pixels(slice(None))
    np.testing.assert_array_equal(train, np.stack(data.store.read(original.train.rows)))
    assert (train != original.train.pixels(slice(None))).any()


def test_without_its_originals_val_is_cut_from_the_store_and_there_is_no_test(
    store: Path, folder: Path
) -> None:
    folder.rename(folder.with_name("gone"))
    data = QuantizedFolder(str(store), val_size=0.25)
    assert [len(data.train), len(data.val)] == [18, 6]
    with pytest.raises(UsageError, match=r"no test images.*with originals"):
        data.test  # noqa: B018
    named = QuantizedFolder(str(store), originals=str(folder.with_name("gone")))
    assert len(named.test) == 8
    with pytest.raises(UsageError, match="nowhere"):
        QuantizedFolder(str(store), originals="nowhere").train  # noqa: B018


def test_originals_of_another_data_set_are_refused(store: Path, tmp_path: Path, make_tree) -> None:
    make_tree(tmp_path / "others", {"ant": 9, "bee": 9})
    with pytest.raises(UsageError, match="was not made from the training images of others"):
        QuantizedFolder(str(store), originals=str(tmp_path / "others")).train  # noqa: B018


def test_a_pruned_store_trains_on_what_val_leaves(folder: Path, tmp_path: Path) -> None:
    source = Chosen(training_images(ImageFolder(str(folder))), np.arange(0, 24, 2))
    Build(source, recipe("super"), tmp_path / "few", data=str(folder)).run()
    data, original = QuantizedFolder(str(tmp_path / "few")), ImageFolder(str(folder))
    kept = set(range(0, 24, 2)) - set(original.val.rows)
    assert set(data.store.rows[data.train.rows]) == kept
    assert len(data.val) == len(original.val)


def test_images_of_several_sizes_are_brought_to_one(tmp_path: Path) -> None:
    for number, size in enumerate([(20, 12), (9, 30)] * 4):
        path = tmp_path / "odd" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (*size, 3)).astype(np.uint8)).save(
            path
        )
    source = training_images(ImageFolder(str(tmp_path / "odd"), test_size=2))
    Build(source, recipe("super"), tmp_path / "store", data="odd").run()
    data = QuantizedFolder(str(tmp_path / "store"), image_size=8, val_size=2)
    assert data.train.pixels([0, 1]).shape == (2, 8, 8, 3)
    with pytest.raises(UsageError, match="image_size"):
        QuantizedFolder(str(tmp_path / "store"), val_size=2).train  # noqa: B018


def test_statistics_may_be_those_of_the_quantized_images(store: Path) -> None:
    data = QuantizedFolder(str(store), statistics="quantized")
    decoded = np.stack(data.store.read(range(24)))
    assert data.std == pytest.approx(decoded.std((0, 1, 2)) / 255, abs=1e-4)
    with pytest.raises(UsageError, match="statistics"):
        QuantizedFolder(str(store), statistics="other")  # type: ignore[arg-type]


def test_a_folder_that_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a quantized data set"):
        QuantizedFolder(str(tmp_path))


def test_a_damaged_shard_is_named_when_it_is_read(store: Path) -> None:
    path = next(store.glob("*.dcq"))
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    with pytest.raises(ColorCNNError, match=r"shard-00000\.dcq is damaged"):
        QuantizedFolder(str(store)).train.pixels([0])


def test_sources_are_files_where_there_are_files(folder: Path, store: Path) -> None:
    assert training_images(ImageFolder(str(folder)), shorter_side=4).read([0])[0].shape == (4, 4, 3)
    assert training_images(ImageFolder(str(folder), image_size=5)).image_size == (5, 5)
    digits = PhotoDigits(train_size=6, validation_size=2, test_size=2)
    assert isinstance(training_images(digits), ArrayImages)
    with pytest.raises(UsageError, match="choose another size with image_size"):
        training_images(digits, shorter_side=9)
    assert len(training_images(QuantizedFolder(str(store)))) == 24
