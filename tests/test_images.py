import contextlib
import io
import os
import re
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

import colorcnn
from colorcnn import images, srgb
from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.images import find_images, flatten, frames, num_frames, read_image, to_tensor
from colorcnn.srgb import normalize

RANDOM = np.random.default_rng(0)
RGB = RANDOM.integers(0, 256, (5, 7, 3), dtype=np.uint8)


def encode(picture, kind="PNG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(source, **options):
    return np.asarray(read_image(source, **options))


def deep_png(values):
    """A 16-bit PNG of (H, W, channels) uint16, which Pillow cannot write in colour."""
    height, width, channels = values.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]

    def chunk(name, data):
        return len(data).to_bytes(4) + name + data + zlib.crc32(name + data).to_bytes(4)

    header = width.to_bytes(4) + height.to_bytes(4) + bytes([16, kind, 0, 0, 0])
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def divided(values):
    return np.floor(values / 257 + 0.5).astype(np.uint8)


def test_reads_a_path_bytes_and_a_binary_file_alike(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(encode(Image.fromarray(RGB)))
    np.testing.assert_array_equal(pixels(path), RGB)
    np.testing.assert_array_equal(pixels(str(path)), RGB)
    np.testing.assert_array_equal(pixels(path.read_bytes()), RGB)
    with path.open("rb") as stream:
        np.testing.assert_array_equal(pixels(stream), RGB)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_reads_a_named_pipe(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(encode(Image.fromarray(RGB))))
    writer.start()
    np.testing.assert_array_equal(pixels(pipe), RGB)
    writer.join()


@pytest.mark.parametrize(
    "mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "HSV", "LAB", "I", "F", "I;16", "RGBX"]
)
def test_opaque_modes_become_rgb(mode):
    white = {"I": 65535, "I;16": 65535, "F": 1.0, "LAB": (255, 128, 128)}.get(mode)
    picture = (
        Image.new("RGB", (2, 2), "white").convert(mode) if white is None else Image.new(mode, (2, 2), white)
    )
    result = normalize(picture)
    assert result.mode == "RGB"
    assert np.asarray(result).min() >= 253


@pytest.mark.parametrize("mode", ["LA", "PA", "RGBA", "RGBa", "La"])
def test_modes_with_alpha_become_rgba_and_keep_it(mode):
    alpha = np.array([[0, 128, 255]], dtype=np.uint8)
    picture = Image.new({"LA": "L", "La": "L", "PA": "P"}.get(mode, "RGB"), (3, 1))
    picture.putalpha(Image.fromarray(alpha))
    result = normalize(picture if picture.mode == mode else picture.convert(mode))
    assert result.mode == "RGBA"
    np.testing.assert_array_equal(np.asarray(result)[..., 3], alpha)


def test_sixteen_bit_grey_is_divided_by_257():
    values = RANDOM.integers(0, 65536, (9, 9, 1), dtype=np.uint16)
    values[0, :3, 0] = 0, 65535, 257 * 77
    expected = np.repeat(divided(values), 3, axis=2)
    np.testing.assert_array_equal(pixels(deep_png(values)), expected)
    np.testing.assert_array_equal(pixels(encode(Image.fromarray(values[..., 0]), "TIFF")), expected)
    netpbm = b"P5 9 9 65535\n" + values.astype(">u2").tobytes()
    np.testing.assert_array_equal(pixels(netpbm), expected)


def test_sixteen_bit_colour_tiff_is_divided_by_257():
    values = RANDOM.integers(0, 65536, (9, 9, 3), dtype=np.uint16)
    tags = [(256, 9), (257, 9), (258, 16), (259, 1), (262, 2), (273, 200), (277, 3), (278, 9), (279, 486)]
    entries = b"".join(
        tag.to_bytes(2, "little") + b"\3\0\1\0\0\0" + value.to_bytes(4, "little") for tag, value in tags
    ).replace(b"\2\1\3\0\1\0\0\0\x10\0\0\0", b"\2\1\3\0\3\0\0\0\xb4\0\0\0")  # 3 depths, at byte 180
    head = b"II*\0\x08\0\0\0" + len(tags).to_bytes(2, "little") + entries + b"\0\0\0\0"
    data = head.ljust(180, b"\0") + b"\x10\0\x10\0\x10\0"
    data = data.ljust(200, b"\0") + values.astype("<u2").tobytes()
    np.testing.assert_array_equal(pixels(data), divided(values))


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_sixteen_bit_colour_png_is_divided_by_257(channels):
    values = RANDOM.integers(0, 65536, (9, 9, channels), dtype=np.uint16)
    expected = divided(values)
    if channels == 2:
        expected = expected[..., [0, 0, 0, 1]]
    np.testing.assert_array_equal(pixels(deep_png(values)), expected)


def test_sixteen_bit_grey_with_a_transparent_value_gets_alpha():
    picture = Image.fromarray(np.array([[5, 65535]], dtype=np.uint16))
    result = pixels(encode(picture, transparency=5))
    assert result.tolist() == [[[0, 0, 0, 0], [255, 255, 255, 255]]]


@pytest.mark.parametrize(("top", "scale"), [(1.0, 255), (255.0, 1), (65535.0, 1 / 257)])
def test_float_grey_is_scaled_by_its_range(top, scale):
    values = np.linspace(0, top, 12, dtype=np.float32).reshape(3, 4)
    result = pixels(encode(Image.fromarray(values), "TIFF"))
    np.testing.assert_array_equal(result[..., 0], np.floor(values * np.float32(scale) + 0.5))


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf, 70000.0])
def test_floats_that_are_no_colours_are_refused(bad):
    picture = encode(Image.fromarray(np.array([[0.5, bad]], dtype=np.float32)), "TIFF")
    with pytest.raises(ColorCNNError, match="float values"):
        read_image(picture)


