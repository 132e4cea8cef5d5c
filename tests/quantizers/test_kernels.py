"""The compiled kernels against their NumPy twins."""

import numpy as np
import pytest
import twins
from hypothesis import given, settings
from hypothesis import strategies as st

from colorcnn.quantizers import boxes, exchange, histogram, lloyd, seeding
from colorcnn.quantizers.designed import nearest
from colorcnn.quantizers.histogram import Histogram


def cloud(seed, n=400, levels=256):
    """Different 8-bit colours as points (3, n) float32, and whole weights."""
    random = np.random.default_rng(seed)
    colors = np.unique(random.integers(0, levels, (n, 3)), axis=0)
    random.shuffle(colors)
    return colors.T.astype(np.float32).copy(), random.integers(1, 50, len(colors)).astype(np.float32)


def some_centers(points, colors, seed):
    chosen = np.random.default_rng(seed).choice(points.shape[1], colors, replace=False)
    return points[:, chosen] + np.float32(0.25)


class Search:
    """State of the kernels of Lloyd's algorithm between calls."""

    def __init__(self, points, weights, centers, fixed=0):
        self.points, self.weights, self.centers, self.fixed = points, weights, centers, fixed
        self.labels = np.empty(points.shape[1], np.uint8)
        self.sums = np.empty((4, centers.shape[1]))
        self.bounds = np.empty((2, points.shape[1]), np.float32)
        self.fresh = np.ones(centers.shape[1], bool)

    @property
    def arguments(self):
        return self.points, self.weights, self.centers, self.fixed, self.labels, self.sums

    def run(self, iterations, *, bounds=True, whole=False):
        if bounds:
            lloyd.lloyd(*self.arguments, self.bounds, self.fresh, iterations, np.float32(0), whole)
        else:
            lloyd.lloyd_few(*self.arguments, iterations, np.float32(0), whole)

    def split_merge(self, favour):
        return exchange.split_merge(*self.arguments, self.fresh, 1.0, self.centers.shape[1], favour)


