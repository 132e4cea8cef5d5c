from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from colorcnn.data import ImageSplit, PhotoDigits
from colorcnn.data.cache import array_writer, read_array
from colorcnn.data.datasets import as_is
from colorcnn.data.decode import CorruptImageError, FilePixels, decode_files, fit_image, resize_array
from colorcnn.errors import ColorCNNError, UsageError


def split_of(count: int = 10, **options: object) -> ImageSplit:
    random = np.random.RandomState(0)
    pixels = random.randint(0, 256, (count, 4, 6, 3)).astype(np.uint8)
    return ImageSplit(pixels, np.arange(count) % 3, **options)  # type: ignore[arg-type]


def files_of(make_tree: Callable[..., Path], folder: Path, count: int = 5, **options: object) -> list[Path]:
    return sorted((make_tree(folder, {"a": count}, **options) / "a").iterdir())


def test_a_batch_holds_the_images_asked_for_in_order() -> None:
    split = split_of()
    batch = split.__getitems__([7, 2, 2])
    assert batch.images.shape == (3, 3, 4, 6)
    assert batch.images.dtype == torch.uint8
    assert batch.labels.tolist() == [1, 2, 2]
    assert batch.index.tolist() == [7, 2, 2]
    assert torch.equal(batch.images[0].permute(1, 2, 0), torch.from_numpy(split.pixels([7])[0]))


def test_a_single_image_is_a_batch_without_its_first_dimension() -> None:
    split = split_of()
    image, label, index = split[-1]
    assert image.shape == (3, 4, 6)
    assert (int(label), int(index)) == (0, 9)
    with pytest.raises(IndexError):
        split[10]


def test_multi_labels_are_floats() -> None:
    split = ImageSplit(np.zeros((2, 3, 3, 3), np.uint8), np.array([[1, 0], [1, 1]]))
    labels = split.__getitems__([1, 0]).labels
    assert labels.dtype == torch.float32
    assert labels.tolist() == [[1, 1], [1, 0]]


def test_a_part_counts_its_own_positions_and_has_its_own_key() -> None:
    split = split_of()
    part = split.take([8, 3]).take([1])
    assert len(part) == 1
    assert part.__getitems__([0]).index.tolist() == [0]
    np.testing.assert_array_equal(part.pixels([0]), split.pixels([3]))
    assert part.key not in (split.key, split.take([8, 3]).key)
    assert part.key == split_of().take([3]).key


def test_a_batch_of_a_memory_map_can_be_written_to(tmp_path: Path) -> None:
    with array_writer(tmp_path / "a.npy", (2, 4, 4, 3), np.uint8) as append:
        append(np.ones((2, 4, 4, 3)))
    split = ImageSplit(read_array(tmp_path / "a.npy"), np.zeros(2, np.int64), key="k")
    split.__getitems__([0]).images.zero_()
    assert split.__getitems__([0]).images.min() == 1


def test_an_epoch_of_cifar_size_takes_about_a_second() -> None:
    split = ImageSplit(np.zeros((45_000, 32, 32, 3), np.uint8), np.zeros(45_000, np.int64), key="k")
    start = time.thread_time()
    seen = sum(
        len(batch.labels) for batch in DataLoader(split, batch_size=128, shuffle=True, collate_fn=as_is)
    )
    assert seen == 45_000
    assert (
        time.thread_time() - start < 2
    )  # typically 0.1; a thread's own time, as tests may run beside others


