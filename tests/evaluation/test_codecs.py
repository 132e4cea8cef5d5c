from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from test_evaluate import Flat, batches, run

from colorcnn.cli import main
from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.evaluation import codecs
from colorcnn.evaluation.codecs import (
    CODECS,
    LOSSLESS,
    QUALITIES,
    Codec,
    check_available,
    find_codecs,
    libraries,
)
from colorcnn.evaluation.rate import truecolor_png_bits


def noise(side: int = 16) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, 3, side, side), dtype=torch.uint8, generator=generator)


def test_names_of_codecs():
    assert find_codecs("jpeg:30") == [Codec("jpeg", 30)]
    assert [str(codec) for codec in find_codecs("webp")] == [f"webp:{quality}" for quality in QUALITIES]
    assert find_codecs("png") == [Codec("png")]
    assert find_codecs("median-cut") == find_codecs("colorcnn-plus:jpeg") == []


@pytest.mark.parametrize(
    "method", ["jpeg:0", "jpeg:101", "webp:good", "jpeg:", "jpeg:-1", "jpeg:3.5", "png:9"]
)
def test_qualities_out_of_range_are_refused(method):
    with pytest.raises(UsageError, match=f"^{method}: "):
        find_codecs(method)


def test_png_is_lossless_and_costs_what_the_originals_cost():
    decoded, bits = Codec("png")(noise())
    assert torch.equal(decoded, noise())
    assert bits == truecolor_png_bits(noise())


@pytest.mark.parametrize("name", ["jpeg", "webp"])
def test_pixels_and_bits_are_those_of_the_file(name):
    images = noise()
    decoded, bits = Codec(name, 40)(images)
    for image in range(3):
        buffer = io.BytesIO()
        options = {"optimize": True} if name == "jpeg" else {"method": 6}
        pixels = images[image].permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(buffer, name.upper(), quality=40, **options)
        assert bits[image] == 8 * len(buffer.getvalue())  # the whole file: headers and tables, too
        assert (np.array(Image.open(buffer)) == decoded[image].permute(1, 2, 0).numpy()).all()


@pytest.fixture(params=CODECS)
def name(request):
    """Every codec that Pillow has here."""
    try:
        check_available(find_codecs(request.param))
    except ColorCNNError as missing:
        pytest.skip(str(missing))
    return request.param


class TestContract:
    """Every codec keeps it."""

    @pytest.mark.parametrize("size", [(1, 1), (3, 5), (33, 17)])
    def test_images_come_back_in_their_size_with_the_bits_of_each(self, name, size):
        images = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
        codec = find_codecs(name)[-1]
        decoded, bits = codec(images)
        assert (decoded.shape, decoded.dtype) == (images.shape, torch.uint8)
        assert len(bits) == 2
        assert all(count > 0 and count % 8 == 0 for count in bits)
        again = codec(images)
        assert torch.equal(again[0], decoded)
        assert again[1] == bits
        assert codec(images[1:])[1] == bits[1:], "the other images of a batch change nothing"

    def test_more_quality_costs_more_and_errs_less(self, name):
        images = torch.nn.functional.interpolate(noise(8).float(), scale_factor=4, mode="bilinear").byte()
        if name in LOSSLESS:
            assert torch.equal(Codec(name)(images)[0], images)
            return
        found = [Codec(name, quality)(images) for quality in (5, 30, 90)]
        costs = [sum(bits) for _, bits in found]
        errors = [(pixels.float() - images).abs().mean().item() for pixels, _ in found]
        assert costs == sorted(costs)
        assert errors == sorted(errors, reverse=True)
        assert errors[-1] < 8

    def test_a_record_names_the_library(self, name):
        (version,) = libraries(find_codecs(name)).values()
        assert version[0].isdigit()


def test_a_missing_codec_is_named_with_its_cure(monkeypatch):
    monkeypatch.setattr(
        codecs, "_FORMATS", {"new": codecs._Format("NEW", "libnew", "new", "pip install new")}
    )
    with pytest.raises(ColorCNNError, match=r"^The codec new is missing, .*: pip install new\.$") as raised:
        check_available([Codec("new", 30)])
    assert raised.value.code == "missing-codec"


def test_evaluate_refuses_a_missing_codec_in_a_sentence(monkeypatch, capsys):
    monkeypatch.setattr(codecs._Format, "is_available", lambda self: False)
    asked = ["photo-digits", "--classifier", "resnet9-cifar10", "--methods", "avif"]
    assert main(["evaluate", *asked]) == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith("colorcnn: error: The codec avif is missing")
    assert error.count("\n") == 0


def test_the_evaluator_judges_decoded_images():
    result = run({"flat": Flat()}, codecs={"png": Codec("png"), "jpeg:90": Codec("jpeg", 90)})
    png, jpeg = result.codecs["png"], result.codecs["jpeg:90"]
    assert png.correct.tolist() == result.original.correct.tolist()
    assert png.file_bpp == result.original.png_bpp
    assert (png.png_bpp, png.lossless, png.psnr) == (None, 5, 100)
    assert jpeg.accuracy == 4 / 5
    assert jpeg.colors == (1, 1, 1)  # a flat image stays flat
    content = result.to_json()["codecs"]["jpeg:90"]
    assert content["file_bpp"] == jpeg.file_bpp > 0
    assert "file_bpp" not in result.to_json()["original"]


def test_codecs_can_stand_alone():
    result = run({}, codecs={"png": Codec("png")})
    assert result.to_json()["methods"] == {}


def test_a_codec_that_breaks_its_contract_is_named():
    def cropping(images):
        return images[:, :, 1:], [8] * len(images)

    with pytest.raises(ColorCNNError, match=r"mine returned .* this is a bug of the codec"):
        run({}, batches(), codecs={"mine": cropping})
