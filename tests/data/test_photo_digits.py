from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import colorcnn.data.photo_digits as module
from colorcnn.data import open_data
from colorcnn.data.decode import fit_image
from colorcnn.data.photo_digits import photo_digit_masks, photo_digit_scenes, photo_digits


def test_the_same_seed_gives_the_same_images() -> None:
    one, other = (photo_digits(3, train=50, val=10, test=20) for _ in range(2))
    for part, count in {"train": 50, "val": 10, "test": 20}.items():
        images, labels = one[part]
        assert images.shape == (count, 32, 32, 3)
        assert images.dtype == np.uint8
        assert labels.dtype == np.int64
        assert set(labels) <= set(range(10))
        np.testing.assert_array_equal(images, other[part][0])
    assert not np.array_equal(one["train"][0], photo_digits(4, train=50, val=10, test=20)["train"][0])


def test_the_default_set_is_balanced_and_has_the_known_statistics() -> None:
    data = open_data("photo-digits")
    data.setup(None)
    assert [len(split) for split in (data.train, data.val, data.test)] == [8000, 1000, 2000]
    for split in (data.train, data.val, data.test):
        assert split.labels.bincount(minlength=10).min() > len(split) * 0.06
    values = data.train.pixels(slice(None)).reshape(-1, 3) / 255
    assert data.mean == pytest.approx(values.mean(0), abs=1e-3)
    assert data.std == pytest.approx(values.std(0), abs=1e-3)


def test_splits_share_no_pixel_of_a_photograph() -> None:
    photos = np.zeros((2, 427, 640, 3), np.uint8)  # every pixel tells its column
    photos[..., 0] = np.arange(640) % 256
    photos[..., 1] = np.arange(640) // 256
    seen = {}
    for part, bands in module._BANDS.items():
        crops = module._crops(photos, bands, 500, np.random.RandomState(0)).astype(int)
        seen[part] = set(np.unique(crops[..., 0] + 256 * crops[..., 1]))
        assert len(seen[part]) > 60 * len(bands)
    assert not seen["train"] & seen["val"]
    assert not seen["train"] & seen["test"]
    assert not seen["val"] & seen["test"]


def test_splits_share_no_digit(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[set[bytes]] = []
    real = module._resample

    def recorded(strokes: np.ndarray, random: np.random.RandomState) -> np.ndarray:
        used.append({stroke.tobytes() for stroke in strokes})
        return real(strokes, random)

    monkeypatch.setattr(module, "_resample", recorded)
    photo_digits(0, train=4000, val=1000, test=2000)
    assert [len(part) > 150 for part in used] == [True] * 3
    assert not used[0] & used[1]
    assert not used[0] & used[2]
    assert not used[1] & used[2]


def test_a_digit_lies_wholly_inside_its_image() -> None:
    strokes = np.zeros((20, 8, 8))
    strokes[:, 0, 0] = strokes[:, 7, 7] = strokes[:, 0, 7] = strokes[:, 7, 0] = 1
    enlarged = module._resample(strokes, np.random.RandomState(0))
    assert enlarged.shape == (20, 32, 32)
    for image in enlarged:
        rows, columns = np.nonzero(image > 0.5)
        assert rows.max() - rows.min() >= 20
        assert columns.max() - columns.min() >= 20
        assert image[rows, columns].max() > 0.9


def test_masks_belong_to_the_same_images() -> None:
    plain, masked = photo_digits(3, 20, 5, 5), photo_digit_masks(3, 20, 5, 5)
    for part in plain:
        np.testing.assert_array_equal(plain[part][0], masked[part][0])
        labels, masks = plain[part][1], masked[part][1]
        assert masks.shape == (len(labels), 32, 32)
        for label, mask in zip(labels, masks):
            assert set(np.unique(mask)) == {0, label + 1}
            assert 0.03 < (mask > 0).mean() < 0.6


def test_scenes_show_one_to_three_digits() -> None:
    images, labels = photo_digit_scenes(0, 200, 5, 5)["train"]
    assert images.shape == (200, 64, 64, 3)
    assert set(labels.sum(axis=1)) == {1, 2, 3}
    again = photo_digit_scenes(0, 200, 5, 5)["train"]
    np.testing.assert_array_equal(images, again[0])


@pytest.mark.parametrize("name", ["photo-digit-masks", "photo-digit-scenes"])
def test_the_other_sets_have_the_known_statistics(name: str) -> None:
    data = open_data(name, train_size=1500)
    values = data.train.pixels(slice(None)).reshape(-1, 3) / 255
    assert data.mean == pytest.approx(values.mean(0), abs=1e-2)
    assert data.std == pytest.approx(values.std(0), abs=1e-2)


@pytest.mark.parametrize("name", ["photo-digits", "photo-digit-masks", "photo-digit-scenes"])
def test_images_and_masks_have_the_size_that_is_asked_for(name: str) -> None:
    sizes = {"train_size": 4, "validation_size": 2, "test_size": 2}
    own, data = open_data(name, **sizes), open_data(name, image_size=48, short_side=96, **sizes)
    assert data.image_size == data.train.image_size == (48, 48)
    pixels, labels = own.train.pixels([1])[0], own.train.labels[1]
    np.testing.assert_array_equal(data.train.pixels([1])[0], fit_image(Image.fromarray(pixels), 48, 96))
    if data.masks:
        mask = np.repeat(np.repeat(labels.numpy(), 3, axis=0), 3, axis=1)[24:72, 24:72]
        np.testing.assert_array_equal(data.train.labels[1].numpy(), mask)
    else:
        assert data.train.labels.tolist() == own.train.labels.tolist()
