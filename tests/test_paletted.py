import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import default_collate

from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.paletted import Paletted, count_indices, from_bytes, map_indices, to_bytes


@st.composite
def paletteds(draw, batch=1):
    colors = draw(st.integers(1, 256))
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    levels = draw(st.sampled_from([2, 3, 256]))  # few levels make rows that are equal
    rows = torch.randint(levels, (batch, colors, 3), generator=generator) * (255 // (levels - 1))
    indices = torch.randint(colors, (batch, height, width), generator=generator, dtype=torch.uint8)
    used = torch.zeros(batch, colors, 1).scatter_(1, indices.reshape(batch, -1, 1).long(), 1.0)
    return Paletted(indices, rows / 255 * used)


def decode(png):
    return Image.open(io.BytesIO(png))


def palette_entries(png):
    start = png.index(b"PLTE")
    return int.from_bytes(png[start - 4 : start]) // 3


TWO = Paletted(torch.tensor([[[0, 2, 2]]]), torch.tensor([[[1.0, 0, 0], [0, 0, 0], [0, 0, 1.0]]]))


def test_rounding_is_to_nearest_with_halves_upwards():
    values = torch.tensor([-1.0, 0.0, 0.5 / 255, 0.49 / 255, 127.5 / 255, 1.0, 2.0], dtype=torch.float64)
    assert to_bytes(values).tolist() == [0, 0, 1, 0, 128, 255, 255]


def test_render_looks_every_pixel_up():
    assert TWO.render(torch.uint8).tolist() == [[[[255, 0, 0]], [[0, 0, 0]], [[0, 255, 255]]]]
    assert TWO.render(torch.float64).dtype == torch.float64
    assert torch.equal(TWO.render(), from_bytes(TWO.render(torch.uint8)))


def test_usage_and_number_of_colours_count_what_is_shown():
    assert TWO.usage.tolist() == [[1, 0, 2]]
    assert TWO.num_colors.tolist() == [2]
    nearly = torch.tensor([[[0.5, 0.5, 0.5], [0.5001, 0.5, 0.5]]])  # equal once rounded to 8 bits
    assert Paletted(torch.tensor([[[0, 1]]]), nearly).num_colors.tolist() == [1]


@given(paletteds(batch=2))
@settings(max_examples=40, deadline=None)
def test_the_number_of_colours_is_that_of_the_rendered_pixels(paletted):
    for picture, count in zip(paletted.render(torch.uint8), paletted.num_colors.tolist()):
        assert count == len(torch.unique(picture.flatten(1).T, dim=0))


@given(paletteds())
@settings(max_examples=60, deadline=None)
def test_a_file_holds_the_rendered_pixels_and_no_other_colours(paletted):
    png = paletted.png()
    picture = decode(png)
    count = int(paletted.num_colors)
    assert palette_entries(png) == count
    assert png[24] == (1 if count <= 2 else 2 if count <= 4 else 4 if count <= 16 else 8)
    expected = paletted.render(torch.uint8)[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), expected)
    assert np.asarray(picture).max() == count - 1


