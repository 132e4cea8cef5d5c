from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from colorcnn.data import Augment
from colorcnn.data.augment import (
    crop_padding,
    random_crop,
    random_erasing,
    random_flip,
    random_resized_crop,
    random_rotation,
)
from colorcnn.errors import UsageError
from colorcnn.recognition import IGNORED

AUGMENTATIONS: dict[str, Callable[..., Tensor]] = {
    "flip": lambda images, generator: random_flip(images, generator=generator)[0],
    "crop": lambda images, generator: random_crop(images, 2, (0.1, 0.2, 0.3), generator),
    "rotation": lambda images, generator: random_rotation(images, 15.0, (0.1, 0.2, 0.3), generator),
    "erasing": lambda images, generator: random_erasing(images, 1.0, (0.1, 0.5), 0.4, generator=generator),
    "resized crop": lambda images, generator: random_resized_crop(images, (0.1, 0.5), generator=generator),
    "all": lambda images, generator: Augment(True, 2, 15.0, 0.5, 0.4)(images, generator),
}
each = pytest.mark.parametrize("augment", AUGMENTATIONS.values(), ids=AUGMENTATIONS.keys())


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(count: int = 4, height: int = 7, width: int = 10, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(count, 3, height, width, generator=seeded(9), dtype=dtype)


@pytest.mark.parametrize(("side", "padding"), [(32, 4), (64, 8), (96, 12), (112, 14), (224, 28)])
def test_the_papers_crop_padding_is_one_eighth_of_the_side(side: int, padding: int) -> None:
    assert crop_padding("eighth", side, side) == padding
    assert crop_padding(3, side, side) == 3


def test_a_resized_crop_of_the_whole_image_changes_nothing() -> None:
    images = batch(2, 8, 8)
    whole = random_resized_crop(images, (1.0, 1.0), (1.0, 1.0))
    torch.testing.assert_close(whole, images)


def test_a_resized_crop_enlarges_a_part_of_the_image() -> None:
    """A ramp from 0 to 1 keeps its direction and loses range: the part is inside the image."""
    ramp = torch.linspace(0, 1, 32).expand(8, 3, 32, 32)
    cut = random_resized_crop(ramp, (0.25, 0.25), (1.0, 1.0), seeded())
    steps = cut[..., 2:-2].diff(dim=-1)
    torch.testing.assert_close(steps, torch.full_like(steps, 0.5 / 31))
    assert len({tuple(image.flatten().tolist()) for image in cut}) == 8


@each
def test_gradients_are_right(augment: Callable[..., Tensor]) -> None:
    images = batch(2, 5, 6, torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda values: augment(values, seeded()), images)


@each
def test_the_generator_alone_decides(augment: Callable[..., Tensor]) -> None:
    images = batch()
    first = augment(images, seeded(1))
    torch.rand(5)
    assert torch.equal(first, augment(images, seeded(1)))
    assert any(not torch.equal(first, augment(images, seeded(seed))) for seed in range(2, 6))


@each
def test_images_of_a_batch_are_treated_differently(augment: Callable[..., Tensor]) -> None:
    images = batch(1).expand(16, -1, -1, -1)
    results = augment(images, seeded())
    assert len({tuple(result.flatten().tolist()) for result in results}) > 1


@each
@settings(max_examples=20, deadline=None)
@given(height=st.integers(1, 17), width=st.integers(1, 17), count=st.integers(1, 3))
def test_any_shape_keeps_its_shape_and_range(
    augment: Callable[..., Tensor], height: int, width: int, count: int
) -> None:
    result = augment(batch(count, height, width), seeded())
    assert result.shape == (count, 3, height, width)
    assert result.min() >= -1e-6
    assert result.max() <= 1 + 1e-6


def test_nothing_happens_at_zero() -> None:
    images = batch()
    assert torch.equal(random_flip(images, p=0.0)[0], images)
    assert torch.equal(random_crop(images, 0), images)
    assert torch.equal(random_rotation(images, 0.0), images)
    assert torch.equal(random_erasing(images, 0.0), images)
    assert torch.equal(Augment().train()(images), images)


def test_augmentation_sleeps_in_eval_mode() -> None:
    images = batch()
    augment = Augment(flip=True, crop=4, rotation=15, erasing=1.0)
    assert torch.equal(augment.eval()(images), images)
    assert not torch.equal(augment.train()(images, seeded()), images)


def test_targets_flip_with_their_images() -> None:
    targets = torch.arange(8 * 3 * 5, dtype=torch.uint8).view(8, 3, 5)
    images = targets[:, None].expand(-1, 3, -1, -1).float()
    flipped, maps = random_flip(images, targets, generator=seeded())
    assert torch.equal(flipped[:, 0].to(torch.uint8), maps)
    mirrored = [torch.equal(new, old.flip(-1)) for new, old in zip(maps, targets, strict=True)]
    kept = [torch.equal(new, old) for new, old in zip(maps, targets, strict=True)]
    assert any(mirrored)
    assert any(kept)
    assert all(one != other for one, other in zip(mirrored, kept, strict=True))


def test_a_crop_is_a_shift_with_the_fill_around() -> None:
    images = batch(32, 6, 6)
    fill = torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)
    padded = fill.expand(3, 10, 10).repeat(32, 1, 1, 1)
    padded[:, :, 2:8, 2:8] = images
    results = random_crop(images, 2, (0.1, 0.2, 0.3), seeded())
    seen = set()
    for big, result in zip(padded, results, strict=True):
        shifts = [
            (y, x) for y in range(5) for x in range(5) if torch.equal(big[:, y : y + 6, x : x + 6], result)
        ]
        assert len(shifts) == 1
        seen.update(shifts)
    assert len(seen) > 12


