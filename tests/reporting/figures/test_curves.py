from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest
import torch
from evaluation_samples import metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn

from colorcnn.errors import UsageError
from colorcnn.evaluation.gallery import Gallery, Shown, make_gallery
from colorcnn.paletted import Paletted
from colorcnn.quantizers.median_cut import MedianCut
from colorcnn.reporting.figures.canvas import to_png, to_svg
from colorcnn.reporting.figures.curves import (
    accuracy_curve,
    both_curves,
    fitted,
    rate_curve,
    separate,
    shortened,
)
from colorcnn.reporting.figures.gallery import enlarge, image_grid, picture_rows
from colorcnn.reporting.figures.style import DARK, styles
from colorcnn.reporting.naming import colors_and_bits, display_names, family, split_method
from colorcnn.reporting.view import RecordView


def texts(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_method_names_come_apart():
    assert split_method("colorcnn-plus:a+b+floyd-steinberg") == ("colorcnn-plus", "a+b", "floyd-steinberg")
    assert split_method("colorcnn:c++") == ("colorcnn", "c++", "")
    assert family("colorcnn-plus:mine") == "colorcnn-plus"
    assert family("colorcnn-plus:mine+floyd-steinberg") == "colorcnn-plus+floyd-steinberg"


def test_weights_are_named_only_where_they_tell_apart():
    assert display_names(["colorcnn-plus:a", "median-cut+floyd-steinberg", "own"]) == {
        "colorcnn-plus:a": "ColorCNN+",
        "median-cut+floyd-steinberg": "MedianCut + dither",
        "own": "own",
    }
    assert set(display_names(["colorcnn-plus:a", "colorcnn-plus:b"]).values()) == {
        "ColorCNN+ (a)",
        "ColorCNN+ (b)",
    }


def test_the_same_images_in_several_forms_stand_in_rows():
    red, blue = (np.zeros((4, 6, 3), np.uint8) for _ in range(2))
    red[..., 0], blue[..., 2] = 255, 255
    picture = np.asarray(
        Image.open(io.BytesIO(to_png(picture_rows({"a": [red, red], "b": [blue]})))).convert("RGB")
    )
    first = (picture == (255, 0, 0)).all(axis=2)
    second = (picture == (0, 0, 255)).all(axis=2)
    assert first.sum() == pytest.approx(2 * second.sum(), rel=0.05)
    assert first.any(axis=1).argmax() < second.any(axis=1).argmax()
    assert first.any(axis=0).argmax() == second.any(axis=0).argmax()


def test_long_names_lose_their_middle():
    assert shortened("k-means") == "k-means"
    assert shortened("super (smoothing 160)", 18) == "super (smo…ng 160)"
    assert len(shortened("x" * 40, 9)) == 9


def test_long_names_of_variants_are_told_without_their_method():
    names = {
        "a": "ColorCNN+ (paper)",
        "b": "ColorCNN+ (annealed temperature)",
        "c": "ColorCNN+ (a name without an end, twice)",
        "d": "ColorCNN (a name without an end, twice)",
    }
    assert fitted(names) == {
        "a": "ColorCNN+ (paper)",
        "b": "(annealed temperature)",
        "c": "ColorCNN+ (a n…end, twice)",
        "d": "ColorCNN (a na…end, twice)",
    }


def test_bits_are_told_for_powers_of_two():
    assert colors_and_bits(1) == "1 colour"
    assert colors_and_bits(2) == "2 colours (1 bit)"
    assert colors_and_bits(3) == "3 colours"
    assert colors_and_bits(64) == "64 colours (6 bits)"


def test_a_method_looks_the_same_in_every_company():
    alone = styles(["octree"])["octree"]
    assert styles(["new", "median-cut", "colorcnn-plus:x", "octree"])["octree"] == alone
    dithered = styles(["octree+floyd-steinberg", "octree"])["octree+floyd-steinberg"]
    assert (dithered.color, dithered.line, dithered.hollow) == (alone.color, "--", True)


def test_methods_look_different_and_there_are_always_enough_styles():
    methods = ["colorcnn-plus:a", "colorcnn-plus:b", "median-cut", "octree", "new", "newer", "colorcnn"]
    assert len({style.color for style in styles(methods).values()}) == len(methods)
    many = styles(["colorcnn-plus", "octree", *(f"m{place}" for place in range(30))])
    assert len({(style.color, style.marker) for style in many.values()}) == 32


def test_more_methods_than_colours_are_told_apart_by_their_lines():
    looks = styles([f"method-{number}" for number in range(14)])
    assert len({(look.color, look.line) for look in looks.values()}) == 14
    assert [look.line for look in looks.values()] == ["-"] * 8 + ["-."] * 6


@settings(deadline=None)  # the first example imports scikit-learn
@given(st.lists(st.floats(0, 1), max_size=12).map(sorted))
def test_labels_are_moved_apart_and_stay_in_order(wished):
    found = separate(wished, 0.06)
    assert all(after - before >= 0.06 - 1e-9 for before, after in pairwise(found))
    assert all(-1e-9 <= level <= 1 + 1e-9 for level in found)


def test_labels_that_are_apart_stay():
    assert separate([0.1, 0.5, 0.9], 0.06) == pytest.approx([0.1, 0.5, 0.9])
    assert separate([0.5, 0.5], 0.06) == pytest.approx([0.47, 0.53])


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("draw", [accuracy_curve, rate_curve, both_curves])
def test_curves_name_every_method(draw, dark):
    view = RecordView(metrics())
    content = to_png(draw(view, dark=dark))
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    paper = DARK.paper if dark else "#ffffff"
    assert "#{:02x}{:02x}{:02x}".format(*picture.getpixel((0, 0))) == paper
    assert {"ColorCNN+", "MedianCut", "full colour 92.1 %"} <= set(texts(draw(view, dark=dark)))


def test_published_curves_are_dotted_and_said():
    content = metrics()
    content["published"] = {"accuracy": {"median-cut": {"2": 0.1, "4": 0.2, "128": 0.9}}}
    figure = accuracy_curve(RecordView(content))
    assert "dotted: published" in texts(figure)
    dotted = [line for line in figure.axes[0].get_lines() if line.get_linestyle() == ":"]
    assert [list(line.get_ydata()) for line in dotted] == [[pytest.approx(10), pytest.approx(20)]]
    assert "dotted: published" not in texts(accuracy_curve(RecordView(metrics())))


def test_a_single_point_and_a_method_without_any_can_be_drawn():
    content = metrics(octree=[0.5])
    content["methods"]["colorcnn"] = {"images_per_second": 0, "scores": {}, "unavailable": {"2": "no"}}
    assert "Octree" in texts(both_curves(RecordView(content)))
    assert "ColorCNN" not in texts(both_curves(RecordView(content)))
    assert to_png(both_curves(RecordView(content)))


def test_the_axis_holds_the_wide_bands_of_few_images():
    content = metrics(octree=[0.6, 0.65])
    content["methods"]["octree"]["scores"]["2"]["interval"] = [0.42, 0.83]
    (axes,) = accuracy_curve(RecordView(content)).axes
    low, high = axes.get_ylim()
    assert low <= 42
    assert high >= 83


def test_drawing_twice_gives_the_same_file_without_outside_references():
    first, second = (to_svg(accuracy_curve(RecordView(metrics()))) for _ in range(2))
    assert first == second
    assert b"<text" not in first  # needs no fonts
    assert to_png(accuracy_curve(RecordView(metrics()))) == to_png(accuracy_curve(RecordView(metrics())))


class ByRed(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        red = images[:, 0].mean(dim=(1, 2))
        return torch.stack([0.5 - red, red - 0.5], dim=1)


def test_a_gallery_holds_pictures_and_predictions():
    images = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    images[1, 0] = 255

    class FourOnly(MedianCut):
        def quantize_many(self, images, sizes):
            if list(sizes) != [4]:
                raise UsageError("four only")
            return super().quantize_many(images, sizes)

    gallery = make_gallery(
        {"median-cut": MedianCut(), "colorcnn": FourOnly()}, ByRed(), images, torch.tensor([0, 1]), [2, 4]
    )
    assert gallery.original.predictions.tolist() == [0, 1]
    assert list(gallery.rows[2]) == ["median-cut"]
    assert list(gallery.rows[4]) == ["median-cut", "colorcnn"]
    assert (gallery.rows[4]["colorcnn"].pixels == images).all()


def gallery(side: int = 8) -> Gallery:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (3, 3, side, side), dtype=torch.uint8, generator=generator)
    labels = torch.tensor([0, 1, 1])
    shown = Shown(images, torch.tensor([0, 0, 1]))
    return Gallery(labels, Shown(images, labels), {2: {"median-cut": shown, "octree": shown}})


def test_a_grid_names_rows_columns_and_what_is_wrong():
    words = texts(image_grid(gallery(), ["cat", "dog"]))
    assert {"Original", "MedianCut", "Octree", "2 colours (1 bit)"} <= set(words)
    assert words.count("✗ cat") == 2  # the second image, in each of two rows
    assert words.count("2 of 3 recognised") == 2
    assert "3 of 3 recognised" in words


def test_a_grid_shows_every_pixel_enlarged_whole():
    shown = gallery()
    content = to_png(image_grid(shown, ["cat", "dog"]))
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    expected = enlarge(shown.original.pixels[0].permute(1, 2, 0).numpy(), 192)
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (1, 192, 3))[:, :, 0, 0]
    assert (windows == expected[100]).all(axis=(2, 3)).any()


@pytest.mark.parametrize(("shape", "result"), [((32, 32), 192), ((5, 7), 189), ((500, 250), 192)])
def test_pictures_are_brought_near_the_cell(shape, result):
    pixels = np.zeros((*shape, 3), np.uint8)
    assert max(enlarge(pixels, 192).shape) == result


def test_large_images_and_long_names_fit():
    figure = image_grid(
        gallery(side=300), ["a name that is much too long for its column" * 2, "dog"], dark=True
    )
    assert to_png(figure)
    assert any(word.endswith("…") for word in texts(figure))


def test_paletted_pictures_of_a_gallery_are_rounded():
    class Odd:
        def quantize_many(self, images, sizes):
            palette = torch.full((len(images), sizes[0], 3), 0.5001)
            return {sizes[0]: Paletted(torch.zeros(len(images), 4, 4, dtype=torch.uint8), palette)}

    images = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    shown = make_gallery({"odd": Odd()}, ByRed(), images, torch.tensor([0]), [2]).rows[2]["odd"]
    assert shown.pixels.dtype == torch.uint8
    assert shown.pixels.unique().tolist() == [128]