@given(seed=st.integers(0, 999), pixels=st.integers(1, 5000), levels=st.sampled_from([1, 3, 20, 256]))
@settings(max_examples=30, deadline=None)
@pytest.mark.parametrize("direct", [False, True])
def test_a_histogram_counts_each_colour_once(direct, seed, pixels, levels):
    picture = np.random.default_rng(seed).integers(0, levels, (pixels, 3), dtype=np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(histogram, "DIRECT_PIXELS", 0 if direct else 1 << 30)
        found = Histogram(picture)
        ranks = (np.arange(len(found)) % 256).astype(np.uint8)
        labels, places = found.per_pixel(ranks), found.positions()
    colors, inverse, counts = np.unique(picture, axis=0, return_inverse=True, return_counts=True)
    order = np.lexsort(found.colors.T[::-1])
    np.testing.assert_array_equal(found.colors[order], colors)
    np.testing.assert_array_equal(found.counts[order], counts)
    np.testing.assert_array_equal(labels, ranks[order][inverse.reshape(-1)])
    np.testing.assert_array_equal(found.colors[places], picture)


def test_a_hash_table_grows_with_the_colours():
    picture = np.random.default_rng(0).integers(0, 256, (300_000, 3), dtype=np.uint8)
    assert len(Histogram(picture)) == len(np.unique(picture.astype(int) @ [65536, 256, 1]))


@given(
    seed=st.integers(0, 999),
    size=st.sampled_from([1, 1023, 1024, 1025, 2500]),
    colors=st.integers(1, 256),
    levels=st.sampled_from([2, 8, 256]),
)
@settings(max_examples=30, deadline=None)
def test_the_nearest_colour_is_exact_and_the_first_of_equals(seed, size, colors, levels):
    random = np.random.default_rng(seed)
    pixels, palette = (random.integers(0, levels, (n, 3), dtype=np.uint8) for n in (size, colors))
    expected = twins.nearest_bytes(pixels, palette)
    np.testing.assert_array_equal(nearest(pixels, palette), expected)
    np.testing.assert_array_equal(nearest(np.asfortranarray(pixels), palette), expected)


def test_black_and_white_are_as_far_apart_as_bytes_can_be():
    pixels = np.repeat(np.array([[0] * 3, [255] * 3], np.uint8), 3, axis=0)
    palette = np.repeat(pixels[[0, -1]], [1, 255], axis=0)
    np.testing.assert_array_equal(nearest(pixels, palette), [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(nearest(pixels[:3], palette[1:]), [0, 0, 0])


@pytest.mark.parametrize("colors", [1, 7, 256])
def test_the_nearest_centre_is_nearest(colors):
    points, _ = cloud(1, 2000)
    centers = some_centers(points, colors, 2)
    labels = np.empty(points.shape[1], np.uint8)
    lloyd.assign(points, centers, labels)
    squares = twins.squares(points, centers)
    chosen = squares[np.arange(len(labels)), labels]
    assert np.all(chosen <= squares.min(axis=1) * (1 + 2**-14))


@pytest.mark.parametrize("colors", [1, 2, 9, 64])
@pytest.mark.parametrize("fixed", [0, 1])
@pytest.mark.parametrize("bounds", [True, False])
def test_bounds_change_nothing_in_lloyds_algorithm(bounds, colors, fixed):
    points, weights = cloud(3, 3000)
    for iterations in (0, 1, 12):
        centers = some_centers(points, colors, 4)
        expected = twins.lloyd(points, weights, centers, fixed, iterations)
        search = Search(points, weights, centers, fixed)
        search.run(iterations, bounds=bounds)
        labels, sums = search.labels, search.sums
        np.testing.assert_allclose(centers, expected, atol=0.05)
        np.testing.assert_allclose(sums, twins.cluster_sums(points, weights, labels, colors), rtol=1e-6)
        squares = twins.squares(points, centers)
        assert np.all(squares[np.arange(len(labels)), labels] <= squares.min(axis=1) * 1.001 + 0.01)


@pytest.mark.parametrize("colors", [2, 9, 64])
@pytest.mark.parametrize("bounds", [True, False])
def test_whole_centres_are_as_near_their_means_as_whole_numbers_can_be(bounds, colors):
    points, weights = cloud(3, 3000)
    centers = some_centers(points, colors, 4)
    search = Search(points, weights, centers, 1)
    search.run(2, bounds=bounds)
    rounded = centers.copy()
    rounded[:, 1:] = np.round(centers[:, 1:])
    search.run(100, bounds=bounds, whole=True)
    assert np.all(centers[:, 1:] % 1 == 0)
    assert np.all(centers[:, 0] % 1 == 0.25)  # this one is fixed
    assert np.abs(search.sums[:3, 1:] / search.sums[3, 1:] - centers[:, 1:]).max() <= 0.5
    errors = [twins.squared_error(points, weights, found) for found in (centers, rounded)]
    assert errors[0] < errors[1]


@pytest.mark.parametrize("power", [0.5, 0.7, 1.0])
def test_the_online_pass_draws_the_nearest_centre(power):
    points, weights = cloud(5)
    centers = some_centers(points, 6, 6)
    chosen = lloyd.sample(weights, 997)
    order = [chosen[(13 + 600 * step) % 997] for step in range(997)]
    expected = twins.macqueen(points, order, centers, 1, power)
    lloyd.macqueen(points, chosen, 13, 600, centers, 1, power)
    np.testing.assert_allclose(centers, expected, atol=0.01)


@given(seed=st.integers(0, 999), size=st.integers(1, 3000))
@settings(max_examples=20, deadline=None)
def test_a_sample_holds_each_point_as_often_as_it_weighs(seed, size):
    _, weights = cloud(seed)
    chosen = lloyd.sample(weights, size)
    expected = twins.sample(weights.astype(float), size)
    assert np.mean(chosen != expected) < 0.01
    often = np.bincount(chosen, minlength=len(weights))
    assert np.all(np.abs(often - weights * size / weights.sum()) <= 1 + 1e-6)


@given(seed=st.integers(0, 999), colors=st.integers(3, 40), spread=st.sampled_from([0.0, 1.0]))
@settings(max_examples=20, deadline=None)
def test_exchanges_lower_the_squared_error(seed, colors, spread):
    favour = np.exp(np.random.default_rng(seed).normal(0, spread, (2, colors)))
    points, weights = cloud(seed)
    centers = some_centers(points, colors, seed)
    search = Search(points, weights, centers)
    search.run(3)
    means = np.where(search.sums[3] > 0, search.sums[:3] / np.maximum(search.sums[3], 1), centers)
    before = twins.squared_error(points, weights, means)
    made = search.split_merge(favour)
    assert made == 0 or 2 * made <= np.sum(search.fresh) <= 3 * made
    means[:, search.fresh] = centers[:, search.fresh]
    assert twins.squared_error(points, weights, means) <= before * 1.0001


@given(seed=st.integers(0, 999), colors=st.integers(13, 60), fixed=st.integers(0, 2))
@settings(max_examples=20, deadline=None)
def test_going_on_after_an_exchange_is_as_good_as_beginning_anew(seed, colors, fixed):
    points, weights = cloud(seed)
    centers = some_centers(points, colors, seed)
    search = Search(points, weights, centers, fixed)
    search.run(2)
    place = np.random.default_rng(seed).integers(fixed, colors)
    centers[:, place] = points[:, seed % points.shape[1]]
    search.fresh[place] = True
    for iterations in (0, 1, 5):
        other = Search(points, weights, centers.copy(), fixed)
        other.run(iterations)
        search.run(iterations)
        np.testing.assert_allclose(search.centers, other.centers, atol=0.05)
        np.testing.assert_allclose(search.sums, other.sums, rtol=1e-6)
        near = np.sqrt(twins.squares(points, centers))
        own = near[np.arange(len(weights)), search.labels]
        np.put_along_axis(near, search.labels[:, None].astype(int), np.inf, axis=1)
        assert np.all(own <= search.bounds[0] + 1e-4)
        assert np.all(search.bounds[1] <= near.min(axis=1) + 1e-4)


def test_moments_are_sums_over_corner_boxes():
    points, weights = cloud(7)
    table = np.empty((boxes.CELLS + 1,) * 3 + (5,))
    boxes.moments(points, weights, table)
    np.testing.assert_allclose(table, twins.moments(points, weights)[0], rtol=1e-6)


@pytest.mark.parametrize("colors", [1, 2, 5, 17, 60])
def test_wu_cuts_where_the_squared_error_falls_most(colors):
    points, weights = cloud(8, 150)
    table = np.empty((boxes.CELLS + 1,) * 3 + (5,))
    boxes.moments(points, weights, table)
    found = boxes.wu(table, colors)
    expected = twins.wu(points, weights, colors)
    np.testing.assert_allclose(found[:, np.lexsort(found)], expected[:, np.lexsort(expected)], atol=0.01)


@pytest.mark.parametrize("colors", [1, 2, 5, 17, 60, 200])
def test_the_variance_cut_splits_the_worst_cluster(colors):
    points, weights = cloud(9, 150)
    points *= np.array([[1.0], [0.6], [0.3]], np.float32)  # no two axes alike, or there are two ways to cut
    found = boxes.variance_cut(points, weights, colors)
    expected = twins.variance_cut(points, weights, colors)
    assert found.shape == expected.shape
    one, other = (twins.squared_error(points, weights, centers) for centers in (found, expected))
    assert one == pytest.approx(other, rel=0.05, abs=1e-6)
    if colors <= 5:
        np.testing.assert_allclose(found[:, np.lexsort(found)], expected[:, np.lexsort(expected)], atol=0.5)


@pytest.mark.parametrize("bits", [1, 4, 6])
def test_coarse_points_are_means_of_cells(bits):
    points, weights = cloud(10, 2000)
    colors = points.T.astype(np.uint8)
    means, heavier = boxes.coarse(colors, weights.astype(np.uint32), bits)
    expected, sums = twins.coarse(colors, weights, bits)
    np.testing.assert_allclose(means, expected, rtol=1e-5)
    np.testing.assert_allclose(heavier, sums)


@pytest.mark.parametrize(("power", "trials"), [(2.0, 1), (1.0, 1), (2.0, 4)])
def test_k_means_plus_plus_draws_in_proportion_to_the_distance(power, trials):
    points, weights = cloud(11, 100)
    draws = np.random.default_rng(0).random((12, trials))
    centers = np.empty((3, 12), np.float32)
    seeding.plus_plus(points, weights, centers, 0, power, trials, draws)
    np.testing.assert_array_equal(centers, twins.plus_plus(points, weights, 12, power, draws))
