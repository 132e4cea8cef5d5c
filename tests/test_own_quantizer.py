"""A quantizer outside of the package, named as module:Class."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image

import colorcnn
from colorcnn import trust
from colorcnn.cli import main
from colorcnn.dcq.settings import settings_of
from colorcnn.errors import UsageError
from colorcnn.explorer.explorer import Explorer
from colorcnn.explorer.opening import open_source
from colorcnn.explorer.protocol import QuantizedRequest
from colorcnn.methods import load_quantizer, needs_torch, parse_method

SOURCE = '''
import numpy as np
from colorcnn.quantizers import Quantizer
from colorcnn.quantizers.base import drop_unused

class Halves(Quantizer):
    """Dark and light pixels, or one colour."""

    def __init__(self, *, seed=0):
        self.seed = seed

    def quantize_pixels(self, pixels, num_colors):
        light = (pixels.mean(axis=2) > 127) & (num_colors > 1)
        palette = np.array([[0, 0, self.seed], [255, 255, 255]], dtype=np.uint8)
        return drop_unused(light.astype(np.uint8), palette)

class Unfinished(Quantizer):
    pass

def function(images, num_colors):
    return images
'''


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    """halves.py and photo.png in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "halves.py").write_text(SOURCE)
    (tmp_path / "broken.py").write_text("1 / 0")
    pixels = np.random.default_rng(0).integers(0, 256, (12, 15, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("photo.png")
    yield pixels
    for name in ("halves", "broken"):
        sys.modules.pop(name, None)


def test_the_command_uses_it(capsys):
    assert main(["quantize", "photo.png", "--colors", "4", "--method", "halves:Halves", "-o", "out.png"]) == 0
    with Image.open("out.png") as found:
        assert sorted(color for _, color in found.convert("RGB").getcolors()) == [(0, 0, 0), (255,) * 3]


def test_it_takes_a_dither_and_the_options_of_its_class(module):
    found = colorcnn.quantize(module, 2, method="halves:Halves+ordered", seed=9)
    assert int(found.render(torch.uint8).min(dim=2).values.min(dim=2).values[0, 2]) == 9
    with pytest.raises(UsageError, match="halves:Halves has no quality"):
        load_quantizer("halves:Halves", quality="best")


def test_it_is_a_classical_method_and_is_imported_when_it_is_used():
    parsed = parse_method("halves:Halves+ordered")
    assert (parsed.checkpoint, parsed.dither) == ("halves:Halves", "ordered")
    assert not needs_torch(parsed)
    assert "halves" not in sys.modules


def test_the_explorer_offers_it():
    explorer = Explorer(open_source(["photo.png"]), ["halves:Halves", "wu"])
    assert (explorer.state().methods[0].name, explorer.state().methods[0].learned) == ("halves:Halves", False)
    found = explorer.quantized(QuantizedRequest(picture="data-0", method="halves:Halves", colors=2))
    assert [swatch.color for swatch in found.palette] == ["#000000", "#ffffff"]


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("nowhere:Halves", "unknown-name"),
        ("halves:Nothing", "no-such-object"),
        ("halves:function", "not-a-quantizer"),
        ("halves:Unfinished", "not-a-quantizer"),
        ("halves:np", "not-a-quantizer"),
        ("broken:Halves", "module-failed"),
        ("halves.deeper:Halves", "module-failed"),
        ("halves:", "unknown-name"),
        ("median-cuts:Halves", "unknown-name"),
    ],
)
def test_a_wrong_one_is_named(method, code):
    with pytest.raises(UsageError) as raised:
        load_quantizer(method)
    assert raised.value.code == code
    assert method.partition(":")[0] in str(raised.value)


def test_a_configuration_needs_the_consent_of_the_command_line():
    with trust.limited(), pytest.raises(UsageError, match="halves"):
        load_quantizer("halves:Halves")
    assert "halves" not in sys.modules
    with trust.limited(["halves"]):
        assert load_quantizer("halves:Halves").seed == 0


def test_a_store_does_not_depend_on_it():
    with pytest.raises(UsageError, match="halves:Halves"):
        settings_of("pixels", {"method": "halves:Halves"})