def test_decoding_happens_once_and_again_when_a_file_changes(
    tmp_path: Path, make_tree: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = files_of(make_tree, tmp_path / "set")
    pixels, kept, key = decode_files(files, image_size=None)
    assert isinstance(pixels, np.memmap)
    assert kept.tolist() == [0, 1, 2, 3, 4]
    for row, path in enumerate(files):
        np.testing.assert_array_equal(pixels[row], np.asarray(Image.open(path)))
    with monkeypatch.context() as patched:
        patched.setattr("colorcnn.data.decode.read_pixels", lambda *_: pytest.fail("decoded again"))
        again = decode_files(files, image_size=None)
        np.testing.assert_array_equal(pixels, again[0])
        assert again[2] == key
    Image.new("RGB", (8, 8), "red").save(files[2])
    changed, _, other = decode_files(files, image_size=None)
    assert other != key
    assert changed[2].tolist() == [[[255, 0, 0]] * 8] * 8


def test_images_are_resized_by_their_shorter_side_and_cropped_in_the_middle() -> None:
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 200
    assert fit_image(Image.fromarray(wide), 10).tolist() == [[[200] * 3] * 10] * 10
    assert fit_image(Image.fromarray(wide), None).shape == (10, 30, 3)
    for size in ((7, 3), (3, 7), (1, 50), (64, 64)):
        assert fit_image(Image.new("RGB", size), 16).shape == (16, 16, 3)


def test_different_sizes_need_an_image_size(tmp_path: Path, make_tree: Callable[..., Path]) -> None:
    make_tree(tmp_path / "set", {"a": 3}, size=(8, 8))
    files = files_of(make_tree, tmp_path / "set", 1, size=(9, 12))
    with pytest.raises(
        UsageError,
        match=r"001.png has 8x8 pixels and the first image 12x9: .* with image_size, such as 9",
    ):
        decode_files(files, image_size=None)
    assert decode_files(files, image_size=6)[0].shape == (3, 6, 6, 3)


def test_an_image_size_beyond_memory_is_refused() -> None:
    with pytest.raises(UsageError, match="image_size is 99999999999999999999: choose at most 8192"):
        PhotoDigits(image_size=99999999999999999999)


@pytest.mark.parametrize("cache", [True, False])
def test_corrupt_files_are_refused_by_name_or_left_out(
    tmp_path: Path, make_tree: Callable[..., Path], cache: bool
) -> None:
    files = files_of(make_tree, tmp_path / "set")
    files[1].write_bytes(files[1].read_bytes()[:60])
    files[3].write_text("no image")
    for _ in range(2):  # computed, and from the cache
        with pytest.raises(ColorCNNError, match=r"2 of 5 .*001.png.*003.png.*on_corrupt='skip'"):
            decode_files(files, image_size=None, cache=cache)
        with pytest.warns(UserWarning, match="2 of 5 image files cannot be read and are left out"):
            pixels, kept, key = decode_files(files, image_size=None, on_corrupt="skip", cache=cache)
    assert kept.tolist() == [0, 2, 4]
    split = ImageSplit(pixels, np.arange(5), key=key, rows=kept)
    batch = split.__getitems__([0, 1, 2])
    assert batch.labels.tolist() == [0, 2, 4]
    np.testing.assert_array_equal(batch.images[1].permute(1, 2, 0), np.asarray(Image.open(files[2])))


def test_a_set_of_unreadable_files_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"")
    with pytest.raises(ColorCNNError, match=r"None of 1 .*a.png"):
        decode_files([path], image_size=None)


def test_unknown_policies_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'ignore'.*error, skip"):
        decode_files([tmp_path], image_size=None, on_corrupt="ignore")


def test_files_decoded_on_demand_give_the_same_batches(
    tmp_path: Path, make_tree: Callable[..., Path]
) -> None:
    files = files_of(make_tree, tmp_path / "set", 6, size=(9, 12))
    labels = np.arange(6)
    splits = []
    for cache in (True, False):
        pixels, kept, key = decode_files(files, image_size=8, cache=cache)
        splits.append(ImageSplit(pixels, labels, key=key, rows=kept))
    assert isinstance(splits[1]._pixels, FilePixels)
    assert splits[0].key == splits[1].key
    loaders = [DataLoader(split, batch_size=4, collate_fn=as_is, num_workers=0) for split in splits]
    for one, other in zip(*loaders, strict=True):
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(one, other, strict=True))


def test_a_file_that_breaks_while_training_is_one_sentence_from_a_worker_too(
    tmp_path: Path, make_tree: Callable[..., Path]
) -> None:
    files = files_of(make_tree, tmp_path / "set", 4)
    pixels, kept, key = decode_files(files, image_size=None, cache=False)
    files[2].write_text("broken")
    split = ImageSplit(pixels, np.arange(4), key=key, rows=kept)
    for workers in (0, 1):
        with pytest.raises(CorruptImageError) as caught:
            list(DataLoader(split, batch_size=2, collate_fn=as_is, num_workers=workers))
        assert "002.png" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert "Traceback" not in str(caught.value)
        assert "CorruptImageError" not in str(caught.value)


def test_the_error_survives_pickling() -> None:
    error = CorruptImageError("x.png is no image: remove it.")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_arrays_are_resized_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.RandomState(0).randint(0, 256, (3, 8, 8, 3)).astype(np.uint8)
    resized, key = resize_array(pixels, 16, "k")
    np.testing.assert_array_equal(resized[1], fit_image(Image.fromarray(pixels[1]), 16))
    monkeypatch.setattr("colorcnn.data.decode.fit_image", lambda *_: pytest.fail("resized again"))
    assert resize_array(pixels, 16, "k")[1] == key


def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.lib.format.write_array_header_1_0", full)
    expected = pytest.raises(ColorCNNError, match=r"No space left on device.*COLORCNN_CACHE")
    with expected, array_writer(tmp_path / "a.npy", (1,), np.uint8):
        pytest.fail("goes on")
    assert not list(tmp_path.iterdir())


def test_an_array_that_is_not_complete_is_not_kept(tmp_path: Path) -> None:
    expected = pytest.raises(ValueError, match="1 rows were computed for an array of 2")
    with expected, array_writer(tmp_path / "a.npy", (2, 3), np.uint8) as append:
        append(np.zeros((1, 3), np.uint8))
    assert not list(tmp_path.iterdir())


def test_only_stale_leftovers_are_removed(tmp_path: Path) -> None:
    import os

    old, new = tmp_path / ".a.npy.1.part", tmp_path / ".a.npy.2.part"
    for path in (old, new):
        path.write_text("")
    os.utime(old, (0, 0))
    with array_writer(tmp_path / "b.npy", (1,), np.uint8) as append:
        append(np.zeros(1, np.uint8))
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.npy.2.part", "b.npy"]
