"""Requests and answers of the explorer, without a server."""

import io

import msgspec
import numpy as np
import pytest
from explorer_samples import SIDE, noise, png
from PIL import Image

import colorcnn
from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.evaluation.saliency import activation_maps
from colorcnn.explorer.explorer import Explorer
from colorcnn.explorer.protocol import ListRequest, OriginalRequest, Quantized, QuantizedRequest
from colorcnn.explorer.sources import MOST_BYTES
from colorcnn.paletted import from_bytes
from colorcnn.quantizers.palette_files import read_palette


def opened(data):
    return Image.open(io.BytesIO(data))


def ask(explorer, picture="data-0", method="wu", colors=4, **options):
    return explorer.quantized(QuantizedRequest(picture=picture, method=method, colors=colors, **options))


def test_the_state_names_what_can_be_chosen(explorer):
    state = explorer.state()
    assert (state.total, state.classifier, state.size) == (3, "toy-net", None)
    facts = [(method.id, method.learned, method.dithers) for method in state.methods]
    assert facts == [("wu", False, False), ("wu+ordered", False, True), ("toy-two", True, False)]
    assert "floyd-steinberg" in state.dithers


def test_pictures_are_listed_in_parts(explorer):
    found = explorer.pictures(ListRequest(first=1, count=5))
    assert (found.total, [picture.name for picture in found.pictures]) == (3, ["b.png", "c.png"])
    assert explorer.pictures(ListRequest(first=7)).pictures == []


def test_a_result_is_that_of_the_library(explorer, folder):
    found = ask(explorer, colors=4)
    expected = colorcnn.quantize(folder / "a.png", 4, "wu")
    assert np.array_equal(np.array(opened(found.png).convert("RGB")), np.asarray(expected))
    assert found.png == expected.png()
    assert (found.bits, found.width, found.height, found.transparent) == (2, SIDE, SIDE, 0)
    assert sum(swatch.pixels for swatch in found.palette) == SIDE * SIDE
    file = np.array(opened(found.png).getpalette()).reshape(-1, 3)[: len(found.palette)]
    assert [swatch.color for swatch in found.palette] == ["#{:02x}{:02x}{:02x}".format(*row) for row in file]
    error = np.mean((noise().astype(float) - np.asarray(expected)) ** 2)
    assert found.psnr == pytest.approx(10 * np.log10(255**2 / error))
    assert not found.exact


def test_the_palette_file_holds_the_palette(explorer, tmp_path):
    found = ask(explorer, colors=7)
    path = tmp_path / f"{found.file}.gpl"
    path.write_text(found.gpl)
    rows = [tuple(bytes.fromhex(swatch.color[1:])) for swatch in found.palette]
    assert [tuple(row) for row in read_palette(path).tolist()] == rows


def test_a_picture_of_few_colours_is_exact(explorer):
    one = explorer.add("one.png", png(np.full((1, 1, 3), 7, np.uint8)))
    found = ask(explorer, one.id)
    assert (found.exact, found.psnr, [swatch.color for swatch in found.palette]) == (True, None, ["#070707"])


def test_transparent_pixels_stay_transparent(explorer):
    found = ask(explorer, "data-2", colors=256)
    assert found.transparent == SIDE * SIDE // 2
    assert len(found.palette) <= 255
    alpha = np.array(opened(found.png).convert("RGBA"))[..., 3]
    assert (alpha[:, : SIDE // 2] == 0).all()
    assert (alpha[:, SIDE // 2 :] == 255).all()
    seen = explorer.original(OriginalRequest(picture="data-2"))
    assert np.array_equal(np.array(opened(seen.png))[..., 3], alpha)


def test_a_picture_without_a_visible_pixel_has_no_palette(explorer):
    empty = explorer.add("empty.png", png(np.zeros((3, 5, 4), np.uint8)))
    found = ask(explorer, empty.id)
    assert (found.palette, found.psnr, found.exact, found.transparent) == ([], None, False, 15)
    assert explorer.original(OriginalRequest(picture=empty.id)).colors == 0


def test_dithering_is_an_option_unless_the_method_names_one(explorer):
    dithered = ask(explorer, dither="ordered").png
    assert dithered != ask(explorer).png
    assert ask(explorer, method="wu+ordered", dither="floyd-steinberg").png == dithered


def test_the_classifier_tells_the_likeliest_classes_and_where_it_looks(explorer):
    found = ask(explorer, maps=True).recognition
    assert [likely.name.startswith("class ") for likely in found.classes] == [True] * 3
    confidences = [likely.confidence for likely in found.classes]
    assert confidences == sorted(confidences, reverse=True)
    assert sum(confidences) == pytest.approx(1)
    assert opened(found.map).width >= SIDE
    assert ask(explorer).recognition.map is None
    likeliest = explorer.original(OriginalRequest(picture="data-0")).recognition.classes[0].name
    assert found.map_class == likeliest


def test_the_map_is_that_of_the_evaluation(explorer, monkeypatch):
    seen = []

    def spy(network, images, classes):
        seen.append(images)
        return activation_maps(network, images, classes)

    monkeypatch.setattr("colorcnn.explorer.classifying.activation_maps", spy)
    found = ask(explorer, maps=True)
    shown = np.array(opened(found.png).convert("RGB"))
    assert (seen[0][0].permute(1, 2, 0) == from_bytes(seen[0].new_tensor(shown))).all()


def test_a_large_picture_is_shown_and_the_classifier_gives_a_reason(explorer):
    large = explorer.add("large.png", png(noise(600, 500)))
    found = ask(explorer, large.id)
    assert found.width == 500
    assert found.recognition.classes == []
    assert "smaller" in found.recognition.note
    small = ask(explorer, large.id, size=32)
    assert (small.width, small.height, len(small.recognition.classes)) == (32, 32, 3)


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"picture": "data-3"}, UsageError),
        ({"picture": "../etc/passwd"}, UsageError),
        ({"picture": "added-1"}, ColorCNNError),
        ({"method": "k-means"}, UsageError),
        ({"method": "colorcnn:/tmp"}, UsageError),
        ({"dither": "sparkle"}, UsageError),
        ({"method": "toy-two", "colors": 3}, UsageError),
    ],
)
def test_a_wrong_request_is_a_sentence(explorer, request_, error):
    with pytest.raises(error, match=r": .*\.$"):
        ask(explorer, **request_)


