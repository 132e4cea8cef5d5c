"""Promises of the project's own methods beyond the contract: exact numbers, spaces, kept colours."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from colorcnn.errors import UsageError
from colorcnn.quantizers import QUANTIZERS
from colorcnn.quantizers.designed import Designed
from colorcnn.quantizers.k_means import QUALITIES, KMeans
from colorcnn.quantizers.seeding import INITS
from colorcnn.quantizers.spaces import SPACES, enter, leave

OWN = sorted(name for name, method in QUANTIZERS.items() if issubclass(method, Designed))


@pytest.fixture(scope="module")
def photo():
    """(48, 64, 3) uint8 with smooth shades, an edge and some noise."""
    y, x = np.mgrid[0:48, 0:64]
    picture = np.stack([3 * x + y, 5 * y, 255 - 2 * x - 2 * y], axis=2) + np.where(x < 30, 40, 0)[..., None]
    noise = np.random.default_rng(0).normal(0, 6, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def colors_of(pixels):
    return np.unique(pixels.reshape(-1, 3), axis=0)


def mse(quantizer, pixels, colors):
    indices, palette = quantizer.quantize_pixels(pixels, colors)
    return float(((palette[indices].astype(float) - pixels) ** 2).mean())


@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from([(1, 1), (1, 40), (33, 1), (9, 7), (16, 16), (24, 31)]),
    levels=st.sampled_from([1, 2, 3, 7, 256]),
    step=st.sampled_from([1, 36]),
    num_colors=st.one_of(st.integers(1, 256), st.sampled_from([1, 2, 255, 256])),
)
@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize("space", ["srgb", "oklab"])
@pytest.mark.parametrize("method", OWN)
def test_exactly_as_many_colours_as_the_image_allows(method, space, seed, shape, levels, step, num_colors):
    random = np.random.default_rng(seed)
    pixels = (random.integers(0, levels, (*shape, 3)) * (step if levels < 8 else 1)).astype(np.uint8)
    indices, palette = QUANTIZERS[method](space=space).quantize_pixels(pixels, num_colors)
    there = colors_of(pixels)
    assert len(palette) == len(colors_of(palette)) == min(num_colors, len(there))
    assert len(np.unique(indices)) == len(palette)
    if len(there) <= num_colors:
        np.testing.assert_array_equal(palette[indices], pixels)


@pytest.mark.parametrize("method", OWN)
def test_every_pixel_gets_its_nearest_colour(method, photo):
    indices, palette = QUANTIZERS[method]().quantize_pixels(photo, 13)
    squares = ((photo[..., None, :].astype(int) - palette.astype(int)) ** 2).sum(axis=3)
    np.testing.assert_array_equal(
        np.take_along_axis(squares, indices[..., None].astype(int), 2)[..., 0], squares.min(2)
    )


@pytest.mark.parametrize("space", sorted(SPACES))
def test_spaces_have_a_way_back(space):
    colors = np.random.default_rng(0).integers(0, 256, (500, 3), dtype=np.uint8)
    colors[:2] = [[0, 0, 0], [255, 255, 255]]
    np.testing.assert_array_equal(leave(enter(colors.T, space), space), colors)


def test_spaces_have_their_published_values():
    red = np.array([[255.0], [0], [0]])
    np.testing.assert_allclose(enter(red, "cielab")[:, 0], [53.24, 80.09, 67.20], atol=0.02)
    np.testing.assert_allclose(enter(red, "oklab")[:, 0] / 255, [0.62796, 0.22486, 0.12585], atol=1e-4)
    assert enter(np.full((3, 1), 188.0), "linear")[0, 0] == pytest.approx(255 * 0.5029, abs=0.1)
    assert np.abs(enter(np.full((3, 1), 99.0), "cielab")[1:]).max() < 0.01


@pytest.mark.parametrize("method", OWN)
@pytest.mark.parametrize("space", ["linear", "oklab", "cielab"])
def test_a_palette_designed_in_a_space_is_better_there(method, space, photo):
    def error(quantizer):
        indices, palette = quantizer.quantize_pixels(photo, 6)
        away = enter(palette[indices].reshape(-1, 3).T, space) - enter(photo.reshape(-1, 3).T, space)
        return float((away**2).mean())

    bound = 1.0 if method == "k-means" else 1.1  # one cut at a time need not be better in the end
    assert error(QUANTIZERS[method](space=space)) < bound * error(QUANTIZERS[method]())


@pytest.mark.parametrize("method", OWN)
def test_kept_colours_are_in_the_palette_where_a_pixel_is_near(method, photo):
    kept = [(0, 0, 0), (255, 255, 255), (12, 200, 77)]
    photo = photo.copy()
    photo[0, :3] = kept
    _, palette = QUANTIZERS[method](keep=kept).quantize_pixels(photo, 8)
    assert set(kept) <= {tuple(row) for row in palette.tolist()}
    assert len(palette) == 8
    _, palette = QUANTIZERS[method](keep=kept).quantize_pixels(photo, 3)
    assert {tuple(row) for row in palette.tolist()} == set(kept)
    with pytest.raises(UsageError, match="3 colours to keep, but only 2 are allowed"):
        QUANTIZERS[method](keep=kept).quantize_pixels(photo, 2)


def test_better_qualities_are_better(photo):
    errors = [mse(KMeans(quality=quality), photo, 24) for quality in ("fast", "default", "best")]
    assert errors[1] < errors[0]
    assert errors[2] < 1.01 * errors[1]  # several optima are about as good
    assert errors[2] < mse(QUANTIZERS["wu"](), photo, 24) * 0.95


@pytest.mark.parametrize("init", sorted(INITS))
@pytest.mark.parametrize("refine", ["both", "lloyd", "macqueen"])
def test_every_beginning_and_refinement_comes_near_the_best(init, refine, photo):
    best = mse(KMeans(quality="best"), photo, 8)
    assert mse(KMeans(init=init, refine=refine, quality="best"), photo, 8) < 1.25 * best


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quality": "superb"}, "Unknown quality 'superb': choose one of best, default, fast"),
        ({"init": "magic"}, "Unknown beginning of k-means 'magic'"),
        ({"refine": "no"}, "Unknown refinement 'no'"),
        ({"space": "hsv"}, "Unknown colour space 'hsv': choose one of cielab, linear, oklab, srgb"),
        ({"keep": [(0, 0, 256)]}, "outside 0..255"),
    ],
)
def test_what_k_means_cannot_mean_is_refused(options, message):
    with pytest.raises(UsageError, match=message):
        KMeans(**options)


def test_another_seed_may_give_another_palette_and_the_same_one_never(photo):
    images = torch.from_numpy(photo)[None]
    results = [KMeans(seed=seed, init="random")(images, 30, channels_last=True).palette for seed in (1, 1, 2)]
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_qualities_are_named():
    assert set(QUALITIES) == {"fast", "default", "best"}


@pytest.mark.parametrize("kept", [[(0, 0)], [(1, 2, 3), (4, 5)], [None], [(0, 0, 256)]])
def test_colors_to_keep_that_are_no_colors_are_refused(kept):
    with pytest.raises(UsageError, match="give a name such as red, #rrggbb, three bytes"):
        QUANTIZERS["k-means"](keep=kept)
    with pytest.raises(UsageError, match="'reed' is not a colour"):
        QUANTIZERS["k-means"](keep=["reed"])
