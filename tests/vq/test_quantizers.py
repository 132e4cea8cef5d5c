"""Promises of every quantizer of latents, and further promises of each family."""

import math

import pytest
import torch

from colorcnn.errors import UsageError
from colorcnn.vq import noise, soft
from colorcnn.vq.codebook import CodebookQuantizer, VectorSTE
from colorcnn.vq.entropy import CodewordPrior, FactorizedDensity
from colorcnn.vq.methods import METHODS, create_quantizer

CODEBOOKS = sorted(name for name, cls in METHODS.items() if issubclass(cls, CodebookQuantizer))
TRADING = {"vq-ste", "rotation", "simvq"}  # their search trades distance for bits
CASES = [
    *((name, dimension) for name in CODEBOOKS for dimension in (1, 2, 4)),
    ("uq-aun", 1),
    ("uq-ste", 1),
]


def make(name, dimension=1, **options):
    torch.manual_seed(0)
    if name == "fsq":
        options = {"size": 16, **options}
    elif name in CODEBOOKS:
        options = {"size": 12, **options}
    return create_quantizer(name, 8, dimension=dimension, trade_off=3.0, **options)


@pytest.mark.parametrize("shape", [(6, 8), (2, 8, 3, 5)])
@pytest.mark.parametrize(("name", "dimension"), CASES)
def test_a_quantizer_keeps_its_contract(name, dimension, shape):
    quantizer, latent = make(name, dimension), 3 * torch.randn(shape)
    groups = (shape[0], 8 // dimension, *shape[2:])
    for mode in (True, False):
        found = quantizer.train(mode)(latent)
        assert found.latent.shape == shape
        assert found.indices.shape == found.bits.shape == groups
        assert found.indices.dtype == torch.int64
        assert (found.bits > 0).all()
        assert found.bits.isfinite().all()
        assert found.distance.ndim == 0
    assert torch.equal(quantizer.dequantize(found.indices), found.latent), "indices decode back"
    assert torch.equal(quantizer(latent).latent, found.latent), "and nothing is drawn outside of training"
    assert name in TRADING | {"fsq"} or torch.equal(quantizer(found.latent).latent, found.latent)
    first = quantizer.split(latent)[..., 0]
    assert torch.equal(quantizer.split_groups(quantizer.join_groups(first, latent.shape)), first)
    assert torch.equal(quantizer.join(quantizer.split(latent), latent.shape), latent)


@pytest.mark.parametrize(("name", "dimension"), CASES)
def test_training_reaches_the_latent_and_every_parameter(name, dimension):
    quantizer = make(name, dimension)
    latent = torch.randn(64, 8, requires_grad=True)
    found = quantizer.approximate(latent)
    (found.bits.sum() + found.latent.square().sum() + found.distance).backward()
    assert latent.grad.isfinite().all()
    assert latent.grad.abs().sum() > 0
    for parameter in quantizer.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()


@pytest.mark.parametrize(("name", "dimension"), CASES)
def test_what_is_really_quantized_trains_everything_but_the_latent(name, dimension):
    quantizer = make(name, dimension)
    latent = torch.randn(64, 8, requires_grad=True)
    found = quantizer.quantize(latent)
    (found.bits.sum() + found.latent.square().sum()).backward()
    assert latent.grad is None
    assert all(parameter.grad is not None for parameter in quantizer.parameters())


@pytest.mark.parametrize("name", METHODS)
def test_the_coders_table_agrees_with_the_bits(name):
    quantizer = make(name).eval()
    found = quantizer(2 * torch.randn(50, 8))
    low, high = int(found.indices.min()), int(found.indices.max())
    table = quantizer.table(low, high)
    bits = -table.gather(1, quantizer.split_groups(found.indices) - low).log2()
    assert torch.allclose(bits.float(), quantizer.split_groups(found.bits), atol=1e-3)


@pytest.mark.parametrize("name", ["soft-to-hard", "sphere"])
def test_large_codebooks_are_weighed_in_pieces_with_the_same_result(name, monkeypatch):
    quantizer, results = make(name, 2), []
    if name == "sphere":
        quantizer.rate_gradient = "soft"
        monkeypatch.setattr(noise, "unit_ball", torch.zeros_like)
    for chunk in (1 << 20, 500):
        monkeypatch.setattr(soft, "CHUNK", chunk)
        latent = torch.linspace(-2, 2, 160).view(20, 8).requires_grad_()
        found = quantizer.approximate(latent)
        (found.latent.square().sum() + found.bits.sum()).backward()
        results.append((found.latent.detach(), found.bits.detach(), latent.grad))
    for whole, pieced in zip(*results):
        assert torch.allclose(whole, pieced, atol=1e-5)


@pytest.mark.parametrize("name", ["soft-to-hard", "gumbel"])
def test_no_weight_goes_to_codewords_out_of_use_however_far_a_vector_lies(name):
    quantizer = create_quantizer(name, 1, size=4)
    with torch.no_grad():
        quantizer.codebook.copy_(torch.tensor([[[-1.0], [0.0], [1.0], [500.0]]]))
        quantizer.prior.active[0, 3] = False
    quantizer.anneal(1.0)
    latent = torch.cat([torch.zeros(2000, 1), torch.full((1, 1), 9.0)]).requires_grad_()
    found = quantizer.approximate(latent)
    found.latent.sum().backward()
    assert found.latent.max() <= 1
    assert latent.grad.isfinite().all()


def test_soft_to_hard_ends_at_the_nearest_codeword():
    quantizer = make("soft-to-hard", 2, size=4)
    latent = torch.randn(200, 8)
    gaps = []
    for progress in (0.0, 0.5, 1.0):
        quantizer.anneal(progress)
        gap = quantizer.approximate(latent).latent - quantizer.quantize(latent).latent
        gaps.append(gap.detach().square().mean())
    assert gaps[0] > gaps[1] > gaps[2]


def test_an_entropy_constrained_search_trades_distance_for_bits():
    latent = torch.randn(500, 8)
    found = {}
    for search in ("nearest", "entropy"):
        quantizer = make("vq-ste", 2, search=search)
        with torch.no_grad():
            quantizer.prior.logits.copy_(torch.linspace(0, 6, 12).expand(4, 12))
        quantized = quantizer.eval()(latent)
        distance = (quantized.latent - latent).detach().square().sum()
        bits = quantized.bits.detach().sum()
        found[search] = distance, bits, bits + 3 * distance
    assert found["nearest"][0] < found["entropy"][0]
    assert found["nearest"][1] > found["entropy"][1]
    assert found["nearest"][2] > found["entropy"][2]


def test_codewords_start_from_the_data_and_the_dead_come_back():
    quantizer = make("sphere", 2)
    latent = 100 + torch.randn(64, 8)
    quantizer.start(latent)
    assert quantizer.started
    vectors = quantizer.split(latent)
    found = (quantizer.codebook.unsqueeze(2) == vectors.unsqueeze(1)).all(dim=3)
    assert found.any(dim=2).all()
    with torch.no_grad():
        quantizer.codebook[:, 5:] = 0
    for _ in range(400):
        quantizer.observe(quantizer.quantize(latent).indices)
    before = quantizer.codebook.clone()
    assert quantizer.reactivate(latent, 0.1 / 12) == 4 * 7
    assert torch.equal(quantizer.codebook[:, :5], before[:, :5])
    assert (quantizer.codebook[:, 5:] > 50).all()
    assert (quantizer.table(0, 11)[:, 5:] < 0.02).all()
    assert quantizer.reactivate(latent, 0.1 / 12) == 0, "they are given time"


def test_a_small_batch_starts_a_large_codebook():
    quantizer = make("sphere", 4)
    quantizer.start(torch.randn(3, 8))
    assert torch.pdist(quantizer.codebook[0]).min() > 0


@pytest.mark.parametrize("name", CODEBOOKS)
def test_pruned_codewords_are_never_used_again(name):
    quantizer = make(name, 2)
    quantizer.usage.fill_(1e-6)
    quantizer.usage[:, 3] = 0.5
    quantizer.usage[:, 7] = 1e-3
    assert quantizer.prune(2e-4) == 4 * 2
    latent = torch.randn(300, 8)
    for found in (quantizer.quantize(latent), quantizer.approximate(latent)):
        assert set(found.indices.unique().tolist()) <= {3, 7}
        assert found.bits.isfinite().all()
    assert torch.allclose(quantizer.table(0, 11).sum(dim=1), torch.ones(4, dtype=torch.float64))
    quantizer.usage.zero_()
    quantizer.usage[:, 7] = 1e-9
    assert quantizer.prune(0.5) == 4, "the most used one stays"


@pytest.mark.parametrize(
    ("name", "options", "wrong"),
    [
        ("vq", {}, "Unknown quantization method"),
        ("sphere", {"dimension": 3}, "do not split into groups of 3"),
        ("sphere", {"size": 0}, "at least 1"),
        ("sphere", {"rate_gradient": "naive"}, "surface, soft or pathwise"),
        ("sphere", {"radius_floor": -1}, "radius_floor"),
        ("sphere", {"sharpness": 1}, "does not take"),
        ("vq-ste", {"search": "far"}, "nearest or entropy"),
        ("sphere", {"radius_floor": math.nan}, "radius_floor"),
        ("vq-ste", {"trade_off": -1}, "trade_off"),
        ("diveq", {"spread": -1}, "spread"),
        ("fsq", {"size": 15, "dimension": 4}, "too small for 2 levels in each of 4 dimensions"),
        ("uq-aun", {"dimension": 2}, "dimension is 2"),
        ("uq-aun", {"init_scale": 0}, "init_scale"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(name, options, wrong):
    with pytest.raises(UsageError, match=wrong):
        create_quantizer(name, 8, **options)


def test_a_density_learns_the_entropy_of_what_it_sees():
    torch.manual_seed(0)
    density = FactorizedDensity(2, init_scale=3.0)
    optimizer = torch.optim.Adam(density.parameters(), 0.03)
    scale = torch.tensor([[1.0], [4.0]])
    for _ in range(150):
        optimizer.zero_grad()
        density.bits((scale * torch.randn(2, 300)).round()).mean().backward()
        optimizer.step()
    bits = density.bits((scale * torch.randn(2, 20_000)).round()).mean(dim=1)
    normal = torch.distributions.Normal(0.0, scale[:, 0])
    cells = torch.arange(-40, 41.0)[:, None]
    mass = (normal.cdf(cells + 0.5) - normal.cdf(cells - 0.5)).clamp_min(1e-30)
    entropy = -(mass * mass.log2()).sum(dim=0)
    assert torch.allclose(bits, entropy, rtol=0.04)
    assert torch.allclose(density.table(-400, 400).sum(dim=1), torch.ones(2, dtype=torch.float64), atol=1e-3)


def test_a_symmetric_density_gives_its_middle_the_largest_mass():
    density = FactorizedDensity(1)
    with torch.no_grad():
        for bias in density.biases:
            bias.zero_()
    sides, middle = density.table(-1, 1)[0, ::2], density.table(-1, 1)[0, 1]
    assert (middle >= sides).all()
    assert (sides > 0).all()


def test_a_density_draws_in_what_lies_far_out():
    density = FactorizedDensity(1)
    far = torch.tensor([[5e4]], requires_grad=True)
    bits = density.bits(far)
    assert float(bits.detach()) == pytest.approx(-math.log2(1e-9), abs=0.1)
    bits.backward()
    assert far.grad.isfinite().all()


def test_probabilities_of_codewords_are_their_softmax():
    prior = CodewordPrior(2, 3)
    with torch.no_grad():
        prior.logits.copy_(torch.tensor([[0.0, 0.0, math.log(2)], [0.0, 1.0, 2.0]]))
    assert torch.allclose(prior.bits()[0], torch.tensor([2.0, 2.0, 1.0]))
    prior.active[0, 2] = False
    assert torch.allclose(prior.bits()[0, :2], torch.ones(2))
    assert prior.bits()[0, 2] == math.inf
    assert isinstance(make("vq-ste"), VectorSTE)
