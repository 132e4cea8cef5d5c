"""Gradients past a quantizer: the rate's estimated gradient against finite differences, and the noise."""

import math

import pytest
import torch

from colorcnn.vq.estimators import (
    carry_gradient,
    rotate_onto,
    straight_through,
    surface_gradient,
    unit_ball,
    unit_sphere,
)
from colorcnn.vq.methods import create_quantizer
from colorcnn.vq.noise import SphereNoise


def quantizer(dimension):
    """A quantizer of unequal codewords and probabilities, and vectors among them."""
    torch.manual_seed(3)
    made = SphereNoise(dimension, dimension, size=9, radius_floor=0.0).double()
    with torch.no_grad():
        made.codebook.copy_(torch.randn_like(made.codebook))
        made.prior.logits.copy_(2 * torch.randn_like(made.prior.logits))
    return made


@torch.no_grad()
def smoothed_rate(made, vector, radius, count=100_000):
    """E l(y + r u) over the unit ball by a fixed set of points: an interval's midpoints, a disc's spiral."""
    place = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    if len(vector) == 1:
        points = 2 * place[:, None] - 1
    else:
        angle = math.pi * (1 + 5**0.5) * torch.arange(count, dtype=torch.float64)
        points = place.sqrt()[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)
    return made.nearest_bits((vector + radius * points)[None]).mean()


@pytest.mark.parametrize("dimension", [1, 2])
def test_the_rate_gradient_agrees_with_finite_differences_at_fixed_radius(dimension):
    made = quantizer(dimension)
    radius, step, draws = 0.6, 0.03 if dimension == 2 else 0.002, 100_000
    checked = 0
    for vector in torch.randn(3, dimension, dtype=torch.float64):
        many = vector.expand(1, draws, dimension)
        found = surface_gradient(made.nearest_bits, many, torch.full((1, draws), radius).double()).mean(1)[0]
        expected = torch.stack(
            [
                smoothed_rate(made, vector + step * axis, radius)
                - smoothed_rate(made, vector - step * axis, radius)
                for axis in torch.eye(dimension, dtype=torch.float64)
            ]
        ) / (2 * step)
        if expected.norm() > 0.3:  # else nothing but the noise of both would be compared
            assert (found - expected).norm() <= 0.05 * expected.norm()
            checked += 1
    assert checked


def test_the_pathwise_gradient_of_the_rate_is_zero():
    made = quantizer(2)
    vectors = torch.randn(1, 50, 2, dtype=torch.float64, requires_grad=True)
    noisy = vectors + 0.6 * unit_ball(vectors)
    rate = made.nearest_bits(noisy).sum() + 0 * vectors.sum()
    assert (torch.autograd.grad(rate, vectors)[0] == 0).all()


@pytest.mark.parametrize(("kind", "moves"), [("surface", True), ("soft", True), ("pathwise", False)])
def test_the_encoder_learns_of_the_rate_unless_the_gradient_is_pathwise(kind, moves):
    made = quantizer(2)
    made.rate_gradient = kind
    latent = torch.randn(40, 2, dtype=torch.float64, requires_grad=True)
    bits = made.approximate(latent).bits
    assert torch.allclose(bits, made.quantize(latent).bits), "the value is that of the nearest codeword"
    gradient = torch.autograd.grad(bits.sum() + 0 * latent.sum(), latent)[0]
    assert bool(gradient.abs().sum() > 0) is moves
    assert gradient.isfinite().all()


def test_the_floor_bounds_the_gradient_of_vectors_that_meet_their_codeword():
    vectors = torch.zeros(1, 1000, 1)
    radius = torch.ones(1, 1000)
    radius[0, 0] = 1e-9
    jump = lambda values: (values[..., 0] > 0).float()  # noqa: E731
    free, floored = (surface_gradient(jump, vectors, radius, floor)[0, 0].abs() for floor in (0.0, 0.3))
    assert free > 1e8
    assert float(floored) == pytest.approx(1 / 0.6, rel=1e-3)


def test_the_floor_is_that_of_a_vectors_own_codebook():
    """A codebook of a finer scale learns of its rate as one of a coarser scale does."""
    torch.manual_seed(0)
    fine = 0.01
    coarse_vectors, coarse_radius = torch.randn(1, 500, 1), torch.rand(1, 500)
    vectors, radius = (
        torch.cat([coarse_vectors, fine * coarse_vectors]),
        torch.cat([coarse_radius, fine * coarse_radius]),
    )
    step = lambda values: (values[..., 0] > 0).float()  # noqa: E731
    coarse, fine_gradient = surface_gradient(step, vectors, radius, floor=0.3)
    assert torch.allclose(coarse.abs(), fine * fine_gradient.abs(), rtol=1e-4)


@pytest.mark.parametrize("dimension", [1, 2, 4])
def test_noise_is_uniform_in_the_ball_and_on_its_surface(dimension):
    torch.manual_seed(0)
    like = torch.empty(50_000, dimension)
    assert torch.allclose(unit_sphere(like).norm(dim=1), torch.ones(50_000), atol=1e-5)
    ball = unit_ball(like)
    assert ball.norm(dim=1).max() <= 1 + 1e-6
    inside = (ball.norm(dim=1) < 0.5).float().mean()
    assert float(inside) == pytest.approx(0.5**dimension, abs=0.01)
    assert ball.mean(dim=0).abs().max() < 0.02


