"""Palettes from files, kept colours around any method, one palette for many images, strips."""

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.methods import load_quantizer
from colorcnn.quantizers import QUANTIZERS
from colorcnn.quantizers.palette_files import read_palette
from colorcnn.quantizers.palettes import Fixed, Keeping, SharedPalette, palette_strip

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (20, 30, 3), dtype=np.uint8)
ROWS = [[26, 28, 44], [93, 39, 93], [177, 62, 83], [239, 125, 87]]
GPL = (
    "GIMP Palette\r\nName: Sweet\nColumns: 4\n#\n 26  28  44\tnight\n93 39 93\n\n"
    "177 62 83 Untitled\n239 125 87\n26 28 44\n"
)


def rows_of(palette):
    return {tuple(row) for row in palette.tolist()}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.gpl", GPL.encode()),
        ("bom.gpl", b"\xef\xbb\xbf" + GPL.encode()),
        ("bom.hex", b"\xef\xbb\xbf1a1c2c\n5d275d\nb13e53\nef7d57\n"),
        ("a.pal", b"JASC-PAL\r\n0100\r\n4\r\n26 28 44\r\n93 39 93\r\n177 62 83\r\n239 125 87\r\n"),
        ("a.hex", b"1a1c2c\n#5d275d\r\n\n; Sweetie\nB13E53\nef7d57\n"),
        ("a.act", np.array(ROWS, np.uint8).tobytes().ljust(768, b"\0") + b"\0\x04\xff\xff"),
    ],
)
def test_palette_files_are_read_in_their_order(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    np.testing.assert_array_equal(read_palette(tmp_path / name), ROWS)


def test_a_colour_table_without_a_number_has_256_colours(tmp_path):
    table = RANDOM.permutation(np.arange(256))[:, None].repeat(3, 1).astype(np.uint8)
    (tmp_path / "a.ACT").write_bytes(table.tobytes())
    np.testing.assert_array_equal(read_palette(tmp_path / "a.ACT"), table)


def test_a_picture_gives_its_colours(tmp_path):
    Image.fromarray(np.array(ROWS, np.uint8)[RANDOM.integers(0, 4, (9, 9))]).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_palette(tmp_path / "a.png"), sorted(ROWS))
    Image.fromarray(PIXELS).save(tmp_path / "b.png")
    with pytest.raises(ColorCNNError, match=r"b\.png holds 600 different colours: use a palette of 1 to 256"):
        read_palette(tmp_path / "b.png")


@pytest.mark.parametrize("depth", [8, 16])
def test_a_suggested_palette_of_a_png_file_comes_first(tmp_path, depth):
    scale, kind = (1, "u1") if depth == 8 else (257, ">u2")
    entries = [[*row, 255] for row in ROWS] + [[1, 2, 3, 0]]
    frequency = np.uint16(7).tobytes()
    chunk = b"sweet\0" + bytes([depth])
    chunk += b"".join((np.array(row) * scale).astype(kind).tobytes() + frequency for row in entries)
    info = PngInfo()
    info.add(b"sPLT", chunk)
    Image.fromarray(PIXELS).save(tmp_path / "a.png", pnginfo=info)
    np.testing.assert_array_equal(read_palette(tmp_path / "a.png"), ROWS)
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content.replace(b"sweet", b"sweat"))
    with pytest.raises(ColorCNNError, match="damaged sPLT palette"):
        read_palette(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.gpl", b"1 2 3\n", "does not begin with 'GIMP Palette'"),
        ("a.gpl", b"GIMP Palette\n1 2 300\n", "line 2, '1 2 300', is not a colour"),
        ("a.gpl", b"GIMP Palette\n", "holds 0 different colours"),
        ("a.hex", b"ff00ff\nred\n", "line 2, 'red', is not a colour: write rrggbb"),
        ("a.act", b"abc", "has 3 bytes, an Adobe colour table has 768 or 772"),
        ("a.txt", b"", "is not a palette file: use one that ends in .act, .gpl, .hex, .pal, or an image"),
        ("a.gpl", b"GIMP Palette\n" + b"9" * 5000 + b" 1 1\n", r"line 2, '9{40}\.\.\.', is not a colour"),
        ("a.gpl", "GIMP Palette\n\u0661 1 1\n".encode(), "is not a colour"),
        ("a.hex", b"x" * 5000, r"line 1, 'x{40}\.\.\.', is not a colour"),
        ("a.hex", "\uff11a1c2c\n".encode(), "is not a colour"),
        ("a.hex", b"\n" * (1 << 20) + b"1a1c2c\n", "has more than 1,048,576 bytes"),
        ("a.pal", b"RIFF....PAL data", "does not begin with 'JASC-PAL'"),
        ("a.pal", b"JASC-PAL\n0100\n" + b"9" * 5000 + b"\n1 2 3\n", "and has 1: save it again"),
        ("a.pal", b"JASC-PAL\n0100\n1\n1 2 256\n", "line 4, '1 2 256', is not a colour"),
        ("a.png", b"x", "is not an image"),
        ("missing.gpl", None, "does not exist"),
    ],
)
def test_bad_palette_files_are_named(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ColorCNNError, match=message):
        read_palette(tmp_path / name)


