from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from colorcnn.data import ImageSplit, ImitationTargets, PhotoDigits
from colorcnn.data import classical as module
from colorcnn.data.imitation import ComputedTargets, open_targets
from colorcnn.errors import UsageError
from colorcnn.paletted import from_bytes
from colorcnn.quantizers import QUANTIZERS, MedianCut, Quantizer
from colorcnn.quantizers.batched_median_cut import median_cut_index_maps
from colorcnn.quantizers.batched_wu import wu_index_maps


def smooth_split(count: int = 6, height: int = 9, width: int = 12, seed: int = 0) -> ImageSplit:
    random = np.random.RandomState(seed)
    ramp = np.linspace(0, 1, height)[:, None, None] * random.randint(0, 256, (count, 1, 1, 3))
    noise = random.randint(0, 40, (count, height, width, 3))
    return ImageSplit(np.clip(ramp + noise, 0, 255).astype(np.uint8), np.arange(count) % 2)


def as_partition(indices: np.ndarray) -> np.ndarray:
    """The indices renumbered in order of appearance, so that equal partitions are equal arrays."""
    _, first, inverse = np.unique(indices, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse.reshape(indices.shape)]


def test_targets_are_what_the_quantizer_gives() -> None:
    split = smooth_split()
    targets = ImitationTargets(split, [2, 5])
    index = torch.tensor([4, 0, 4])
    for size in (2, 5):
        pixels = torch.from_numpy(split.pixels(index.numpy()))
        expected = MedianCut()(pixels, size, channels_last=True).indices
        found = targets.lookup(index, size)
        assert found.dtype == torch.uint8
        assert torch.equal(found, expected)


def test_flipped_targets_partition_the_flipped_images() -> None:
    split = smooth_split(count=20)
    index = torch.arange(len(split))
    for size in (2, 4, 16):
        flipped = ImitationTargets(split, [size]).lookup(index, size).flip(2).numpy()
        images = split.__getitems__(list(range(len(split)))).images.flip(3)
        fresh = MedianCut()(images, size).indices.numpy()
        for mine, theirs in zip(flipped, fresh, strict=True):
            np.testing.assert_array_equal(as_partition(mine), as_partition(theirs))


def test_a_second_construction_computes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    split = smooth_split()
    first = ImitationTargets(split, [2, 4])
    monkeypatch.setattr(module, "_compute", lambda *arguments: pytest.fail("computed again"))
    second = ImitationTargets(split, [4])
    index = torch.arange(len(split))
    assert torch.equal(first.lookup(index, 4), second.lookup(index, 4))


def test_other_images_or_another_order_have_targets_of_their_own() -> None:
    split = smooth_split()
    ImitationTargets(split, [3])
    turned = split.take([5, 4, 3, 2, 1, 0])
    expected = ImitationTargets(split, [3]).lookup(torch.arange(6), 3).flip(0)
    assert torch.equal(ImitationTargets(turned, [3]).lookup(torch.arange(6), 3), expected)
    other = smooth_split(seed=1)
    assert not torch.equal(
        ImitationTargets(other, [3]).lookup(torch.arange(6), 3),
        ImitationTargets(split, [3]).lookup(torch.arange(6), 3),
    )


