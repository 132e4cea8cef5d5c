"""Dithering: error diffusion and ordered patterns against plain Python, and what they do to pictures."""

import numpy as np
import pytest
import torch

from colorcnn.errors import UsageError
from colorcnn.methods import load_quantizer
from colorcnn.quantizers import DITHERS, Dithered, dither
from colorcnn.quantizers.diffusion import void_and_cluster
from colorcnn.quantizers.spaces import SPACES, enter

RANDOM = np.random.default_rng(0)
PALETTE = RANDOM.integers(0, 256, (7, 3), dtype=np.uint8)


def ramp(height=64, width=256):
    return np.broadcast_to(
        np.linspace(0, 255, width).astype(np.uint8)[None, :, None], (height, width, 3)
    ).copy()


def diffused(pixels, palette, serpentine):
    """Floyd and Steinberg's method, a pixel at a time."""
    work = np.pad(pixels.astype(float), ((0, 1), (1, 1), (0, 0)))
    height, width = pixels.shape[:2]
    indices = np.empty((height, width), int)
    for y in range(height):
        step = -1 if serpentine and y % 2 else 1
        for x in range(width)[::step]:
            value = np.clip(work[y, x + 1], 0, 255)
            indices[y, x] = ((palette - value) ** 2).sum(axis=1).argmin()
            error = value - palette[indices[y, x]]
            for down, right, share in ((0, 1, 7), (1, -1, 3), (1, 0, 5), (1, 1, 1)):
                work[y + down, x + 1 + step * right] += error * share / 16
    return indices


@pytest.mark.parametrize("serpentine", [False, True])
def test_error_diffusion_is_floyd_and_steinbergs(serpentine, monkeypatch):
    pixels = RANDOM.integers(0, 256, (21, 17, 3), dtype=np.uint8)
    expected = diffused(pixels, PALETTE.astype(float), serpentine)
    whole = dither.floyd_steinberg(pixels, PALETTE, serpentine=serpentine)
    assert np.mean(whole != expected) < 0.01  # where two colours are equally near, rounding decides
    monkeypatch.setattr(dither, "_STRIP", 17 * 4)
    np.testing.assert_array_equal(dither.floyd_steinberg(pixels, PALETTE, serpentine=serpentine), whole)


def test_the_plan_of_a_colour_has_its_mean():
    pixels = RANDOM.integers(60, 196, (16, 16, 3), dtype=np.uint8)
    corners = np.array(np.meshgrid([0, 255], [0, 255], [0, 255])).reshape(3, -1).T.astype(np.uint8)
    for color in pixels[0]:
        flat = np.broadcast_to(color, (8, 8, 3)).copy()
        mean = corners[dither.ordered(flat, corners)].reshape(-1, 3).mean(axis=0)
        assert np.abs(mean - color).max() <= 255 / dither.LEVELS + 1


@pytest.mark.parametrize("name", ["ordered", "blue-noise"])
def test_ordered_dithering_looks_at_no_neighbour(name, monkeypatch):
    pixels = RANDOM.integers(0, 256, (70, 66, 3), dtype=np.uint8)
    whole = DITHERS[name](pixels, PALETTE)
    changed = pixels.copy()
    changed[30:, 30:] = 0
    np.testing.assert_array_equal(DITHERS[name](changed, PALETTE)[:30], whole[:30])
    monkeypatch.setattr(dither, "_STRIP", 66 * 4)
    np.testing.assert_array_equal(DITHERS[name](pixels, PALETTE), whole)


@pytest.mark.parametrize("space", sorted(SPACES))
@pytest.mark.parametrize("name", sorted(DITHERS))
def test_the_mean_of_the_space_is_kept(name, space):
    flat = np.full((64, 64, 3), 128, np.uint8)
    shades = np.array([[0, 0, 0], [255, 255, 255]], np.uint8)
    shown = shades[DITHERS[name](flat, shades, space=space)]
    wanted = enter(np.full((3, 1), 128), space)[0, 0]
    assert enter(shown.reshape(-1, 3).T, space)[0].mean() == pytest.approx(
        wanted, abs=float(enter(shades.T, space)[0, 1]) / 20
    )


@pytest.mark.parametrize("name", sorted(DITHERS))
def test_a_picture_in_the_colours_of_the_palette_stays_as_it_is(name):
    pixels = PALETTE[RANDOM.integers(0, 7, (20, 30))]
    np.testing.assert_array_equal(PALETTE[DITHERS[name](pixels, PALETTE)], pixels)


def test_blue_noise_has_little_energy_at_low_frequencies():
    ranks = void_and_cluster(32, 0)
    assert sorted(ranks.ravel().tolist()) == list(range(32 * 32))
    power = np.abs(np.fft.fft2(ranks < 32 * 32 // 4)) ** 2
    frequencies = np.hypot(*np.meshgrid(*2 * [np.fft.fftfreq(32)]))
    low, high = (power[(frequencies > a) & (frequencies < b)].mean() for a, b in ((0, 0.15), (0.25, 0.5)))
    assert low < 0.1 * high


def test_the_space_of_the_quantizer_is_taken_over():
    assert Dithered(load_quantizer("median-cut")).space == "srgb"
    quantizer = load_quantizer("wu")
    quantizer.space = "oklab"
    assert Dithered(quantizer).space == "oklab"
    images = torch.from_numpy(ramp())[None]
    one, other = (Dithered(quantizer, space=space)(images, 3, channels_last=True) for space in (None, "srgb"))
    assert not torch.equal(one.indices, other.indices)


def test_serpentine_is_for_error_diffusion_alone():
    with pytest.raises(UsageError, match="ordered does not support serpentine"):
        Dithered(load_quantizer("wu"), "ordered", serpentine=True)
    Dithered(load_quantizer("wu"), serpentine=True)
