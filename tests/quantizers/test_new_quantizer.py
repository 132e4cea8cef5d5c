"""A new quantizer costs one file and one entry: everything else finds it there."""

import json

import numpy as np
import pytest
import test_contract as contract
import torch
from PIL import Image

import colorcnn
from colorcnn.cli import main
from colorcnn.quantizers import QUANTIZERS, Quantizer
from colorcnn.quantizers.base import drop_unused


class Posterize(Quantizer):
    """Cuts the greys into equal steps; each becomes the mean colour of its pixels."""

    def quantize_pixels(self, pixels, num_colors):
        grey = pixels.astype(int).sum(axis=2)
        indices = (grey * num_colors // 766).astype(np.uint8)
        palette = np.zeros((num_colors, 3), dtype=np.uint8)
        for color in np.unique(indices):
            palette[color] = np.floor(pixels[indices == color].mean(axis=0) + 0.5)
        return drop_unused(indices, palette)


@pytest.fixture(autouse=True)
def posterize(monkeypatch):
    monkeypatch.setitem(QUANTIZERS, "posterize", Posterize)


@pytest.fixture
def photo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (15, 20, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("photo.png")
    return pixels


@pytest.mark.parametrize(
    "law",
    [
        contract.test_any_picture_becomes_at_most_as_many_colours_as_asked,
        contract.test_the_file_holds_the_rendered_pixels,
        contract.test_layout_type_and_batching_change_nothing,
    ],
    ids=lambda law: law.__name__,
)
def test_the_contract_holds_for_it(law):
    law(method="posterize")


def test_python_finds_it(photo):
    result = colorcnn.quantize(photo, 3, method="posterize")
    assert 1 <= int(result.num_colors) <= 3
    dithered = colorcnn.quantize("photo.png", 3, method="posterize+floyd-steinberg")
    assert set(map(tuple, dithered.compact()[1])) <= set(map(tuple, result.compact()[1]))


def test_the_command_line_finds_it(photo, capsys):
    assert main(["quantize", "photo.png", "--colors", "3", "--method", "posterize", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["method"], report["colors"]) == ("posterize", 3)
    expected = colorcnn.quantize(photo, 3, "posterize").render(torch.uint8)[0].permute(1, 2, 0)
    np.testing.assert_array_equal(np.asarray(Image.open("photo-c3.png").convert("RGB")), expected)


def test_help_and_errors_name_it(capsys):
    main(["quantize", "--help"])
    assert "posterize" in capsys.readouterr().out
    assert main(["quantize", "a.png", "--colors", "3", "--method", "none"]) == 2
    assert "posterize" in capsys.readouterr().err
