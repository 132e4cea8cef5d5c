"""The paper's equations against values computed by hand, and their gradients."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck

from colorcnn.errors import UsageError
from colorcnn.models.assignment import (
    gumbel_noise,
    hard_indices,
    hard_palette,
    harden,
    lloyd_steps,
    one_hot,
    pool_channels,
    pool_rows,
    reinmax,
    simplex_noise,
    soft_palette,
    soft_render,
    straight_through,
    top_k_softmax,
)

EXACT = {"rtol": 0, "atol": 1e-10}


def tensor(values: object) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def random_assignment(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, dtype=torch.float64, generator=generator).softmax(dim=1)


def test_eq_2_takes_the_likeliest_colour() -> None:
    assignment = tensor([0.2, 0.5, 0.3, 0.6, 0.1, 0.3]).view(2, 3).T.reshape(1, 3, 1, 2)
    assert hard_indices(assignment).tolist() == [[[1, 0]]]


def test_eq_3_averages_the_pixels_of_each_index_and_leaves_unused_rows_0() -> None:
    images = tensor([[0.0, 0.2, 1.0], [0.5, 0.7, 0.0], [1.0, 0.0, 0.25]]).view(1, 3, 1, 3)
    palette = hard_palette(images, torch.tensor([[[2, 2, 0]]]), 4)
    expected = tensor([[[1.0, 0.0, 0.25], [0, 0, 0], [0.1, 0.6, 0.5], [0, 0, 0]]])
    torch.testing.assert_close(palette, expected, **EXACT)


def test_eq_3_keeps_its_digits_over_millions_of_pixels() -> None:
    images = torch.full((1, 3, 2048, 2048), 0.7)
    palette = hard_palette(images, torch.zeros(1, 2048, 2048, dtype=torch.uint8), 1)
    assert palette[0, 0, 0].item() == pytest.approx(0.7, abs=1e-7)


def test_eq_5_weights_every_pixel_by_its_assignment() -> None:
    images = tensor([[0.0, 1.0], [0.5, 0.5], [0.2, 0.6]]).view(1, 3, 1, 2)
    assignment = tensor([[0.25, 0.75], [0.75, 0.25]]).view(1, 2, 1, 2)
    expected = tensor([[[0.75, 0.5, 0.5], [0.25, 0.5, 0.3]]])
    torch.testing.assert_close(soft_palette(images, assignment), expected, **EXACT)


def test_eq_5_of_a_colour_without_mass_is_0_with_finite_gradients() -> None:
    logits = tensor([5.0, 4.0, -1.0, 5.0, 4.0, -1.0]).view(2, 3).T.reshape(1, 3, 1, 2).requires_grad_()
    assignment = top_k_softmax(logits, 2)
    palette = soft_palette(torch.rand(1, 3, 1, 2, dtype=torch.float64), assignment)
    soft_render(palette, assignment).square().sum().backward()
    assert palette[0, 2].tolist() == [0, 0, 0]
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_eq_6_mixes_the_palette_by_the_assignment() -> None:
    palette = tensor([[[1.0, 0.0, 0.5], [0.0, 1.0, 0.1]]])
    assignment = tensor([[1.0, 0.25], [0.0, 0.75]]).view(1, 2, 1, 2)
    expected = tensor([[1.0, 0.25], [0.0, 0.75], [0.5, 0.2]]).view(1, 3, 1, 2)
    torch.testing.assert_close(soft_render(palette, assignment), expected, **EXACT)


def test_eq_5_and_6_of_a_hard_assignment_are_eq_3_and_4() -> None:
    images = torch.rand(2, 3, 5, 7, dtype=torch.float64)
    indices = torch.randint(0, 6, (2, 5, 7))
    hard = one_hot(indices, 6, torch.float64)
    palette = soft_palette(images, hard)
    torch.testing.assert_close(palette, hard_palette(images, indices, 6), **EXACT)
    looked_up = torch.stack([palette[b][indices[b]].permute(2, 0, 1) for b in range(2)])
    torch.testing.assert_close(soft_render(palette, hard), looked_up, **EXACT)


def test_eq_8_averages_contiguous_blocks_also_where_c_does_not_divide_d() -> None:
    features = tensor(range(10)).view(1, 10, 1, 1)
    assert pool_channels(features, 5).flatten().tolist() == [0.5, 2.5, 4.5, 6.5, 8.5]
    # D = 10, C = 4: edges 0, 2, 5, 7, 10.
    assert pool_channels(features, 4).flatten().tolist() == pytest.approx([0.5, 3.0, 5.5, 8.0])
    assert pool_channels(features, 1).flatten().tolist() == [4.5]
    torch.testing.assert_close(pool_channels(features, 10), features, **EXACT)


def test_strided_pooling_averages_the_rows_that_are_c_apart() -> None:
    rows = tensor(range(10)).view(10, 1)
    # D = 10, C = 4: rows 0 4 8, 1 5 9, 2 6, 3 7.
    expected = tensor([4, 5, 4, 5]).view(4, 1)
    torch.testing.assert_close(pool_rows(rows, 4, strided=True), expected, **EXACT)
    for colors in (1, 10):
        torch.testing.assert_close(pool_rows(rows, colors, strided=True), pool_rows(rows, colors), **EXACT)
    with pytest.raises(UsageError, match="1 to 10"):
        pool_rows(rows, 11, strided=True)


@given(st.integers(1, 40), st.integers(1, 40))
def test_eq_8_folds_into_the_weights_of_the_convolution_before_it(rows: int, colors: int) -> None:
    weights = torch.randn(rows, 3, dtype=torch.float64)
    bottleneck = torch.randn(2, 3, 4, dtype=torch.float64)
    if colors > rows:
        with pytest.raises(UsageError, match=f"1 to {rows}"):
            pool_rows(weights, colors)
        return
    whole = torch.einsum("df,bfn->bdn", weights, bottleneck).unsqueeze(-1)
    folded = torch.einsum("df,bfn->bdn", pool_rows(weights, colors), bottleneck).unsqueeze(-1)
    torch.testing.assert_close(pool_channels(whole, colors), folded, **EXACT)


def test_eq_9_is_a_softmax_over_the_k_largest_channels() -> None:
    logits = tensor([1.0, 2.0, 3.0, 4.0, 10.0]).log().view(1, 5, 1, 1)
    expected = tensor([0.0, 2.0, 3.0, 4.0, 10.0]) / 19
    torch.testing.assert_close(top_k_softmax(logits, 4).flatten(), expected, **EXACT)


def test_eq_9_keeps_all_channels_when_there_are_no_more_than_k() -> None:
    logits = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(top_k_softmax(logits, 4), logits.softmax(dim=1), **EXACT)
    with pytest.raises(UsageError, match="at least 1"):
        top_k_softmax(logits, 0)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.integers(1, 4))
def test_eq_9_sums_to_1_with_at_most_k_terms(colors: int, k: int, height: int, width: int) -> None:
    assignment = top_k_softmax(torch.randn(2, colors, height, width, dtype=torch.float64), k)
    torch.testing.assert_close(assignment.sum(dim=1), torch.ones(2, height, width).double(), **EXACT)
    assert ((assignment > 0).sum(dim=1) == min(k, colors)).all()


def test_straight_through_has_the_hard_value_and_the_soft_gradient() -> None:
    soft = random_assignment(1, 3, 2, 2).requires_grad_()
    hard = one_hot(hard_indices(soft), 3, torch.float64)
    weights = torch.randn(1, 3, 2, 2, dtype=torch.float64)
    passed = straight_through(hard, soft)
    (passed * weights).sum().backward()
    torch.testing.assert_close(passed, hard, **EXACT)
    torch.testing.assert_close(soft.grad, weights, **EXACT)


def test_gradients_of_the_differentiable_equations() -> None:
    images = torch.rand(2, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    logits = torch.randn(2, 6, 2, 3, dtype=torch.float64, requires_grad=True)
    indices = torch.randint(0, 3, (2, 2, 3))
    assert gradcheck(lambda x: hard_palette(x, indices, 4), (images,))
    assert gradcheck(lambda h: pool_channels(h, 4), (logits,))
    assert gradcheck(lambda h: top_k_softmax(h, 3), (logits,))
    assert gradcheck(lambda x, h: soft_palette(x, h.softmax(1)), (images, logits))
    assert gradcheck(lambda x, h: soft_render(soft_palette(x, h.softmax(1)), h.softmax(1)), (images, logits))


def test_a_uniform_assignment_renders_the_mean_colour() -> None:
    images = torch.rand(1, 3, 4, 4, dtype=torch.float64)
    uniform = torch.full((1, 5, 4, 4), 0.2, dtype=torch.float64)
    rendered = soft_render(soft_palette(images, uniform), uniform)
    torch.testing.assert_close(rendered, images.mean((2, 3), keepdim=True).expand_as(images), **EXACT)
    assert math.isclose(rendered.std((2, 3)).max().item(), 0, abs_tol=1e-12)


def test_a_colour_of_next_to_no_mass_has_a_finite_gradient() -> None:
    images = torch.rand(1, 3, 2, 2)
    scores = torch.zeros(1, 2, 2, 2)
    scores[:, 1] = -95.0  # softmax gives it 6e-42, whose reciprocal is beyond float32
    scores.requires_grad_()
    assignment = scores.softmax(dim=1)
    soft_render(soft_palette(images, assignment), assignment).square().sum().backward()
    assert scores.grad.isfinite().all()


def test_gumbel_noise_turns_the_largest_score_into_a_sample_of_the_softmax() -> None:
    torch.manual_seed(0)
    scores = torch.tensor([0.0, 1.0, 2.0]).view(1, 3, 1, 1).expand(1, 3, 200, 200)
    drawn = one_hot(hard_indices(gumbel_noise(scores, 1.0)), 3).mean(dim=(0, 2, 3))
    torch.testing.assert_close(drawn, torch.tensor([0.0900, 0.2447, 0.6652]), atol=0.01, rtol=0)
    torch.testing.assert_close(gumbel_noise(scores, 0.0), scores)


def test_harden_makes_a_share_of_the_pixels_hard_and_keeps_the_soft_gradient() -> None:
    torch.manual_seed(0)
    soft = random_assignment(2, 3, 40, 40).requires_grad_()
    hard = one_hot(hard_indices(soft), 3, torch.float64)
    half = harden(soft, 0.5)
    is_hard, is_soft = ((half - other).abs().amax(dim=1) < 1e-12 for other in (hard, soft))
    assert (is_hard | is_soft).all()
    assert 0.45 < is_hard.double().mean() < 0.55
    weights = torch.randn_like(soft)
    (half * weights).sum().backward()
    torch.testing.assert_close(soft.grad, weights, **EXACT)
    torch.testing.assert_close(harden(soft, 0.0), soft, **EXACT)
    torch.testing.assert_close(harden(soft, 1.5), hard, **EXACT)


def test_simplex_noise_reaches_as_far_as_the_hard_assignment_and_stays_in_the_simplex() -> None:
    torch.manual_seed(0)
    assignment = (3 * torch.randn(2, 5, 30, 30)).softmax(dim=1).requires_grad_()
    noisy = simplex_noise(assignment)
    assert (noisy >= 0).all()
    assert torch.allclose(noisy.sum(dim=1), torch.ones(2, 30, 30))
    hard = one_hot(hard_indices(assignment), 5)
    reach = (hard - assignment).norm(dim=1)
    assert ((noisy - assignment).norm(dim=1) <= 1.5 * reach + 1e-5).all()
    assert (noisy - assignment).norm(dim=1).mean() > 0.3 * reach.mean()
    assert torch.autograd.grad(noisy.square().sum(), assignment)[0].abs().sum() > 0
    sure = one_hot(torch.zeros(1, 2, 2, dtype=torch.long), 5)
    assert torch.equal(simplex_noise(sure), sure), "what is hard already is left alone"


def test_a_lloyd_step_takes_the_nearest_colour_in_use_and_the_mean_anew() -> None:
    images = torch.tensor([0.0, 0.1, 0.4, 0.9, 1.0]).view(1, 1, 1, 5).expand(1, 3, 1, 5)
    indices = torch.tensor([0, 0, 2, 2, 2]).view(1, 1, 5)
    palette = hard_palette(images, indices, 4)  # .05, unused, .767, unused: black must not be taken
    near, means = lloyd_steps(images, indices, palette, 1)
    assert near.flatten().tolist() == [0, 0, 0, 2, 2]
    expected = torch.tensor([0.5 / 3, 0, 0.95, 0]).view(1, 4, 1).expand(1, 4, 3)
    torch.testing.assert_close(means, expected)
    for steps in (2, 9):
        assert torch.equal(lloyd_steps(images, indices, palette, steps)[0], near), "it has converged"
    same = lloyd_steps(images, indices, palette, 0)
    assert torch.equal(same[0], indices)
    assert torch.equal(same[1], palette)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 12))
def test_lloyd_steps_never_make_the_error_larger(height: int, width: int, colors: int) -> None:
    images = torch.rand(2, 3, height, width, dtype=torch.float64)
    indices = torch.randint(colors, (2, height, width))
    palette, errors = hard_palette(images, indices, colors), []
    for _ in range(4):
        errors.append((soft_render(palette, one_hot(indices, colors, images.dtype)) - images).square().mean())
        indices, palette = lloyd_steps(images, indices, palette, 1)
    assert all(after <= before + 1e-12 for before, after in itertools.pairwise(errors))


def test_lloyd_steps_choose_in_float32_whatever_the_images_are_in() -> None:
    images = torch.rand(1, 3, 16, 16).bfloat16()
    indices = torch.randint(64, (1, 16, 16))
    palette = hard_palette(images, indices, 64)
    whole, _ = lloyd_steps(images.float(), indices, palette.float(), 1)
    narrow, means = lloyd_steps(images, indices, palette, 1)
    assert torch.equal(narrow, whole)
    assert means.dtype == torch.bfloat16


def test_reinmax_draws_hard_assignments_as_often_as_the_soft_one_says() -> None:
    torch.manual_seed(0)
    soft = tensor([0.7, 0.2, 0.1]).view(1, 3, 1, 1).expand(1, 3, 100, 200)
    drawn = reinmax(soft)
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert (drawn.sum(dim=1) == 1).all()
    torch.testing.assert_close(drawn.mean(dim=(0, 2, 3)), soft[0, :, 0, 0], rtol=0, atol=0.02)


def test_reinmax_is_exact_for_a_quadratic_loss_and_straight_through_is_not() -> None:
    torch.manual_seed(0)
    weights = tensor([[1.0, -2.0, 0.5], [-2.0, 3.0, 1.0], [0.5, 1.0, -1.0]])
    at = tensor([0.3, -0.4, 0.8])

    def loss(assignment: torch.Tensor) -> torch.Tensor:
        return torch.einsum("bchw,cd,bdhw->bhw", assignment, weights, assignment).mean()

    def gradient(estimate: object) -> torch.Tensor:
        scores = at.clone().requires_grad_()
        loss(estimate(scores.softmax(dim=0).view(1, 3, 1, 1).expand(1, 3, 400, 500))).backward()
        return scores.grad

    exact = at.clone().requires_grad_()
    (exact.softmax(dim=0) * weights.diagonal()).sum().backward()  # the loss of each one-hot draw
    torch.testing.assert_close(gradient(reinmax), exact.grad, rtol=0, atol=0.02)

    def usual(soft: torch.Tensor) -> torch.Tensor:
        return straight_through(reinmax(soft.detach()), soft)

    assert (gradient(usual) - exact.grad).abs().max() > 0.1
