from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from colorcnn.dcq.encode import map_pixels
from colorcnn.dcq.smooth import smooth
from colorcnn.dcq.storage import Store
from colorcnn.quantizers import QUANTIZERS

BLACK_AND_WHITE = np.array([[0, 0, 0], [255, 255, 255]], np.uint8)


def energy(picture: np.ndarray, indices: np.ndarray, palette: np.ndarray, weight: float) -> float:
    """Return the energy to minimise, in RGB: each pair of neighbours that differ counts once."""
    errors = ((picture.astype(float) - palette[indices]) ** 2).sum()
    pairs = (
        (indices[1:], indices[:-1]),
        (indices[:, 1:], indices[:, :-1]),
        (indices[1:, 1:], indices[:-1, :-1]),
        (indices[1:, :-1], indices[:-1, 1:]),
    )
    return errors + weight * sum(int((one != other).sum()) for one, other in pairs)


@pytest.mark.parametrize(("weight", "center"), [(0.0, 1), (382.0, 1), (383.0, 0)])
def test_a_pixel_gives_in_where_eight_neighbours_outweigh_its_distance(weight: float, center: int) -> None:
    # 128 is nearer to white, in each of three channels by 128 ** 2 - 127 ** 2 = 255. Of the eight neighbours
    # five are black and three white: two more that are like it are worth more than 765 from 382.5 on.
    picture = np.array([[0, 255, 0], [0, 128, 255], [0, 255, 0]], np.uint8)[..., None].repeat(3, axis=2)
    indices = map_pixels(picture, BLACK_AND_WHITE, "srgb")
    assert indices[1, 1] == 1
    found = smooth(picture, indices, BLACK_AND_WHITE, weight, "srgb")
    assert found[1, 1] == center


@given(
    picture=arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))),
    palette=arrays(np.uint8, st.tuples(st.integers(1, 8), st.just(3))),
    weight=st.floats(0, 1e5),
)
def test_what_is_minimised_never_grows_and_the_picture_is_any(picture, palette, weight) -> None:
    indices = map_pixels(picture, palette, "srgb")
    before = indices.copy()
    found = smooth(picture, indices, palette, weight, "srgb")
    assert found.shape == indices.shape
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(indices, before)
    scale = 1e-6 * (1 + energy(picture, indices, palette, weight))
    assert energy(picture, found, palette, weight) <= energy(picture, indices, palette, weight) + scale


def test_a_smoothed_store_is_smaller_and_says_how_it_was_made(source, build) -> None:
    rough = build(source, folder="rough", palettes="super")
    smoothed = build(source, folder="smoothed", palettes="super", smoothing=100.0)
    before, after = rough.run(), smoothed.run()
    assert after.bytes["coded"] < before.bytes["coded"]
    assert after.config["smoothing"] == 100.0
    indices, palette = Store(smoothed.folder).indexed(3)
    np.testing.assert_array_equal(Store(smoothed.folder).decode(3), palette[indices])


def test_a_methods_own_palettes_are_smoothed_from_the_nearest_colors_on(source, build) -> None:
    job = build(source, palettes="own", quantizer=QUANTIZERS["octree"](), method="octree", smoothing=1e-9)
    job.run()
    indices, palette = Store(job.folder).indexed(3)
    np.testing.assert_array_equal(palette[indices], palette[map_pixels(source.pixels[3], palette, "cielab")])