def test_noise_within_a_simplex_adds_up_to_nothing():
    like = torch.empty(20_000, 3)
    assert unit_ball(like, zero_sum=True).sum(dim=1).abs().max() < 1e-5
    inside = (unit_ball(like, zero_sum=True).norm(dim=1) < 0.5).float().mean()
    assert float(inside) == pytest.approx(0.25, abs=0.02), "a ball of two dimensions"


def test_gradients_are_carried_without_changing_values():
    hard, soft = torch.tensor([3.0]), torch.tensor([0.4], requires_grad=True)
    passed = straight_through(hard, soft * 2)
    assert passed == 3
    assert torch.autograd.grad(passed, soft)[0] == 2
    vectors = torch.ones(5, 2, requires_grad=True)
    gradient = torch.rand(5, 2)
    carried = carry_gradient(torch.arange(5.0), vectors, gradient)
    assert torch.equal(carried, torch.arange(5.0))
    assert torch.equal(torch.autograd.grad(carried.sum(), vectors)[0], gradient)


def test_a_rotation_turns_and_scales_the_gradient_as_it_turns_the_vector():
    vector = torch.tensor([[1.0, 0.0]], requires_grad=True)
    turned = rotate_onto(vector, torch.tensor([[0.0, 2.0]]))
    assert torch.equal(turned.detach(), torch.tensor([[0.0, 2.0]]))
    (turned * torch.tensor([[5.0, 3.0]])).sum().backward()
    # A quarter turn and a factor of 2: the gradient (5, 3) goes back to 2 (3, -5).
    torch.testing.assert_close(vector.grad, torch.tensor([[6.0, -10.0]]))


def test_a_rotation_keeps_the_angle_between_gradient_and_codeword():
    torch.manual_seed(0)
    vectors = torch.randn(20, 3, dtype=torch.float64, requires_grad=True)
    targets, gradient = torch.randn(2, 20, 3, dtype=torch.float64)
    (rotate_onto(vectors, targets) * gradient).sum().backward()
    passed = torch.cosine_similarity(vectors.grad, vectors.detach())
    torch.testing.assert_close(passed, torch.cosine_similarity(gradient, targets))


@pytest.mark.parametrize(
    ("vector", "target"), [((0.0, 0.0), (1.0, 1.0)), ((1.0, 1.0), (0.0, 0.0)), ((1.0, 2.0), (-2.0, -4.0))]
)
def test_where_no_rotation_is_defined_the_gradient_passes_straight(vector, target):
    vector = torch.tensor([vector], requires_grad=True)
    (rotate_onto(vector, torch.tensor([target])) * torch.tensor([[5.0, 3.0]])).sum().backward()
    assert vector.grad.tolist() == [[5.0, 3.0]]


def with_codewords(method, codewords, **options):
    made = create_quantizer(method, 2, dimension=2, size=len(codewords), **options)
    with torch.no_grad():
        made.codebook.copy_(torch.tensor([codewords]))
    return made


def test_a_step_towards_the_codeword_has_the_gradient_of_its_length_alone():
    made = with_codewords("diveq", [(3.0, 4.0), (50.0, 50.0)], spread=0.0)
    latent = torch.zeros(1, 2, requires_grad=True)
    found = made.approximate(latent)
    torch.testing.assert_close(found.latent.detach(), torch.tensor([[3.0, 4.0]]))
    (found.latent * torch.tensor([[1.0, 0.0]])).sum().backward()
    # d/dv of v + |t - v| u is the identity less u u^T, and d/dt is u u^T, with u = (.6, .8).
    torch.testing.assert_close(latent.grad, torch.tensor([[0.64, -0.48]]))
    torch.testing.assert_close(made.codebook.grad[0, 0], torch.tensor([0.36, 0.48]))


def test_the_noise_of_a_step_is_in_its_direction_and_not_in_its_length():
    torch.manual_seed(0)
    made = with_codewords("diveq", [(3.0, 4.0), (50.0, 50.0)], spread=0.2)
    found = made.approximate(torch.zeros(500, 2)).latent.detach()
    torch.testing.assert_close(found.norm(dim=1), torch.full((500,), 5.0))
    assert 0.3 < found.std(dim=0).max() < 1.5


def test_one_matrix_moves_all_codewords_and_they_can_be_set_one_by_one():
    made = create_quantizer("simvq", 4, dimension=2, size=5)
    latent = torch.randn(64, 4)
    with torch.no_grad():
        made.weight.copy_(torch.tensor([[2.0, 1.0], [0.0, 1.0]]))
    made.start(latent)
    vectors = made.split(latent)
    assert torch.cdist(made.codebook, vectors).min(dim=2).values.max() < 2e-3
    made.approximate(latent).distance.backward()
    assert made.weight.grad.abs().sum() > 0
    before = made.codebook.detach().clone()
    with torch.no_grad():
        made.weight.mul_(2)
    torch.testing.assert_close(made.codebook, 2 * before)
    assert {name for name, _ in made.named_parameters()} == {"weight", "prior.logits"}


def test_scalars_are_bounded_and_rounded_to_the_levels_of_a_grid():
    made = create_quantizer("fsq", 2, dimension=2, size=12).train()
    latent = torch.tensor([[0.2, 5.0], [-9.0, -0.4]], requires_grad=True)
    found = made(latent)
    assert found.latent.tolist() == [[0.0, 1.0], [-1.0, 0.0]]
    assert found.indices.flatten().tolist() == [3 * 1 + 2, 3 * 0 + 1]
    found.latent.sum().backward()
    torch.testing.assert_close(latent.grad, 1 - latent.detach().tanh().square())
    assert [name for name, _ in made.named_parameters()] == ["prior.logits"]
