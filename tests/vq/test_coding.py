"""Indices to bytes and back, pictures to files and back, and the files that are refused."""

from pathlib import Path

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from colorcnn.errors import ColorCNNError
from colorcnn.paletted import from_bytes
from colorcnn.vq.bitstream import MAGIC, Header, pack, unpack
from colorcnn.vq.codebook import CodebookQuantizer
from colorcnn.vq.codec import compress_pixels, decompress_pixels
from colorcnn.vq.coder import range_decode, range_encode
from colorcnn.vq.compressor import ImageCompressor, VectorCompressor
from colorcnn.vq.sources import list_pictures, read_pixels

HEADER = Header("a-model", 0xDEADBEEF, 300, 7, -4, 130)


def toy(method="sphere", dimension=2, width=8):
    torch.manual_seed(0)
    options = {} if method.startswith("uq") else {"dimension": dimension, "size": 16}
    made = ImageCompressor(0.01, method, options, width=width)
    with torch.no_grad():  # untrained, all indices would be the same
        made.encoder[-1].weight.mul_(30)
        if isinstance(made.quantizer, CodebookQuantizer):
            made.quantizer.prior.logits.copy_(torch.randn_like(made.quantizer.prior.logits))
    return made.eval()


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_indices_come_back_bit_for_bit(data):
    groups, symbols, count = (data.draw(st.integers(low, high)) for low, high in ((1, 4), (1, 70), (0, 40)))
    torch.manual_seed(data.draw(st.integers(0, 99)))
    table = torch.rand(groups, symbols).double() ** 20  # some probabilities are next to nothing
    indices = torch.randint(symbols, (groups, count))
    code = range_encode(indices, table)
    assert torch.equal(range_decode(code, table, count), indices)


def test_the_code_is_as_long_as_the_model_says():
    torch.manual_seed(0)
    table = torch.rand(3, 50).double() ** 4
    shares = table / table.sum(dim=1, keepdim=True)
    indices = torch.multinomial(shares, 20_000, replacement=True)
    bits = -shares.gather(1, indices).log2().sum()
    assert 8 * len(range_encode(indices, table)) == pytest.approx(float(bits), rel=1e-3, abs=64)


def test_a_codebook_of_32768_codewords_is_coded():
    table = torch.rand(2, 32_768)
    indices = torch.randint(32_768, (2, 100))
    assert torch.equal(range_decode(range_encode(indices, table), table, 100), indices)


def test_a_code_that_is_cut_inside_a_word_is_refused():
    with pytest.raises(ColorCNNError, match="damaged"):
        range_decode(b"abc", torch.rand(1, 4), 2)


def test_a_header_comes_back():
    assert unpack(pack(HEADER, b"code"), "x") == (HEADER, b"code")


@given(st.integers(0, 2**40), st.integers(-(2**15), 0), st.integers(0, 2**15 - 1), st.binary(max_size=300))
def test_any_numbers_come_back(height, low, high, code):
    header = Header("größer", 1, height + 1, 9, low, high)
    assert unpack(pack(header, code), "x") == (header, code)


@pytest.mark.parametrize(("low", "high"), [(3, 2), (0, 2**16), (2**65, 2**65 + 3), (-(2**62), 5 - 2**62)])
def test_indices_no_picture_has_are_refused(low, high):
    with pytest.raises(ColorCNNError, match="header is invalid"):
        unpack(pack(Header("m", 1, 2, 3, low, high), b""), "x.cvq")


@pytest.mark.parametrize("factor", [1e7, float("nan")])
def test_a_broken_model_is_told_from_a_broken_file(factor):
    made = toy("uq-aun", 1)
    with torch.no_grad():
        made.encoder[-1].weight.mul_(factor)
    with pytest.raises(ColorCNNError, match="compressor is broken"):
        compress_pixels(made, torch.randint(256, (3, 16, 16), dtype=torch.uint8), "m")


def test_every_shortened_file_and_every_wrong_byte_is_refused():
    data = pack(HEADER, b"the code of a picture")
    for length in range(len(data)):
        with pytest.raises(ColorCNNError, match="empty" if not length else "truncated|corrupt"):
            unpack(data[:length], "x.cvq")
    for place in range(len(data)):
        with pytest.raises(ColorCNNError, match=r"x\.cvq"):
            unpack(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :], "x.cvq")
    with pytest.raises(ColorCNNError, match="bytes follow"):
        unpack(data + b"\0", "x.cvq")