@given(paletteds(), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_transparent_pixels_get_an_entry_of_their_own(paletted, seed):
    transparent = np.random.default_rng(seed).random(paletted.indices.shape[1:]) < 0.5
    if not transparent.any():
        transparent[0, 0] = True
    shown = paletted.compact(transparent=transparent)[1]
    if len(shown) == 256:
        return
    png = paletted.png(transparent=transparent)
    assert palette_entries(png) == len(shown) + 1
    assert png.count(b"tRNS") == 1
    decoded = np.asarray(decode(png).convert("RGBA"))
    np.testing.assert_array_equal(decoded[..., 3] == 0, transparent)
    expected = paletted.render(torch.uint8)[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(decoded[~transparent][:, :3], expected[~transparent])


def test_nothing_transparent_writes_a_plain_file():
    assert TWO.png(transparent=np.zeros((1, 3), dtype=bool)) == TWO.png()


def test_all_transparent_writes_one_entry():
    png = TWO.png(transparent=np.ones((1, 3), dtype=bool))
    assert palette_entries(png) == 1
    assert np.asarray(decode(png).convert("RGBA"))[..., 3].max() == 0


def test_a_transparent_entry_needs_room_and_a_mask_of_the_right_size():
    paletted = Paletted(
        torch.arange(257).clamp(max=255).reshape(1, 1, 257),
        torch.linspace(0, 1, 256)[None, :, None].expand(1, 256, 3),
    )
    mask = np.zeros((1, 257), dtype=bool)
    mask[0, 256] = True
    with pytest.raises(UsageError, match="at most 255 besides a transparent one"):
        paletted.png(transparent=mask)
    with pytest.raises(UsageError, match="mask is"):
        TWO.png(transparent=np.ones((2, 2), dtype=bool))


def test_more_than_256_rows_do_not_fit_into_a_file():
    with pytest.raises(UsageError, match="at most 256"):
        Paletted(torch.zeros(1, 1, 1, dtype=torch.int64), torch.zeros(1, 300, 3)).png()


def test_parts_of_a_batch_are_batches():
    batch = Paletted(torch.tensor([[[0]], [[1]], [[1]]]), torch.rand(3, 2, 3))
    assert len(batch) == 3
    assert len(batch[1]) == len(batch[-1]) == 1
    assert torch.equal(batch[1:].indices, batch.indices[1:])
    assert [entry.indices.item() for entry in batch] == [0, 1, 1]
    with pytest.raises(IndexError):
        batch[3]
    assert repr(batch) == "Paletted(3 x 1 x 1, palettes of 2, 1 colour shown)"


def test_saving_is_for_one_picture_and_overwrites_only_when_allowed(tmp_path):
    path = tmp_path / "picture.png"
    assert TWO.save(path) == path
    assert path.read_bytes() == TWO.png()
    with pytest.raises(ColorCNNError, match="exists already"):
        TWO.save(path, overwrite=False)
    with pytest.raises(UsageError, match="holds 2 images"):
        Paletted(torch.zeros(2, 1, 1, dtype=torch.uint8), torch.zeros(2, 1, 3)).save(path)


def test_a_name_of_another_image_format_is_refused(tmp_path):
    for name in ("picture.jpg", "picture.WEBP"):
        with pytest.raises(UsageError, match=r"would hold a PNG file: give it a name that ends in \.png"):
            TWO.save(tmp_path / name)
    assert not list(tmp_path.iterdir())
    assert TWO.save(tmp_path / "picture.new").is_file()


def test_numpy_sees_the_pixels():
    np.testing.assert_array_equal(np.asarray(TWO), [[[255, 0, 0], [0, 0, 255], [0, 0, 255]]])
    assert np.asarray(TWO).dtype == np.uint8
    assert np.asarray(TWO, dtype=np.float32).max() == 255
    assert np.asarray(Paletted.stack([TWO, TWO])).shape == (2, 1, 3, 3)
    Image.fromarray(np.asarray(TWO))


def test_a_notebook_shows_one_image_and_no_batch():
    assert TWO._repr_png_() == TWO.png()
    assert Paletted.stack([TWO, TWO])._repr_png_() is None


def test_the_repr_tells_the_number_of_colours():
    assert repr(TWO) == "Paletted(1 x 1 x 3, palettes of 3, 2 colours shown)"
    one = Paletted(torch.zeros(1, 1, 3, dtype=torch.uint8), torch.ones(1, 1, 3))
    assert repr(Paletted.stack([TWO, one])) == "Paletted(2 x 1 x 3, palettes of 3, 1 to 2 colours shown)"
    assert repr(TWO[:0]) == "Paletted(0 x 1 x 3, palettes of 3, no colours shown)"


def test_a_data_loader_batches_images_of_one_size():
    one = Paletted(torch.zeros(1, 1, 3, dtype=torch.int64), torch.ones(1, 1, 3))
    batch, labels = default_collate([(TWO, 3), (one, 4)])
    assert labels.tolist() == [3, 4]
    assert torch.equal(batch.render(), torch.cat([TWO.render(), one.render()]))
    with pytest.raises(UsageError, match="The images are 1 x 1 and 1 x 3"):
        Paletted.stack([TWO, Paletted(torch.zeros(1, 1, 1, dtype=torch.uint8), torch.ones(1, 1, 3))])
    with pytest.raises(UsageError, match="no image to stack"):
        Paletted.stack([])


@pytest.mark.parametrize(
    ("indices", "palette", "problem"),
    [
        (torch.zeros(2, 2, dtype=torch.uint8), torch.zeros(1, 1, 3), "indices are"),
        (torch.zeros(1, 2, 2), torch.zeros(1, 1, 3), "indices are"),
        (torch.zeros(1, 2, 2, dtype=torch.uint8), torch.zeros(1, 3), "palette is"),
        (torch.zeros(1, 2, 2, dtype=torch.uint8), torch.zeros(1, 1, 3, dtype=torch.uint8), "palette is"),
        (torch.zeros(1, 2, 2, dtype=torch.uint8), torch.zeros(2, 1, 3), "one palette per image"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(indices, palette, problem):
    with pytest.raises(UsageError, match=problem):
        Paletted(indices, palette)


def test_counting_and_mapping_in_pieces_agree_with_numpy():
    indices = np.random.default_rng(0).integers(0, 200, (2100, 2100), dtype=np.uint8)
    table = np.random.default_rng(1).integers(0, 256, 200, dtype=np.uint8)
    np.testing.assert_array_equal(
        count_indices(indices, 200), np.bincount(indices.reshape(-1), minlength=200)
    )
    np.testing.assert_array_equal(map_indices(indices, table), table[indices])