@pytest.mark.parametrize("space", ["srgb", "cielab"])
def test_a_given_palette_is_mapped_to(space):
    palette = np.array(ROWS, np.uint8)
    indices, rows = Fixed(palette, space=space).quantize_pixels(PIXELS, 4)
    assert rows_of(rows) == set(map(tuple, ROWS))
    if space == "srgb":
        squares = ((PIXELS[..., None, :].astype(int) - palette) ** 2).sum(axis=3)
        np.testing.assert_array_equal(palette[squares.argmin(axis=2)], rows[indices])
    with pytest.raises(UsageError, match="The palette has 4 colours, but only 3 are allowed"):
        Fixed(palette).quantize_pixels(PIXELS, 3)


@pytest.mark.parametrize("method", sorted(QUANTIZERS))
def test_any_method_keeps_given_colours(method):
    kept = [(0, 0, 0), (255, 0, 255)]
    result = load_quantizer(method, keep=kept)(torch.from_numpy(PIXELS)[None], 6, channels_last=True)
    assert set(kept) <= rows_of(result.compact()[1])
    assert int(result.num_colors) <= 6


def test_a_method_that_keeps_colours_answers_for_several_sizes_and_refuses_too_few():
    quantizer = Keeping(load_quantizer("median-cut"), [(1, 2, 3), (1, 2, 3), (250, 250, 250)])
    images = torch.from_numpy(PIXELS).permute(2, 0, 1)[None]
    for size, result in quantizer.quantize_many(images, [3, 9]).items():
        assert torch.equal(result.palette, quantizer(images, size).palette)
    with pytest.raises(UsageError, match="2 colours to keep of 2, which leaves none to choose"):
        quantizer(images, 2)


@pytest.mark.parametrize("method", ["k-means", "wu", "median-cut"])
def test_a_shared_palette_serves_all_images(method):
    reds, blues = PIXELS.copy(), PIXELS.copy()
    reds[..., 1:] //= 8
    blues[..., :2] //= 8
    shared = SharedPalette(load_quantizer(method), 8)
    for pixels in (reds, blues):
        shared.show(pixels)
    palette = shared.design()
    assert len(palette) == 8
    for pixels in (reds, blues):
        squares = ((pixels[..., None, :].astype(int) - palette.astype(int)) ** 2).sum(axis=3)
        assert squares.min(axis=2).mean() < 0.15 * squares.mean()


def test_a_shared_palette_of_one_image_is_its_own():
    quantizer = load_quantizer("k-means")
    shared = SharedPalette(quantizer, 8)
    shared.show(np.repeat(PIXELS[:4, :4], 50, axis=0))
    errors = []
    for palette in (shared.design(), quantizer.quantize_pixels(PIXELS[:4, :4], 8)[1]):
        errors.append(((PIXELS[:4, :4, None].astype(int) - palette.astype(int)) ** 2).sum(3).min(2).mean())
    assert errors[0] == pytest.approx(errors[1], rel=0.1)


def test_nothing_to_share_is_said():
    shared = SharedPalette(load_quantizer("k-means"), 8)
    shared.show(np.zeros((0, 3), np.uint8))
    with pytest.raises(UsageError, match="No image has a visible pixel"):
        shared.design()


@pytest.mark.parametrize("colors", [1, 5, 16, 17, 256])
def test_a_strip_shows_every_colour(colors):
    palette = np.unique(RANDOM.integers(0, 256, (400, 3), dtype=np.uint8), axis=0)[:colors]
    strip = palette_strip(palette, side=4)
    assert strip.size == (4 * min(16, colors), 4 * -(-colors // 16))
    assert rows_of(np.asarray(strip.convert("RGB")).reshape(-1, 3)) == rows_of(palette)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("median-cut", {"quality": "best"}, "median-cut has no quality: choose k-means"),
        (
            "median-cut",
            {"space": "oklab"},
            "median-cut has no space: choose k-means, stochastic, variance-cut, wu",
        ),
        ("median-cut", {"colour": 1}, "median-cut has no colour: leave it out"),
        ("k-means", {"serpentine": True}, "serpentine needs dithering and k-means has none"),
        ("k-means+ordered", {"serpentine": True}, "ordered does not support serpentine"),
    ],
)
def test_options_a_method_does_not_have_are_refused(method, options, message):
    with pytest.raises(UsageError, match=message):
        load_quantizer(method, **options)