def test_an_interrupted_computation_leaves_nothing_half_done(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = smooth_split()
    monkeypatch.setattr(module, "_CHUNK_PIXELS", 9 * 12 * 2)
    real = MedianCut.__call__
    calls = iter(range(100))

    def interrupted(self: Quantizer, *arguments: object, **options: object) -> object:
        if next(calls) == 3:
            raise KeyboardInterrupt
        return real(self, *arguments, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(MedianCut, "__call__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ImitationTargets(split, [2, 4])
    assert not [path for path in cache.rglob("*") if path.is_file()]
    pixels = torch.from_numpy(split.pixels(slice(None)))
    expected = MedianCut()(pixels, 4, channels_last=True).indices
    assert torch.equal(ImitationTargets(split, [2, 4]).lookup(torch.arange(6), 4), expected)


def test_any_registered_quantizer_can_be_imitated(monkeypatch: pytest.MonkeyPatch) -> None:
    class Halves(Quantizer):
        def quantize_pixels(self, pixels: np.ndarray, num_colors: int) -> tuple[np.ndarray, np.ndarray]:
            indices = np.zeros(pixels.shape[:2], dtype=np.uint8)
            indices[:, pixels.shape[1] // 2 :] = 1
            return indices, np.array([[0, 0, 0], [9, 9, 9]], dtype=np.uint8)

    monkeypatch.setitem(QUANTIZERS, "halves", Halves)
    found = ImitationTargets(smooth_split(), [2], quantizer="halves").lookup(torch.tensor([1]), 2)
    assert found.sum() == 9 * 6


@pytest.mark.parametrize("name", ["wu", "variance-cut", "k-means", "stochastic", "median-cut"])
def test_a_change_of_any_module_of_the_quantizers_gives_new_targets(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = set()
    for text in ("RANGE = 1", "RANGE = 2"):
        folder = tmp_path / text[-1]
        folder.mkdir()
        (folder / "boxes.py").write_text(text)
        monkeypatch.setattr(module, "_QUANTIZERS", folder)
        found.add(module.method_version(QUANTIZERS[name]))
    assert len(found) == 2


def test_mistakes_are_named() -> None:
    split = smooth_split()
    with pytest.raises(UsageError, match=r"choose one of .*median-cut"):
        ImitationTargets(split, [2], quantizer="nearest")
    with pytest.raises(UsageError, match="1 to 256"):
        ImitationTargets(split, [300])
    with pytest.raises(UsageError, match="at least one"):
        ImitationTargets(split, [])
    with pytest.raises(UsageError, match="only of 2"):
        ImitationTargets(split, [2]).lookup(torch.tensor([0]), 4)


def odd_pixels(height: int = 16, width: int = 12) -> torch.Tensor:
    """Smooth images; also one with one colour, with few colours, with a constant channel, and noise."""
    pixels = torch.from_numpy(smooth_split(count=6, height=height, width=width).pixels(slice(0, 6)).copy())
    pixels[1] = 77
    pixels[2] = pixels[2] // 64 * 64
    pixels[3, ..., 1] = 9
    pixels[4] = torch.randint(
        256, pixels[4].shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    return pixels


@pytest.mark.parametrize(
    ("size", "height", "width"),
    [(1, 16, 12), (2, 16, 12), (7, 16, 12), (32, 16, 12), (90, 16, 12), (7, 1, 1), (7, 1, 37)],
)
@pytest.mark.parametrize(
    ("method", "on_device"), [("wu", wu_index_maps), ("median-cut", median_cut_index_maps)]
)
def test_the_maps_made_on_the_device_are_those_of_the_quantizer(
    method: str, on_device: Callable[[torch.Tensor, int], torch.Tensor], size: int, height: int, width: int
) -> None:
    pixels = odd_pixels(height, width)
    found = on_device(pixels.permute(0, 3, 1, 2), size)
    assert found.dtype == torch.uint8
    assert int(found.max()) < size
    expected = QUANTIZERS[method]()(pixels, size, channels_last=True).indices.numpy()
    for ours, theirs in zip(found.numpy(), expected):
        assert np.array_equal(as_partition(ours), as_partition(theirs))


@pytest.mark.parametrize("size", [4, 32])
def test_natural_images_have_the_maps_of_median_cut_in_every_pixel(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their boxes often have equal numbers of pixels, so that the order of Pillow's heap decides."""
    monkeypatch.setattr("colorcnn.quantizers.batched._MOST", 1 << 12)  # in many pieces
    batch = PhotoDigits(train_size=24, validation_size=1, test_size=1).train
    pixels = torch.from_numpy(batch.pixels(slice(0, 24)).copy())
    found = median_cut_index_maps(pixels.permute(0, 3, 1, 2), size).numpy()
    expected = MedianCut()(pixels, size, channels_last=True).indices.numpy()
    for ours, theirs in zip(found, expected):
        assert np.array_equal(as_partition(ours), as_partition(theirs))


def test_large_images_are_left_to_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("colorcnn.quantizers.batched_median_cut.MOST_PIXELS", 100)
    pixels = odd_pixels()
    expected = MedianCut()(pixels, 5, channels_last=True).indices
    assert torch.equal(median_cut_index_maps(pixels.permute(0, 3, 1, 2), 5), expected)


@pytest.mark.parametrize("method", ["median-cut", "wu"])
def test_computed_targets_are_the_cached_ones(method: str) -> None:
    split, device = smooth_split(), torch.device("cpu")
    index = torch.tensor([4, 0, 5])
    images = from_bytes(torch.from_numpy(split.pixels(index.numpy()))).permute(0, 3, 1, 2)
    cached = open_targets(split, [6], method, device)
    computed = open_targets(split, [6], method, device, maps="computed")
    assert isinstance(computed, ComputedTargets)
    assert torch.equal(computed.of(images, index, 6), cached.of(images, index, 6))
    with pytest.raises(UsageError, match="quantizer"):
        ComputedTargets("nothing")