def test_integers_beyond_sixteen_bits_are_refused():
    picture = encode(Image.fromarray(np.array([[70000]], dtype=np.int32)), "TIFF")
    with pytest.raises(ColorCNNError, match=r"0\.\.65535"):
        read_image(picture)


@pytest.mark.parametrize("transparency", [3, bytes([255, 255, 128, 0])])
def test_indexed_with_transparency_keeps_its_alpha(transparency):
    picture = Image.fromarray(np.array([[0, 1, 2, 3]], dtype=np.uint8))
    picture.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120])
    result = pixels(encode(picture, transparency=transparency))
    assert result[0, 0].tolist() == [10, 20, 30, 255]
    assert result[0, 3, 3] == 0
    assert result[0, 2, 3] == (128 if isinstance(transparency, bytes) else 255)


@pytest.mark.parametrize(("mode", "key"), [("RGB", (1, 2, 3)), ("L", 7)])
def test_a_transparent_colour_gets_alpha(mode, key):
    picture = Image.new(mode, (2, 1), key)
    picture.putpixel((1, 0), (9, 9, 9) if mode == "RGB" else 9)
    assert pixels(encode(picture, transparency=key))[0, :, 3].tolist() == [0, 255]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_exif_orientation_is_applied_once(orientation, kind):
    upright = np.zeros((16, 32, 3), dtype=np.uint8)
    upright[:8, :16] = 255  # the bright corner tells the eight orientations apart with the shape
    upright[:8, 16:] = 120
    undo = {5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, orientation)
    stored = Image.fromarray(upright)
    if undo in srgb._UPRIGHT:
        stored = stored.transpose(srgb._UPRIGHT[undo])
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    result = pixels(encode(stored, kind, exif=exif, **options)).astype(int)
    assert result.shape == upright.shape
    assert np.abs(result - upright).max() <= 2


def test_damaged_exif_does_not_lose_the_picture():
    data = encode(Image.fromarray(RGB), exif=b"Exif\0\0not a TIFF header")
    np.testing.assert_array_equal(pixels(data), RGB)


