"""The contract of every quantizer, stated once; whatever is registered in QUANTIZERS is held to it."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from colorcnn.errors import UsageError
from colorcnn.methods import load_quantizer
from colorcnn.paletted import from_bytes, to_bytes
from colorcnn.quantizers import DITHERS, QUANTIZERS, Dithered

METHODS = [*sorted(QUANTIZERS), *(f"median-cut+{dither}" for dither in sorted(DITHERS))]
SIZES = st.one_of(st.integers(1, 256), st.sampled_from([1, 2, 3, 16, 255, 256]))


@st.composite
def batches(draw, largest=12):
    """uint8 (B, 3, H, W): noise, few colours, or a single one; lines and points among the shapes."""
    shape = (draw(st.integers(1, 3)), 3, draw(st.integers(1, largest)), draw(st.integers(1, largest)))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.sampled_from([1, 2, 3, 256]))
    table = generator.integers(0, 256, levels, dtype=np.uint8)
    return torch.from_numpy(table[generator.integers(0, levels, shape)])


@pytest.fixture(params=METHODS)
def quantizer(request):
    return load_quantizer(request.param)


@pytest.fixture
def images():
    """Two pictures with gradients and detail, uint8 (2, 3, 24, 31)."""
    y, x = np.mgrid[0:24, 0:31]
    picture = np.stack([x * 8, y * 10, (x * y) % 256]).astype(np.uint8)
    return torch.from_numpy(np.stack([picture, picture[:, ::-1, ::-1]]))


def assert_same(one, other):
    assert torch.equal(one.indices, other.indices)
    assert torch.equal(one.palette, other.palette)


@given(images=batches(), num_colors=SIZES)
@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("method", METHODS)
def test_any_picture_becomes_at_most_as_many_colours_as_asked(method, images, num_colors):
    result = load_quantizer(method)(images, num_colors)
    batch, _, height, width = images.shape
    assert result.indices.shape == (batch, height, width)
    assert result.indices.dtype == torch.uint8
    assert result.palette.shape == (batch, num_colors, 3)
    assert result.palette.dtype == torch.float32
    assert int(result.indices.max()) < num_colors
    assert float(result.palette.min()) >= 0
    assert float(result.palette.max()) <= 1
    assert torch.all(result.palette[result.usage == 0] == 0)
    assert torch.all(result.num_colors <= num_colors)
    assert torch.all(result.num_colors >= 1)


@given(images=batches(), num_colors=SIZES)
@settings(max_examples=10, deadline=None)
@pytest.mark.parametrize("method", METHODS)
def test_the_file_holds_the_rendered_pixels(method, images, num_colors):
    result = load_quantizer(method)(images, num_colors)
    for picture, entry in zip(result.render(torch.uint8), result):
        decoded = Image.open(io.BytesIO(entry.png()))
        assert decoded.mode == "P"
        np.testing.assert_array_equal(np.asarray(decoded.convert("RGB")), picture.permute(1, 2, 0).numpy())


@given(images=batches(), num_colors=SIZES)
@settings(max_examples=10, deadline=None)
@pytest.mark.parametrize("method", METHODS)
def test_layout_type_and_batching_change_nothing(method, images, num_colors):
    quantizer = load_quantizer(method)
    result = quantizer(images, num_colors)
    assert_same(quantizer(images, num_colors), result)
    assert_same(quantizer(from_bytes(images), num_colors), result)
    last = images.permute(0, 2, 3, 1).contiguous()
    assert_same(quantizer(last, num_colors, channels_last=True), result)
    assert_same(quantizer(from_bytes(last), num_colors, channels_last=True), result)
    for image, entry in zip(images, result):
        assert_same(quantizer(image[None], num_colors), entry)


@pytest.mark.parametrize("num_colors", [1, 2, 7, 256])
def test_a_new_instance_of_the_same_seed_gives_the_same(quantizer, images, num_colors, request):
    method = request.node.callspec.params["quantizer"]
    assert_same(
        load_quantizer(method, seed=3)(images, num_colors), load_quantizer(method, seed=3)(images, num_colors)
    )


def test_its_images_are_left_as_they_were(quantizer, images):
    before = images.clone()
    quantizer(images, 4)
    assert torch.equal(images, before)


def test_several_sizes_at_once_are_the_same_as_one_by_one(quantizer, images):
    many = quantizer.quantize_many(images, [1, 5, 64])
    assert list(many) == [1, 5, 64]
    for size, result in many.items():
        assert_same(result, quantizer(images, size))


def test_more_colours_come_closer_to_the_picture(quantizer, images):
    errors = [
        float((quantizer(images, size).render() - from_bytes(images)).square().mean())
        for size in (1, 4, 32, 256)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0] / 10


def test_one_plain_colour_comes_back(quantizer):
    images = torch.full((1, 3, 5, 4), 255, dtype=torch.uint8)
    result = quantizer(images, 8)
    assert result.num_colors.tolist() == [1]
    # Octree keeps as few as five bits of a colour.
    assert int((result.render(torch.uint8).int() - 255).abs().max()) <= 8


@pytest.mark.parametrize("num_colors", [0, -1, 257, 2.5, "4", None])
def test_numbers_of_colours_out_of_range_are_refused(quantizer, images, num_colors):
    with pytest.raises(UsageError, match="whole number from 1 to 256"):
        quantizer(images, num_colors)


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(3, 4, 4),
        torch.zeros(1, 4, 4, 4),
        torch.zeros(1, 3, 0, 4),
        torch.zeros(1, 4, 4, 3),
        torch.zeros(1, 3, 4, 4, dtype=torch.int64),
    ],
    ids=["no batch", "four channels", "no pixels", "channels last unsaid", "integers"],
)
def test_what_is_no_batch_of_images_is_refused(quantizer, images):
    with pytest.raises(UsageError, match="images are"):
        quantizer(images, 4)


@given(images=batches(), num_colors=SIZES)
@settings(max_examples=10, deadline=None)
@pytest.mark.parametrize("dither", sorted(DITHERS))
@pytest.mark.parametrize("method", sorted(QUANTIZERS))
def test_dithering_keeps_the_palette(method, dither, images, num_colors):
    plain = load_quantizer(method)(images, num_colors)
    dithered = Dithered(load_quantizer(method), dither)(images, num_colors)
    for one, other in zip(plain, dithered):
        rows = {tuple(row) for row in one.compact()[1].tolist()}
        assert {tuple(row) for row in other.compact()[1].tolist()} <= rows


@pytest.mark.parametrize("dither", sorted(DITHERS))
def test_dithering_keeps_the_mean_of_a_gradient(dither):
    ramp = torch.linspace(0, 1, 64).expand(1, 3, 64, 64)
    result = Dithered(load_quantizer("median-cut"), dither)(ramp, 2).render()
    plain = load_quantizer("median-cut")(ramp, 2).render()
    blocks = torch.nn.functional.avg_pool2d
    assert (blocks(result, 8) - blocks(ramp, 8)).abs()[..., 2:-2].mean() < 0.6 * (
        blocks(plain, 8) - blocks(ramp, 8)
    ).abs()[..., 2:-2].mean()


def test_an_unknown_dither_is_refused():
    with pytest.raises(UsageError, match="Unknown dither 'fs'"):
        Dithered(load_quantizer("octree"), "fs")


def test_bytes_and_floats_are_inverse():
    values = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_bytes(from_bytes(values)), values)
