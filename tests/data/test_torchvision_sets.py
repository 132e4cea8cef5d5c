from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from colorcnn.data import CIFAR10, CIFAR100, STL10, VOC2012, VOC2012Masks
from colorcnn.errors import ColorCNNError, UsageError


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision verifies checksums, which made-up files cannot have."""

    def exists(path: str, md5: str | None = None) -> bool:
        return Path(path).is_file()

    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", exists)
    monkeypatch.setattr("torchvision.datasets.stl10.check_integrity", exists)


def write_cifar(root: Path, classes: int) -> np.ndarray:
    """Ten images of each class in train, two in test; returns the training pixels (N, 32, 32, 3)."""
    random = np.random.RandomState(0)
    hundred = classes == 100
    folder = root / ("cifar-100-python" if hundred else "cifar-10-batches-py")
    folder.mkdir()
    key = "fine_labels" if hundred else "labels"
    files = {"train": 10, "test": 2} if hundred else {f"data_batch_{n}": 2 for n in range(1, 6)}
    if not hundred:
        files["test_batch"] = 2
    train = []
    for name, repeats in files.items():
        labels = list(range(classes)) * repeats
        data = random.randint(0, 256, (len(labels), 3072)).astype(np.uint8)
        (folder / name).write_bytes(pickle.dumps({"data": data, key: labels}))
        if not name.startswith("test"):
            train.append(data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    names = {"fine_label_names" if hundred else "label_names": [str(label) for label in range(classes)]}
    (folder / ("meta" if hundred else "batches.meta")).write_bytes(pickle.dumps(names))
    return np.concatenate(train)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("kind", "classes"), [(CIFAR10, 10), (CIFAR100, 100)])
def test_cifar_gives_its_pixels_and_a_val_of_its_own(
    tmp_path: Path, kind: type[CIFAR10], classes: int
) -> None:
    pixels = write_cifar(tmp_path, classes)
    data = kind(root=str(tmp_path))
    data.setup(None)
    assert data.num_classes == len(set(data.class_names)) == classes
    assert [len(split) for split in (data.train, data.val, data.test)] == [9 * classes, classes, 2 * classes]
    assert data.val.labels.bincount().tolist() == [1] * classes
    together = np.concatenate([data.train.pixels(slice(None)), data.val.pixels(slice(None))])
    np.testing.assert_array_equal(
        np.unique(together.reshape(-1, 3072), axis=0), np.unique(pixels.reshape(-1, 3072), axis=0)
    )
    assert data.image_size == (32, 32)
    assert len(data.mean) == len(data.std) == 3


@pytest.mark.usefixtures("unchecked")
def test_cifar_can_be_resized(tmp_path: Path) -> None:
    write_cifar(tmp_path, 10)
    data = CIFAR10(root=str(tmp_path), image_size=48, batch_size=4)
    data.setup("fit")
    assert data.image_size == data.train.image_size == (48, 48)
    assert next(iter(data.train_dataloader())).images.shape == (4, 3, 48, 48)


@pytest.mark.usefixtures("unchecked")
def test_stl10_gives_all_training_images_or_one_fold(tmp_path: Path) -> None:
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    random = np.random.RandomState(0)
    stored = {}
    for part, count in {"train": 40, "test": 20}.items():
        stored[part] = random.randint(0, 256, (count, 3, 96, 96)).astype(np.uint8)
        stored[part].tofile(folder / f"{part}_X.bin")
        (np.arange(count) % 10 + 1).astype(np.uint8).tofile(folder / f"{part}_y.bin")
    (folder / "unlabeled_X.bin").write_bytes(b"")
    folds = ["0 1 2 3 4 5 6 7 8 9", *["10 11 12 13 14 15 16 17 18 19"] * 9]
    (folder / "fold_indices.txt").write_text("\n".join(folds))
    data = STL10(root=str(tmp_path), val_size=10)
    data.setup(None)
    assert [len(split) for split in (data.train, data.val, data.test)] == [30, 10, 20]
    # The file holds each channel column by column.
    np.testing.assert_array_equal(data.test.pixels([3])[0], stored["test"][3].transpose(2, 1, 0))
    fold = STL10(root=str(tmp_path), val_size=2, fold=0)
    fold.setup(None)
    assert [len(split) for split in (fold.train, fold.val, fold.test)] == [8, 2, 20]
    with pytest.raises(UsageError, match="fold is 10"):
        STL10(fold=10)


def write_voc(root: Path) -> None:
    base = root / "VOCdevkit" / "VOC2012"
    for name in (
        "JPEGImages",
        "Annotations",
        "SegmentationClass",
        "ImageSets/Main",
        "ImageSets/Segmentation",
    ):
        (base / name).mkdir(parents=True)
    objects = {"a": ["dog", "person", "dog"], "b": ["cat"], "c": [], "d": ["sofa"], "e": ["bus", "!car"]}
    for number, (name, kinds) in enumerate(objects.items()):
        Image.new("RGB", (60 + number, 40), (number * 40, 0, 0)).save(base / "JPEGImages" / f"{name}.jpg")
        items = "".join(
            f"<object><name>{kind.strip('!')}</name><difficult>{int(kind[0] == '!')}</difficult></object>"
            for kind in kinds
        )
        (base / "Annotations" / f"{name}.xml").write_text(f"<annotation>{items}</annotation>")
        mask = np.zeros((40, 60 + number), np.uint8)
        mask[:, :30], mask[0] = number + 1, 255
        picture = Image.fromarray(mask).convert("P")
        picture.putpalette([value for value in range(256) for _ in range(3)])
        picture.save(base / "SegmentationClass" / f"{name}.png")
    for kind in ("Main", "Segmentation"):
        (base / "ImageSets" / kind / "train.txt").write_text("a\nb\nc\nd\n")
        (base / "ImageSets" / kind / "val.txt").write_text("e\n")


@pytest.mark.parametrize(("difficult", "expected"), [(True, ["bus", "car"]), (False, ["bus"])])
def test_voc_gives_every_kind_of_object_in_an_image(
    tmp_path: Path, difficult: bool, expected: list[str]
) -> None:
    write_voc(tmp_path)
    data = VOC2012(root=str(tmp_path), val_size=1, image_size=32, short_side=36, difficult=difficult)
    data.setup(None)
    assert (data.num_classes, data.multi_label, data.name) == (20, True, "voc2012")
    assert [len(split) for split in (data.train, data.val, data.test)] == [3, 1, 1]
    assert data.train.labels.dtype == torch.float32
    assert data.image_size == (32, 32)
    shown = [name for name, present in zip(data.class_names, data.test.labels[0]) if present]
    assert shown == expected
    kinds = torch.cat([data.train.labels, data.val.labels]).sum(0)
    assert [name for name, count in zip(data.class_names, kinds) if count] == ["cat", "dog", "person", "sofa"]
    assert VOC2012().image_size == (224, 224)


def test_a_broken_annotation_is_named(tmp_path: Path) -> None:
    write_voc(tmp_path)
    (tmp_path / "VOCdevkit" / "VOC2012" / "Annotations" / "b.xml").write_text("<annotation>")
    with pytest.raises(ColorCNNError, match=r"b.xml is not a VOC annotation"):
        VOC2012(root=str(tmp_path)).setup("fit")


@pytest.mark.parametrize("kind", [CIFAR10, CIFAR100, STL10, VOC2012])
def test_a_missing_data_set_says_where_it_was_looked_for(tmp_path: Path, kind: type[CIFAR10]) -> None:
    data = kind(root=str(tmp_path))
    assert data.num_classes == len(data.class_names)
    with pytest.raises(UsageError, match=rf"{data.name} is not in {tmp_path}.*COLORCNN_DATA.*download=True"):
        data.setup("test")


def test_a_failed_download_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", unreachable)
    monkeypatch.setattr("torchvision.datasets.voc.download_and_extract_archive", unreachable)
    for kind in (CIFAR10, VOC2012):
        with pytest.raises(ColorCNNError, match=r"could not be downloaded to .*Name or service not known"):
            kind(root=str(tmp_path), download=True).setup("fit")


def test_voc_masks_give_every_pixel_a_class(tmp_path: Path) -> None:
    write_voc(tmp_path)
    data = VOC2012Masks(root=str(tmp_path), val_size=1, image_size=40)
    data.setup(None)
    assert (data.num_classes, data.masks, data.name) == (21, True, "voc2012-masks")
    batch = data.test.__getitems__([0])
    assert batch.labels.shape == (1, 40, 40)
    assert batch.labels.dtype == torch.uint8
    assert batch.labels[0, 1:].unique().tolist() == [0, 5]
    assert batch.labels[0, 0].unique().tolist() == [255]
    (tmp_path / "VOCdevkit" / "VOC2012" / "SegmentationClass" / "e.png").write_text("no PNG")
    with pytest.raises(ColorCNNError, match=r"e\.png is not a mask"):
        VOC2012Masks(root=str(tmp_path), image_size=40).setup("test")