def largest(shape: tuple[int, ...], **options: object) -> Tensor:
    """In place of torch.rand: always draws the largest angle."""
    return torch.ones(shape, dtype=torch.float64)


def test_a_quarter_turn_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    images = batch(3, 7, 7, torch.float64)
    monkeypatch.setattr(torch, "rand", largest)
    turned = random_rotation(images, 90.0)
    torch.testing.assert_close(turned, images.rot90(1, (2, 3)))


def test_a_rotation_keeps_angles_in_a_wide_image(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.zeros(1, 3, 21, 41, dtype=torch.float64)
    images[:, :, 10, 12:29] = 1  # a line of 17 pixels through the centre
    monkeypatch.setattr(torch, "rand", largest)
    turned = random_rotation(images, 90.0)
    assert turned[0, 0, 2:19, 20].sum() == pytest.approx(17)
    assert turned.sum() == pytest.approx(images.sum().item())


def test_erasing_covers_one_rectangle_of_the_right_size() -> None:
    images = batch(64, 20, 30) + 1
    erased = random_erasing(images, 1.0, (0.1, 0.3), (0.1, 0.2, 0.3), generator=seeded())
    hidden = (erased != images).all(dim=1)
    for mask, image in zip(hidden, erased, strict=True):
        rows, columns = mask.any(1), mask.any(0)
        assert torch.equal(mask, rows[:, None] & columns[None])
        assert 0.07 <= mask.float().mean() <= 0.36
        assert torch.allclose(image[:, mask].mean(1), torch.tensor([0.1, 0.2, 0.3]))
    half = random_erasing(images, 0.5, generator=seeded())
    share = (half != images).flatten(1).any(1).float().mean()
    assert 0.3 < share < 0.7


@pytest.mark.parametrize(
    "options",
    [
        *({"crop": value} for value in (-1, "four", 1.5)),
        {"rotation": -5.0},
        {"erasing": 1.5},
        {"resized_crop": 2.0},
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(options))} is .*: choose a"):
        Augment(**options)  # type: ignore[arg-type]


def test_a_mistyped_option_is_told_with_those_there_are() -> None:
    with pytest.raises(
        UsageError,
        match=r"'flips' .did you mean flip..: choose one of crop, erasing, flip, resized_crop, rotation",
    ):
        Augment(flips=True)


def test_masks_are_moved_with_their_images() -> None:
    masks = torch.randint(0, 3, (6, 8, 8), generator=seeded(3)).to(torch.uint8)
    images = masks[:, None].expand(-1, 3, -1, -1).float()
    labels, moved = Augment(flip=True, crop=2, fill=IGNORED).alike(masks, images)
    assert torch.equal(moved, labels[:, None].expand(-1, 3, -1, -1).float())
    assert not torch.equal(labels, masks)
    assert (labels == IGNORED).any()
    with pytest.raises(UsageError, match="rotation does not support masks"):
        Augment(rotation=5.0).alike(masks, images)
    kept, still = Augment(rotation=5.0).eval().alike(masks, images)
    assert kept is masks
    assert still is images


def test_batches_are_augmented_alike() -> None:
    images = batch(6)
    labels = torch.arange(6)
    kept, one, other = Augment(True, 2, 15.0, 0.5).alike(labels, images, images)
    assert kept is labels
    assert torch.equal(one, other)
