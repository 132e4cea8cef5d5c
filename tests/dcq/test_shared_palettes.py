from __future__ import annotations

import numpy as np
import pytest
import torch
from dcq_samples import CLASSES, tinted

from colorcnn.dcq.palettes import attended, by_lightness, design_palette, pixels_per_image, to_colors
from colorcnn.dcq.refine import Images, Refinement, refinement_images, sobel
from colorcnn.dcq.sources import ArrayImages
from colorcnn.quantizers.spaces import enter


def test_the_share_of_most_attention_is_kept_in_reading_order() -> None:
    attention = np.array([[0.0, 1.0], [2.0, 3.0]])
    assert attended(attention, 2, 2, 0.5).tolist() == [2, 3]
    assert attended(np.ones((2, 2)), 2, 2, 0.5).tolist() == [0, 1]
    assert attended(attention, 2, 2, 0.01).tolist() == [3]
    assert attended(attention, 8, 8, 0.5).shape == (32,)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_an_image_without_attention_keeps_all_its_pixels(value: float) -> None:
    assert len(attended(np.full((2, 2), value), 3, 5, 0.5)) == 15


def test_a_clusters_budget_is_shared_by_its_images() -> None:
    shares = pixels_per_image(np.array([0, 0, 0, 1]), 3, 120)
    assert shares.tolist() == [40, 40, 40, 120]


def test_the_palette_is_as_good_as_that_of_lloyds_algorithm() -> None:
    from sklearn.cluster import KMeans

    pixels = tinted(9).reshape(-1, 3)
    palette = design_palette(pixels, 4, space="cielab")
    lab = enter(pixels.T, "cielab").T

    def error(centers: np.ndarray) -> float:
        return float(((lab[:, None] - centers[None]) ** 2).sum(axis=2).min(axis=1).mean())

    expected = KMeans(4, n_init=3, random_state=0).fit(lab).cluster_centers_
    assert error(palette) <= 1.001 * error(expected)


@pytest.mark.parametrize("unique", [False, True])
def test_few_colors_come_back_all_and_the_last_again(unique: bool) -> None:
    pixels = np.array([[255, 0, 0]] * 9 + [[0, 0, 255]], np.uint8)
    palette = to_colors(design_palette(pixels, 4, space="cielab", unique=unique)[None], "cielab")[0]
    assert {tuple(color) for color in palette.tolist()} == {(255, 0, 0), (0, 0, 255)}
    assert design_palette(pixels[:0], 4, space="cielab").shape == (4, 3)


def test_palettes_go_from_dark_to_light() -> None:
    palette = np.array([[255, 255, 255], [0, 0, 255], [0, 0, 0]], np.uint8)
    assert by_lightness(palette).tolist() == [[0, 0, 0], [0, 0, 255], [255, 255, 255]]


def test_sobel_agrees_with_a_convolution_and_is_flat_where_images_are() -> None:
    from scipy import ndimage

    image = torch.rand(2, 3, 7, 9, dtype=torch.float64)
    found = sobel(image)
    for place in np.ndindex(2, 3):
        plane = image[place].numpy()
        expected = sum((ndimage.sobel(plane, axis=axis, mode="nearest") / 8) ** 2 for axis in (0, 1))
        np.testing.assert_allclose(found[place].numpy(), np.sqrt(expected + 1e-6))
    flat = torch.full((1, 1, 4, 4), 0.5, requires_grad=True)
    sobel(flat).sum().backward()
    assert torch.isfinite(flat.grad).all()


@pytest.mark.parametrize("soft", [False, True])
def test_refinement_lowers_its_loss_on_held_images_or_gives_the_palette_back(soft: bool) -> None:
    pixels = tinted(24)[::3]
    start = design_palette(pixels.reshape(-1, 3), 4, space="cielab") * np.float32(0.7)
    refinement = Refinement(steps=30, batch=4, soft=soft)
    result = refinement(start, pixels)
    assert result.after < result.before
    held = Images.of(pixels[:2])
    assert refinement.held_loss(torch.from_numpy(result.palette), held) == pytest.approx(
        result.after, rel=1e-5
    )
    best = refinement(result.palette, pixels)
    assert best.after <= best.before
    unchanged = Refinement(steps=3, learning_rate=0.0)(start, pixels)
    np.testing.assert_array_equal(unchanged.palette, start)


def test_without_a_color_term_nothing_holds_the_mean_color() -> None:
    pixels = tinted(12)[::3]
    start = design_palette(pixels.reshape(-1, 3), 8, space="cielab")
    refinement = Refinement(color_weight=0.0)
    images = Images.of(pixels)
    theta = torch.from_numpy(start)
    loss, with_color = (Refinement(color_weight=w).loss(theta, images) for w in (0.0, 1.0))
    assert with_color > loss
    assert refinement.loss(theta, images) == loss


def test_refinement_looks_at_windows_of_one_size() -> None:
    source = ArrayImages(tinted(5, (140, 20)), np.zeros(5, int), CLASSES)
    assert refinement_images(source, np.arange(5)).shape == (5, 128, 20, 3)
    assert len(refinement_images(source, np.arange(0))) == 0
    assert Refinement()(np.zeros((2, 3), np.float32), refinement_images(source, np.arange(0))).after == 0
