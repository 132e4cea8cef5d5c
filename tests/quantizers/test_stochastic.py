"""Stochastic Quantization: its steps, its objective, and what each of its settings does."""

import numpy as np
import pytest
import twins

from colorcnn.errors import UsageError
from colorcnn.quantizers.descent import descend, objective
from colorcnn.quantizers.histogram import Histogram
from colorcnn.quantizers.k_means import KMeans
from colorcnn.quantizers.stochastic import FAITHFUL, METHODS, Settings, Stochastic

RANDOM = np.random.default_rng(0)
CENTERS = RANDOM.integers(20, 230, (9, 3))
PIXELS = np.clip(CENTERS[RANDOM.integers(0, 9, (60, 70))] + RANDOM.normal(0, 9, (60, 70, 3)), 0, 255).astype(
    np.uint8
)
RATES = {"adagrad": 0.1, "adam": 0.02, "momentum": 0.05, "nesterov": 0.05, "rmsprop": 0.02, "sgd": 0.5}


def squared_error(palette, pixels=PIXELS):
    return float(((pixels[..., None, :].astype(float) - palette) ** 2).sum(3).min(2).mean() / 3)


@pytest.mark.parametrize("r", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("fall", [0.0, 0.5])
def test_its_steps_are_those_of_the_paper(r, fall):
    points = RANDOM.random((3, 200)).astype(np.float32)
    elements = RANDOM.random((3, 5)).astype(np.float32)
    order = RANDOM.integers(0, 200, 500).astype(np.int32)
    expected = twins.stochastic(points, order, elements, r, 0.05, fall)
    settings = (0.0, r, 0.05, fall, 0.9, 0.999, 0.0)
    descend(points, order, elements, 0, np.zeros((11, 5)), np.zeros(3), np.ones(3), settings, 1)
    np.testing.assert_allclose(elements, expected, atol=1e-4)


@pytest.mark.parametrize("r", [1.0, 1.5, 2.0, 3.0])
def test_the_objective_is_a_mean_power_of_distances(r):
    points, elements = (RANDOM.random((3, n)).astype(np.float32) for n in (300, 7))
    weights = RANDOM.integers(1, 9, 300).astype(np.float32)
    near = np.sqrt(twins.squares(points, elements).min(axis=1))
    expected = [np.average(near**power, weights=weights) for power in (r, 1, 2)]
    np.testing.assert_allclose(objective(points, weights, elements, r), expected, rtol=1e-4)


@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("optimizer", sorted(METHODS))
def test_every_optimizer_lowers_the_objective(optimizer, batch):
    settings = Settings(optimizer=optimizer, learning_rate=RATES[optimizer], batch=batch)
    fit = Stochastic(settings=settings).fit(PIXELS, 9)
    assert fit.trajectory[0][0] == 0
    assert fit.trajectory[-1] == (
        min(1 << 16, 16 * len(np.unique(PIXELS.reshape(-1, 3), axis=0))),
        fit.objective,
    )
    assert fit.objective < 0.9 * fit.trajectory[0][1]
    assert fit.objective == pytest.approx(3 * fit.mse)


def test_by_default_it_comes_near_k_means():
    best = squared_error(KMeans(quality="best").quantize_pixels(PIXELS, 9)[1])
    indices, palette = Stochastic().quantize_pixels(PIXELS, 9)
    assert squared_error(palette) < 1.3 * best
    assert ((palette[indices].astype(float) - PIXELS) ** 2).mean() == pytest.approx(squared_error(palette))


def test_a_large_picture_is_designed_for_on_as_many_pixels_as_are_drawn():
    settings = Settings(samples=512)
    best = squared_error(KMeans(quality="best").quantize_pixels(PIXELS, 9)[1])
    results = [Stochastic(settings=settings, seed=seed).quantize_pixels(PIXELS, 9) for seed in (0, 0, 1)]
    for indices, palette in results:
        assert squared_error(palette) < 1.5 * best
        np.testing.assert_array_equal(np.unique(indices), np.arange(9))
        np.testing.assert_array_equal(
            indices.reshape(-1), twins.nearest_bytes(PIXELS.reshape(-1, 3), palette)
        )
    for one, same in zip(results[0], results[1]):
        np.testing.assert_array_equal(one, same)
    assert not np.array_equal(results[0][1], results[2][1])


def test_these_pixels_come_from_everywhere_in_the_picture():
    pixels = np.arange(1000)[:, None] + np.zeros(3, int)
    thinned = Stochastic(seed=1)._sampled(pixels, 100)
    np.testing.assert_array_equal(thinned[:, 0] // 10, np.arange(100))
    assert len(np.unique(thinned[:, 0] % 10)) == 10


@pytest.mark.parametrize(
    ("colors", "options"),
    [(65, {}), (9, {"space": "oklab"}), (9, {"keep": [(0, 0, 0)]}), (9, {"samples": 0})],
)
def test_a_large_picture_is_looked_at_whole_where_that_is_wanted(colors, options, monkeypatch):
    sizes = []
    settings = Settings(samples=options.pop("samples", 512))
    monkeypatch.setattr(
        "colorcnn.quantizers.stochastic.Histogram", lambda p: sizes.append(p.size) or Histogram(p)
    )
    Stochastic(settings=settings, **options).quantize_pixels(PIXELS, colors)
    assert sizes == [PIXELS.size]


def test_the_rare_colours_of_a_large_picture_are_not_missed():
    pixels = np.zeros((80, 80, 3), np.uint8)
    pixels[3, 5], pixels[40, 7] = (255, 0, 0), (0, 255, 0)
    quantizer = Stochastic(settings=Settings(samples=64))
    indices, palette = quantizer.quantize_pixels(pixels, 4)
    np.testing.assert_array_equal(palette[indices], pixels)
    assert len(palette) == 3


def test_each_power_finds_the_least_of_its_own_objective():
    found = {r: Stochastic(settings=Settings(r=r, learning_rate=0.3)).fit(PIXELS, 1) for r in (1.0, 2.0, 4.0)}
    points = PIXELS.reshape(-1, 3).T.astype(np.float32) / 255
    weights = np.ones(points.shape[1], np.float32)
    for r, fit in found.items():
        others = [objective(points, weights, other.elements, r)[0] for other in found.values()]
        assert fit.objective <= min(others) * 1.001


def test_the_faithful_preset_walks_over_every_pixel_once():
    quantizer = Stochastic(preset="faithful")
    assert quantizer.settings is FAITHFUL
    fit = quantizer.fit(PIXELS, 4, checkpoints=5)
    assert [drawn for drawn, _ in fit.trajectory] == [0, 840, 1680, 2520, 3360, 4200]
    near = np.sqrt(twins.squares(PIXELS.reshape(-1, 3).T / 255, fit.elements).min(axis=1))
    assert fit.transport == pytest.approx(near.sum(), rel=1e-4)
    assert fit.mse == pytest.approx((near**2).mean() / 3, rel=1e-4)
    assert len(quantizer.palette(fit)) == 4


@pytest.mark.parametrize("seed", [42, 7])
def test_the_faithful_preset_begins_where_the_authors_program_does(seed):
    """With so few pixels the elements have hardly moved by the end."""
    points = PIXELS.reshape(-1, 3) / 255
    random = np.random.RandomState(seed)
    seeds = points[random.choice(len(points), size=1, replace=False)]
    for _ in range(11):
        near = np.sqrt(twins.squares(points.T, seeds.T).min(axis=1))
        chosen = np.searchsorted(np.cumsum(near / near.sum()), random.rand())
        seeds = np.vstack([seeds, points[chosen]])
    fit = Stochastic(preset="faithful", seed=seed).fit(PIXELS, 12)
    assert np.abs(fit.elements.T - seeds).max() < 0.05
    assert np.abs(fit.elements.T - np.roll(seeds, 1, axis=0)).max() > 0.1


def test_the_faithful_preset_quantizes_with_the_palette_of_its_fit():
    quantizer = Stochastic(preset="faithful", seed=42)
    indices, palette = quantizer.quantize_pixels(PIXELS, 5)
    np.testing.assert_array_equal(palette, quantizer.palette(quantizer.fit(PIXELS, 5)))
    assert ((palette[indices].astype(float) - PIXELS) ** 2).mean() == pytest.approx(squared_error(palette))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"r": 0.5}, "The r is 0.5: choose at least 1"),
        ({"optimizer": "lbfgs"}, "Unknown optimizer 'lbfgs'"),
        ({"momentum": 1.0}, "The momentum is 1.0: choose at least 0 and below 1"),
        ({"batch": 0}, "The batch is 0"),
    ],
)
def test_settings_out_of_range_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        Settings(**options)


def test_an_unknown_preset_is_refused():
    with pytest.raises(UsageError, match="Unknown preset 'fast': choose one of default, faithful"):
        Stochastic(preset="fast")
