import numpy as np
import pytest
import torch

from colorcnn.alpha import quantize_visible
from colorcnn.methods import load_quantizer
from colorcnn.quantizers import QUANTIZERS

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (12, 10, 3), dtype=np.uint8)
VISIBLE = RANDOM.random((12, 10)) < 0.6
METHODS = [*sorted(QUANTIZERS), "median-cut+floyd-steinberg", "colorcnn-plus:toy-plus"]


@pytest.fixture(params=METHODS)
def quantizer(request, checkpoints):
    return load_quantizer(request.param)


def shown(paletted, visible):
    return paletted.render(torch.uint8)[0].permute(1, 2, 0).numpy()[visible]


def test_a_picture_that_can_all_be_seen_is_quantized_as_ever(quantizer):
    plain = quantizer(torch.from_numpy(PIXELS)[None], 4, channels_last=True)
    result = quantize_visible(quantizer, PIXELS, np.ones_like(VISIBLE), 4)
    assert torch.equal(result.indices, plain.indices)
    assert torch.equal(result.palette, plain.palette)


def test_hidden_pixels_do_not_vote(quantizer):
    other = np.where(VISIBLE[..., None], PIXELS, RANDOM.integers(0, 256, PIXELS.shape, dtype=np.uint8))
    one = quantize_visible(quantizer, PIXELS, VISIBLE, 4)
    two = quantize_visible(quantizer, other, VISIBLE, 4)
    np.testing.assert_array_equal(shown(one, VISIBLE), shown(two, VISIBLE))
    assert len(one.compact(transparent=~VISIBLE)[1]) <= 4


def test_a_single_visible_pixel_keeps_its_colour(quantizer):
    alone = np.zeros_like(VISIBLE)
    alone[3, 4] = True
    picture = np.full_like(PIXELS, 255)
    picture[3, 4] = (16, 128, 248)
    result = quantize_visible(quantizer, picture, alone, 8)
    assert np.abs(shown(result, alone).astype(int) - picture[3, 4]).max() <= 8  # octree's five bits


def test_nothing_visible_gives_no_colours(quantizer):
    result = quantize_visible(quantizer, PIXELS, np.zeros_like(VISIBLE), 4)
    assert result.indices.shape == (1, 12, 10)
    assert len(result.compact(transparent=np.ones_like(VISIBLE))[1]) == 0


def test_classical_methods_see_only_the_visible_pixels():
    strip = load_quantizer("median-cut")(torch.from_numpy(PIXELS[VISIBLE][None, None]), 6, channels_last=True)
    result = quantize_visible(load_quantizer("median-cut"), PIXELS, VISIBLE, 6)
    np.testing.assert_array_equal(
        shown(result, VISIBLE), shown(strip, np.ones((1, VISIBLE.sum()), dtype=bool))
    )


def test_a_learned_palette_is_the_mean_of_the_visible_pixels(checkpoints):
    result = quantize_visible(load_quantizer("colorcnn-plus:toy-plus"), PIXELS, VISIBLE, 4)
    indices = result.indices[0].numpy()
    for color in np.unique(indices[VISIBLE]):
        mean = PIXELS[VISIBLE & (indices == color)].mean(axis=0) / 255
        np.testing.assert_allclose(result.palette[0, color].numpy(), mean, atol=1e-6)


def test_dithering_keeps_the_palette_of_the_visible_pixels():
    plain = quantize_visible(load_quantizer("median-cut"), PIXELS, VISIBLE, 6)
    dithered = quantize_visible(load_quantizer("median-cut+floyd-steinberg"), PIXELS, VISIBLE, 6)
    rows = {tuple(row) for row in plain.compact(transparent=~VISIBLE)[1]}
    assert {tuple(row) for row in dithered.compact(transparent=~VISIBLE)[1]} <= rows
