"""The exact and the iterative reference, and the rate-distortion tools they are compared with."""

import math

import pytest
import torch

from colorcnn.errors import UsageError
from colorcnn.vq.ecsq import gaussian_ecsq
from colorcnn.vq.ecvq import design_ecvq
from colorcnn.vq.published import CURVES
from colorcnn.vq.rates import RDPoint, bd_rate, gap_in_bits, gaussian_bound
from colorcnn.vq.search import nearest
from colorcnn.vq.sources import SOURCES, Boomerang, Gaussian


@pytest.mark.parametrize(
    ("trade_off", "gap", "tolerance"),
    [(2, 0.223, 6e-4), (8, 0.254, 6e-4), (16, 0.2546, 2e-3), (256, 0.2546, 2e-3)],
)
def test_the_exact_quantizer_keeps_the_theoretical_gap(trade_off, gap, tolerance):
    assert gap_in_bits(gaussian_ecsq(trade_off).point) == pytest.approx(gap, abs=tolerance)
    if trade_off >= 16:
        assert gap == pytest.approx(0.5 * math.log2(math.pi * math.e / 6), abs=1e-4)


def test_the_exact_quantizer_is_as_good_on_samples_as_it_says():
    quantizer = gaussian_ecsq(8)
    samples = Gaussian().test_set(200_000)[:, 0].double()
    indices = torch.bucketize(samples, quantizer.boundaries)
    counts = torch.bincount(indices, minlength=len(quantizer.levels)) / len(samples)
    assert torch.allclose(counts, quantizer.probabilities.float(), atol=4e-3)
    error = (samples - quantizer.levels[indices]).square().mean()
    assert float(error) == pytest.approx(quantizer.point.mse, rel=0.01)


def test_a_gaussian_that_is_not_worth_a_bit_costs_none():
    point = gaussian_ecsq(0.1).point
    assert (point.rate, point.mse) == (0, pytest.approx(1))


@pytest.mark.parametrize("trade_off", [4, 16, 64])
def test_ecvq_reaches_the_published_loss_on_the_boomerang(trade_off):
    samples = Boomerang().sample(60_000, torch.Generator().manual_seed(0))
    found = design_ecvq(samples, trade_off, iterations=60).evaluate(Boomerang().test_set(100_000))
    (printed,) = (curve for curve in CURVES if (curve.method, curve.source) == ("ecvq", "boomerang"))
    assert found.loss(trade_off) == pytest.approx(printed.points[trade_off].loss, rel=0.02)


def test_published_points_agree_with_their_own_loss():
    for curve in CURVES:
        assert curve.source in SOURCES
        assert curve.reference
        for trade_off, point in curve.points.items():
            mse = 10 ** (-point.decibels / 10)
            assert RDPoint(point.rate, mse).loss(trade_off) == pytest.approx(point.loss, rel=3e-3)


@pytest.mark.parametrize(("wrong", "options"), [("trade-off", {"trade_off": 0}), ("size is 0", {"size": 0})])
def test_a_reference_that_cannot_be_designed_is_refused(wrong, options):
    with pytest.raises(UsageError, match=wrong):
        design_ecvq(torch.randn(8, 2), **{"trade_off": 1.0, **options})
    with pytest.raises(UsageError, match="trade-off"):
        gaussian_ecsq(-1)


@pytest.mark.parametrize(("trade_off", "iterations"), [(0.7, 4000), (8, 1), (8, 2), (8, 4000)])
def test_boundaries_of_the_exact_quantizer_part_its_levels(trade_off, iterations):
    found = gaussian_ecsq(trade_off, iterations)
    assert len(found.boundaries) == len(found.levels) - 1
    assert ((found.levels[:-1] < found.boundaries) & (found.boundaries < found.levels[1:])).all()


def test_codewords_out_of_use_cost_the_others_no_digits():
    codebook = torch.cat([torch.linspace(-1, 1, 256), torch.tensor([1e5])]).view(1, -1, 1)
    penalty = torch.zeros(1, 257)
    penalty[0, 256] = torch.inf
    vectors = torch.linspace(-1, 1, 999).view(1, -1, 1)
    expected = (vectors - codebook[:, :256].transpose(1, 2)).abs().argmin(2)
    assert (nearest(vectors, codebook, penalty) == expected).float().mean() > 0.99


def test_chunks_do_not_change_which_codeword_is_nearest():
    vectors, codebooks = torch.randn(3, 101, 4), torch.randn(3, 17, 4) + 100
    vectors += 100
    penalty = torch.rand(3, 17)
    expected = (torch.cdist(vectors.double(), codebooks.double()).square() + penalty[:, None]).argmin(2)
    for chunk in (1, 500, 1 << 20):
        assert torch.equal(nearest(vectors, codebooks, penalty, chunk), expected)
    assert nearest(vectors[:, :0], codebooks).shape == (3, 0)


def test_bd_rate_of_twice_the_bits_is_a_hundred_per_cent():
    curve = [RDPoint(rate, 1.3 * gaussian_bound(rate)) for rate in (0.5, 1, 2, 3, 4)]
    dearer = [RDPoint(2 * point.rate, point.mse) for point in curve]
    assert bd_rate(curve, dearer) == pytest.approx(100, abs=0.1)
    assert bd_rate(dearer, curve) == pytest.approx(-50, abs=0.1)
    with pytest.raises(UsageError, match="at least 4"):
        bd_rate(curve[:3], dearer)
    with pytest.raises(UsageError, match="share no quality"):
        bd_rate(curve, [RDPoint(point.rate, point.mse / 1e6) for point in curve])


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_has_its_moments_and_a_fixed_test_set(name):
    source = SOURCES[name]()
    samples = source.test_set(100_000)
    assert samples.shape == (100_000, source.dimension)
    assert torch.equal(samples[:5], source.test_set(100_000)[:5])
    variance = {"gaussian": [1], "laplace": [2] * 8, "boomerang": [3, 1]}[name]  # of v - u^2: 1 + 2
    assert torch.allclose(samples.var(dim=0), torch.tensor(variance, dtype=torch.float32), rtol=0.05)
    assert samples.mean(dim=0).abs().max() < 0.03


def test_a_source_refuses_a_dimension_it_cannot_have():
    assert SOURCES["gaussian"](3).sample(2).shape == (2, 3)
    with pytest.raises(UsageError, match="exactly 2"):
        Boomerang(3)