@pytest.mark.parametrize("foreign", [b"\x89PNG\r\n\x1a\n", b"GIF89a", b"a"])
def test_a_foreign_file_is_refused(foreign):
    with pytest.raises(ColorCNNError, match="not a compressed image"):
        unpack(foreign, "x.cvq")


def test_a_later_version_asks_for_an_update():
    with pytest.raises(ColorCNNError, match="update colorcnn"):
        unpack(MAGIC + b"\x07later", "x.cvq")
    with pytest.raises(ColorCNNError, match="no version 0"):
        unpack(MAGIC + b"\x00earlier", "x.cvq")


@pytest.mark.parametrize("size", [(1, 1), (16, 32), (37, 50)])
@pytest.mark.parametrize(
    ("method", "dimension"), [("uq-aun", 1), ("sphere", 1), ("sphere", 2), ("vq-ste", 4)]
)
def test_a_picture_comes_back_as_the_model_sees_it(method, dimension, size):
    made, pixels = toy(method, dimension), torch.randint(256, (3, *size), dtype=torch.uint8)
    data = compress_pixels(made, pixels, "toy")
    kept = decompress_pixels(made, data, "x")
    assert kept.shape == pixels.shape
    assert kept.dtype == torch.uint8
    source = from_bytes(pixels[None])
    expected = made.finish(made(source)[0])[0]
    assert torch.equal(from_bytes(kept), expected)
    header, code = unpack(data, "x")
    assert (header.height, header.width) == size
    coded = made.encode(source)
    assert torch.equal(made.decode_indices(coded), made(source)[1].indices)
    estimate = made.measure(source).rate * size[0] * size[1]
    assert 8 * len(code) <= 1.02 * estimate + 64
    if method != "uq-aun":  # whose untrained density wastes mass beyond the integers that occur
        assert 8 * len(code) >= 0.98 * estimate


def test_a_picture_of_other_weights_or_of_too_many_pixels_is_refused():
    made, pixels = toy(), torch.zeros(3, 20, 20, dtype=torch.uint8)
    data = compress_pixels(made, pixels, "toy")
    with pytest.raises(ColorCNNError, match="more than 100 pixels"):
        decompress_pixels(made, data, "x", max_pixels=100)
    with torch.no_grad():
        made.decoder[0].bias.add_(1)
    with pytest.raises(ColorCNNError, match="other weights of toy"):
        decompress_pixels(made, data, "x")


def test_a_damaged_code_names_its_file():
    made = toy()
    header, code = unpack(compress_pixels(made, torch.zeros(3, 20, 20, dtype=torch.uint8), "toy"), "x")
    with pytest.raises(ColorCNNError, match=r"^a\.cvq: The code is damaged .*: use an intact copy\.$"):
        decompress_pixels(made, pack(header, code + b"x"), "a.cvq")


def test_indices_that_are_not_the_models_are_refused():
    made = toy()
    header = Header("toy", made.fingerprint(), 16, 16, 0, 99)
    with pytest.raises(ColorCNNError, match="corrupt"):
        decompress_pixels(made, pack(header, b""), "x")


def test_vectors_are_coded_too():
    made = VectorCompressor(2, 8.0, "vq-ste", {"dimension": 2, "size": 20}).eval()
    vectors = torch.randn(500, 2)
    coded = made.encode(vectors)
    assert torch.equal(made.decode(coded, vectors.shape), made(vectors)[0])
    point = made.measure(vectors, batch_size=77)
    assert 8 * len(coded.code) == pytest.approx(point.rate * vectors.numel(), rel=0.02, abs=64)
    assert point.mse == pytest.approx(float((made(vectors)[0] - vectors).detach().square().mean()), rel=1e-4)


@pytest.mark.data
def test_every_kodak_picture_comes_back(real_data):
    folder = Path(real_data) / "kodak"
    made = toy(dimension=2)
    files = list_pictures(folder)
    assert len(files) == 24
    for file in files:
        pixels = read_pixels(file)
        source = from_bytes(pixels[None])
        kept = decompress_pixels(made, compress_pixels(made, pixels, "toy"), str(file))
        assert torch.equal(from_bytes(kept), made.finish(made(source)[0])[0])