def test_added_files_are_checked(explorer):
    with pytest.raises(ColorCNNError, match=r"notes\.txt is not an image"):
        explorer.add("notes.txt", b"a text")
    with pytest.raises(ColorCNNError, match="holds no image"):
        explorer.add("empty.png", b"")
    with pytest.raises(ColorCNNError, match="64 MiB"):
        explorer.add("film.mov", bytes(MOST_BYTES + 1))
    header = b"P6 6000 6000 255\n"
    with pytest.raises(ColorCNNError, match="pixels"):
        explorer.add("huge.ppm", header + bytes(6000 * 6000 // 8))


def test_a_long_picture_is_not_blown_up(explorer):
    line = explorer.add("line.png", png(noise(1, 20_000)))
    with pytest.raises(ColorCNNError, match="too long"):
        ask(explorer, line.id, size=512)


def test_the_oldest_added_pictures_are_forgotten(explorer):
    first = explorer.add("a.png", png(noise()))
    for _ in range(32):
        last = explorer.add("a.png", png(noise()))
    assert ask(explorer, last.id).width == SIDE
    with pytest.raises(ColorCNNError, match="no longer in memory"):
        ask(explorer, first.id)


def test_thumbnails_are_small(explorer):
    large = explorer.add("large.png", png(noise(50, 300)))
    assert opened(explorer.thumbnail(large.id)).size == (96, 16)
    assert opened(explorer.thumbnail("data-0")).size == (SIDE, SIDE)


def test_an_explorer_may_have_no_pictures_and_no_classifier():
    explorer = Explorer(None, ["octree"])
    assert explorer.state().total == 0
    assert explorer.pictures(ListRequest()).pictures == []
    picture = explorer.add("a.png", png(noise()))
    assert ask(explorer, picture.id, "octree").recognition is None


def test_answers_are_json_of_their_structure(explorer):
    found = ask(explorer, maps=True)
    again = msgspec.json.decode(msgspec.json.encode(found), type=Quantized)
    assert again == found


def test_a_result_is_computed_once(explorer, monkeypatch):
    first = ask(explorer)
    monkeypatch.setattr("colorcnn.explorer.explorer.index_visible", None)
    assert ask(explorer).png == first.png


def test_after_warming_up_nothing_is_loaded(explorer, monkeypatch):
    explorer.warm_up()
    monkeypatch.setattr("colorcnn.explorer.explorer.load_quantizer", None)
    assert len(ask(explorer, dither="ordered").palette) == 4
    assert len(ask(explorer, method="toy-two", colors=2).palette) <= 2


def test_dithering_uses_the_palette_that_is_known(explorer, monkeypatch):
    explorer.warm_up()
    for picture in ("data-0", "data-2"):
        plain = ask(explorer, picture, dither=None)
        monkeypatch.setattr("colorcnn.explorer.explorer.index_visible", None)
        found = ask(explorer, picture, dither="ordered")
        monkeypatch.undo()
        assert {swatch.color for swatch in found.palette} <= {swatch.color for swatch in plain.palette}
        assert found.milliseconds >= plain.milliseconds
        fresh = Explorer(explorer.source, ["wu", "wu+ordered"])
        assert ask(fresh, picture, "wu+ordered").png == found.png
