"""Start palettes: what a classical quantizer gives, kept for every training image."""

import numpy as np
import torch

from colorcnn.data import ImageSplit, StartPalettes
from colorcnn.models import create_model
from colorcnn.paletted import from_bytes
from colorcnn.quantizers import QUANTIZERS


def split(levels=256):
    pixels = np.random.RandomState(0).randint(0, levels, (6, 9, 12, 3)).astype(np.uint8)
    return ImageSplit(pixels, np.arange(6) % 2)


def test_they_are_the_palettes_of_the_quantizer():
    images, index = split(), torch.tensor([4, 0, 4])
    palettes = StartPalettes(images, [2, 5], "wu", None)
    batch = images.__getitems__(index.tolist()).images
    for size in (2, 5):
        found = palettes.lookup(index, size)
        assert found.dtype == torch.uint8
        assert torch.equal(from_bytes(found), QUANTIZERS["wu"]()(batch, size).palette)
        model = create_model("palette-attention", backbone_kwargs={"width": 4, "depth": 1})
        assert torch.equal(found, model.start_palettes(batch, size))


def test_rows_that_no_pixel_uses_repeat_the_first():
    images = split(levels=2)  # at most 8 colours
    palettes = StartPalettes(images, [12], "wu").lookup(torch.arange(6), 12)
    assert torch.equal(palettes[:, 8:], palettes[:, :1].expand(6, 4, 3))
    assert all(len(rows.unique(dim=0)) <= 8 for rows in palettes)
