from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from colorcnn.evaluation.rate import index_depth, packed_bits, rates, truecolor_png_bits
from colorcnn.paletted import Paletted


@pytest.mark.parametrize(
    ("colors", "depth"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 4), (16, 4), (17, 8), (256, 8)]
)
def test_index_depth_is_that_of_png(colors, depth):
    assert index_depth(colors) == depth


def test_packed_rows_fill_whole_bytes():
    assert packed_bits(4, 8, 2) == 4 * 8
    assert packed_bits(4, 9, 2) == 4 * 16
    assert packed_bits(2, 3, 4) == 2 * 8
    assert packed_bits(2, 3, 17) == 2 * 24


def test_rates_by_hand():
    indices = torch.zeros(2, 4, 10, dtype=torch.uint8)
    indices[1, 0, :4] = torch.arange(4, dtype=torch.uint8)
    palette = torch.zeros(2, 8, 3)
    palette[:, :4] = torch.tensor([[0.0] * 3, [0.25] * 3, [0.5] * 3, [0.5] * 3])  # two rows are equal
    first, second = rates(Paletted(indices, palette))
    assert (first.packed, first.palette, first.pixels) == (4 * 16, 24, 40)
    assert (second.packed, second.palette, second.pixels) == (4 * 24, 3 * 24, 40)


def test_png_bits_are_those_of_the_indexed_file():
    generator = torch.Generator().manual_seed(0)
    indices = torch.randint(0, 4, (5, 9, 7), generator=generator)
    paletted = Paletted(indices, torch.rand(5, 4, 3, generator=generator))
    for image, rate in enumerate(rates(paletted)):
        content = paletted.png(image)
        assert rate.png == 8 * len(content)
        assert Image.open(io.BytesIO(content)).mode == "P"


def test_full_colour_is_priced_as_a_truecolour_png():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    for bits in truecolor_png_bits(images):
        assert bits >= 8 * 8 * 24  # noise does not compress
    assert truecolor_png_bits(torch.zeros_like(images))[0] < 8 * 8 * 24