def test_icc_profile_is_converted_to_srgb():
    # A linear-light grey of one half is brighter in sRGB: 188.
    linear = _linear_profile()
    data = encode(Image.new("RGB", (2, 2), (128, 128, 128)), icc_profile=linear)
    assert np.abs(pixels(data).astype(int) - 188).max() <= 1
    grey = encode(Image.new("L", (2, 2), 128), icc_profile=linear)
    assert np.abs(pixels(grey).astype(int) - 188).max() <= 1
    half = encode(Image.new("RGBA", (2, 2), (128, 128, 128, 77)), icc_profile=linear)
    assert pixels(half)[0, 0, 3] == 77
    assert abs(int(pixels(half)[0, 0, 0]) - 188) <= 1


def test_srgb_damaged_and_misplaced_profiles_leave_the_pixels_alone():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (srgb, b"no profile", srgb[:200]):
        np.testing.assert_array_equal(pixels(encode(Image.fromarray(RGB), icc_profile=profile)), RGB)
    cmyk = Image.new("CMYK", (2, 2), (10, 20, 30, 40))
    data = encode(cmyk, "TIFF", icc_profile=_linear_profile())
    np.testing.assert_array_equal(pixels(data), np.asarray(cmyk.convert("RGB")))


def _linear_profile():
    """The sRGB profile with its three tone curves replaced by straight lines."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for entry in range(int.from_bytes(data[128:132])):
        start = 132 + 12 * entry
        if bytes(data[start : start + 4]) in (b"rTRC", b"gTRC", b"bTRC"):
            offset = int.from_bytes(data[start + 4 : start + 8])
            data[offset : offset + 12] = b"curv\0\0\0\0\0\0\0\0"
            data[start + 8 : start + 12] = (12).to_bytes(4)
        if bytes(data[start : start + 4]) == b"desc":  # so that it does not call itself sRGB
            offset = int.from_bytes(data[start + 4 : start + 8])
            size = int.from_bytes(data[start + 8 : start + 12])
            data[offset : offset + size] = bytes(data[offset : offset + size]).replace(b"s\0R", b"x\0R")
    return bytes(data)


def test_no_metadata_survives():
    assert read_image(encode(Image.fromarray(RGB), dpi=(72, 72), icc_profile=_linear_profile())).info == {}


def test_a_given_picture_is_not_changed():
    picture = Image.fromarray(RGB)
    picture.info["dpi"] = (1, 1)
    normalize(picture).putpixel((0, 0), (1, 2, 3))
    assert picture.info == {"dpi": (1, 1)}
    np.testing.assert_array_equal(np.asarray(picture), RGB)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_every_frame_of_an_animation(kind):
    shades = [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (250, 130, 10)]
    data = encode(
        shades[0],
        kind,
        save_all=True,
        append_images=shades[1:],
        **({"lossless": True} if kind == "WEBP" else {}),
    )
    assert num_frames(data) == 3
    assert [np.asarray(frame)[0, 0, 0] for frame in frames(data)] == [250, 130, 10]
    assert pixels(data)[0, 0, 0] == 250
    assert pixels(data, frame=2)[0, 0, 0] == 10
    with pytest.raises(UsageError, match="no frame 3: it holds 3"):
        read_image(data, frame=3)


def test_a_still_picture_has_one_frame(tmp_path):
    data = encode(Image.fromarray(RGB), "JPEG")
    assert num_frames(data) == len(list(frames(data))) == 1


def test_preview_images_in_a_photograph_are_no_frames():
    photo = Image.fromarray(RGB)
    data = encode(photo, "MPO", save_all=True, append_images=[photo])
    assert num_frames(data) == 1


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"hello, world", "is not an image"),
        (encode(Image.fromarray(RGB))[:60], "is corrupt"),
        (encode(Image.new("RGB", (200, 200)), "JPEG")[:400], "is corrupt"),
    ],
)
def test_bad_files_are_named_in_one_sentence(tmp_path, content, problem):
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(ColorCNNError, match=problem) as caught:
        read_image(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert message.endswith(".")
    with pytest.raises(ColorCNNError, match="standard input"):
        read_image(content, name="standard input")


def test_missing_files_and_directories_are_named(tmp_path):
    with pytest.raises(ColorCNNError, match="does not exist"):
        read_image(tmp_path / "none.png")
    with pytest.raises(ColorCNNError, match="is a directory"):
        read_image(tmp_path)


@pytest.mark.parametrize("size", [0, 1, 10, 33, 60])
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_damage_never_raises_anything_else(size, data):
    intact = encode(Image.fromarray(RGB), data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "BMP"])))
    damage = data.draw(st.binary(min_size=1, max_size=12))
    content = intact[:size] + damage + intact[size + len(damage) :]
    with contextlib.suppress(ColorCNNError):
        assert read_image(content, max_pixels=10_000).mode in ("RGB", "RGBA")


def test_too_many_pixels_are_refused_before_they_are_decoded():
    data = encode(Image.new("1", (100, 101)))
    with pytest.raises(ColorCNNError, match="100 x 101, more than 10000 pixels"):
        read_image(data, max_pixels=10_000)
    assert read_image(data, max_pixels=10_100).size == (100, 101)
    with pytest.raises(UsageError, match="at least 1"):
        read_image(data, max_pixels=0)


def test_pillows_limit_holds_by_default_and_can_be_raised(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    data = encode(Image.new("L", (20, 20)))
    with pytest.raises(ColorCNNError, match=r"too large to be opened safely.*max_pixels"):
        read_image(data)
    assert read_image(data, max_pixels=400).size == (20, 20)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_find_images_lists_image_files_in_order(tmp_path):
    for name in ("b.PNG", "a.jpg", "notes.txt", ".hidden.png", "sub/c.webp", ".cache/d.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert [path.name for path in find_images(tmp_path)] == ["a.jpg", "b.PNG"]
    assert [path.name for path in find_images(tmp_path, recursive=True)] == ["a.jpg", "b.PNG", "c.webp"]
    with pytest.raises(ColorCNNError, match="could not be read"):
        find_images(tmp_path / "none")


def test_flatten_lays_alpha_over_a_background():
    picture = Image.new("RGBA", (1, 1), (0, 0, 0, 0))
    assert flatten(picture).getpixel((0, 0)) == (255, 255, 255)
    assert flatten(picture, "#102030").getpixel((0, 0)) == (16, 32, 48)
    with pytest.raises(UsageError, match="'blurple' is not a colour"):
        flatten(picture, "blurple")


def test_to_tensor_gives_bytes_channels_first():
    tensor = to_tensor(Image.fromarray(RGB))
    assert tensor.dtype == torch.uint8
    assert torch.equal(tensor, torch.from_numpy(RGB).permute(2, 0, 1))


def test_postscript_is_not_opened(tmp_path):
    path = tmp_path / "program.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n")
    with pytest.raises(ColorCNNError, match="not an image of a known format"):
        read_image(path)


def test_pillow_opens_files_in_one_place_with_a_list_of_formats():
    package = Path(colorcnn.__file__).parent
    calls = [path.name for path in package.rglob("*.py") if re.search(r"\bImage\.open\(", path.read_text())]
    assert calls == ["images.py"]
    assert "EPS" not in images.FORMATS


@pytest.mark.parametrize("kind", ["TIFF", "DDS", "BMP", "TGA"])
def test_a_header_that_claims_more_than_the_file_holds_is_refused_before_decoding(kind, monkeypatch):
    data = io.BytesIO()
    Image.new("RGB", (8, 8)).save(data, kind)
    monkeypatch.setattr(images, "_FREE_PIXELS", 1)
    monkeypatch.setitem(images._PIXELS_A_BYTE, kind, 0)
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("was decoded"))
    with pytest.raises(ColorCNNError, match="claims 8 x 8 pixels") as caught:
        read_image(data.getvalue())
    assert caught.value.code == "lying-header"
