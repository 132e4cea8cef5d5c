from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from test_evaluate import Flat, batches, run

from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.evaluation.codecs import QUALITIES, Codec, find_codecs
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
    assert decoded.shape == images.shape
    assert decoded.dtype == torch.uint8
    for image in range(3):
        buffer = io.BytesIO()
        options = {"optimize": True} if name == "jpeg" else {"method": 6}
        pixels = images[image].permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(buffer, name.upper(), quality=40, **options)
        assert bits[image] == 8 * len(buffer.getvalue())  # the whole file: headers and tables, too
        assert (np.array(Image.open(buffer)) == decoded[image].permute(1, 2, 0).numpy()).all()


@pytest.mark.parametrize("name", ["jpeg", "webp"])
def test_more_quality_costs_more_and_errs_less(name):
    images = torch.nn.functional.interpolate(noise(8).float(), scale_factor=4, mode="bilinear").byte()
    found = [Codec(name, quality)(images) for quality in (5, 30, 90)]
    costs = [sum(bits) for _, bits in found]
    errors = [(pixels.float() - images).abs().mean().item() for pixels, _ in found]
    assert costs == sorted(costs)
    assert errors == sorted(errors, reverse=True)


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

    with pytest.raises(ColorCNNError, match=r"mine made .* its codec is at fault"):
        run({}, batches(), codecs={"mine": cropping})
