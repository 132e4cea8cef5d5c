"""The loss terms against values computed by hand, their gradients, and the exact imitation loss."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck

from colorcnn.losses import (
    color_appearance,
    confidence_entropy,
    distillation_loss,
    imitation_loss,
    information_entropy,
)
from colorcnn.models.assignment import one_hot

EXACT = {"rtol": 0, "atol": 1e-10}


def assignment_of(*pixels: list[float]) -> Tensor:
    """One image of one row whose pixels have these assignments: (1, C, 1, N)."""
    return torch.tensor(pixels, dtype=torch.float64).T[None, :, None]


def direct_imitation_loss(assignment: Tensor, target_indices: Tensor, pixels: Tensor | None = None) -> Tensor:
    """Equations 10 to 12 as they are written, with the N x N matrices."""
    soft = assignment.flatten(2)
    hard = one_hot(target_indices, int(target_indices.max()) + 1, soft.dtype).flatten(2)
    if pixels is not None:
        soft, hard = (m.gather(2, pixels[:, None].expand(-1, m.shape[1], -1)) for m in (soft, hard))
    a, b = (m.transpose(1, 2) @ m for m in (soft, hard))
    difference = a / a.norm(dim=2, keepdim=True) - b / b.norm(dim=2, keepdim=True)
    return (difference.square().sum((1, 2)) / soft.shape[2]).mean()


def test_eq_7_is_minus_the_mean_of_each_colours_surest_pixel() -> None:
    assignment = assignment_of([0.7, 0.2, 0.1], [0.1, 0.5, 0.4])
    assert color_appearance(assignment).item() == pytest.approx(-(0.7 + 0.5 + 0.4) / 3, abs=1e-10)
    uniform = torch.full((2, 8, 3, 3), 1 / 8, dtype=torch.float64)
    assert color_appearance(uniform).item() == pytest.approx(-1 / 8, abs=1e-10)


def test_eq_14_is_minus_the_entropy_of_how_the_colours_are_used() -> None:
    assignment = assignment_of([1.0, 0.0], [0.5, 0.5])
    expected = 0.75 * math.log(0.75) + 0.25 * math.log(0.25)
    assert information_entropy(assignment).item() == pytest.approx(expected, abs=1e-10)
    balanced = one_hot(torch.arange(4).view(1, 2, 2), 4, torch.float64)
    assert information_entropy(balanced).item() == pytest.approx(-math.log(4), abs=1e-10)


def test_eq_15_is_the_mean_entropy_of_a_pixel() -> None:
    assignment = assignment_of([1.0, 0.0], [0.5, 0.5])
    assert confidence_entropy(assignment).item() == pytest.approx(math.log(2) / 2, abs=1e-10)
    certain = one_hot(torch.randint(0, 3, (2, 4, 4)), 3, torch.float64)
    assert confidence_entropy(certain).item() == 0


def test_terms_are_means_over_the_batch_of_each_images_value() -> None:
    images = torch.randn(3, 4, 2, 5, dtype=torch.float64).softmax(1)
    targets = torch.randint(0, 4, (3, 2, 5))
    for term in (color_appearance, information_entropy, confidence_entropy):
        each = torch.stack([term(image[None]) for image in images])
        torch.testing.assert_close(term(images), each.mean(), **EXACT)
    each = torch.stack([imitation_loss(i[None], t[None]) for i, t in zip(images, targets, strict=True)])
    torch.testing.assert_close(imitation_loss(images, targets), each.mean(), **EXACT)


def test_eq_12_of_known_partitions() -> None:
    target = torch.tensor([[[0, 0], [1, 1]]])
    uniform = torch.full((1, 2, 2, 2), 0.5, dtype=torch.float64)
    assert imitation_loss(uniform, target).item() == pytest.approx(2 - math.sqrt(2), abs=1e-10)
    crossing = one_hot(torch.tensor([[[0, 1], [0, 1]]]), 2, torch.float64)
    assert imitation_loss(crossing, target).item() == pytest.approx(1, abs=1e-10)


def test_eq_12_is_0_for_equal_partitions_whatever_their_names() -> None:
    target = torch.randint(0, 5, (2, 6, 6))
    names = torch.randperm(5)
    assert imitation_loss(one_hot(names[target], 5, torch.float64), target).item() == pytest.approx(
        0, abs=1e-10
    )


def test_eq_12_is_unchanged_by_renaming_the_clusters_of_either_side() -> None:
    assignment = torch.randn(2, 5, 4, 4, dtype=torch.float64).softmax(1)
    target = torch.randint(0, 5, (2, 4, 4))
    names = torch.randperm(5)
    expected = imitation_loss(assignment, target)
    torch.testing.assert_close(imitation_loss(assignment[:, names], target), expected, **EXACT)
    torch.testing.assert_close(imitation_loss(assignment, names[target]), expected, **EXACT)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**31 - 1))
def test_the_exact_form_of_eq_12_equals_the_direct_one(
    colors: int, targets: int, height: int, width: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, colors, height, width, dtype=torch.float64, generator=generator)
    target = torch.randint(0, targets, (2, height, width), generator=generator)
    pixels = torch.stack([torch.randperm(height * width, generator=generator) for _ in range(2)])
    pixels = pixels[:, : max(1, height * width // 2)]
    for chosen in (None, pixels):
        torch.testing.assert_close(
            imitation_loss(logits.softmax(1), target, chosen),
            direct_imitation_loss(logits.softmax(1), target, chosen),
            **EXACT,
        )


def test_gradients_of_the_terms() -> None:
    logits = torch.randn(2, 4, 2, 3, dtype=torch.float64, requires_grad=True)
    target = torch.randint(0, 3, (2, 2, 3))
    for term in (color_appearance, information_entropy, confidence_entropy):
        assert gradcheck(lambda h, term=term: term(h.softmax(1)), (logits,))
    assert gradcheck(lambda h: imitation_loss(h.softmax(1), target), (logits,))


def test_the_exact_form_has_the_direct_forms_gradient() -> None:
    target = torch.randint(0, 4, (2, 5, 5))
    gradients = []
    for loss in (imitation_loss, direct_imitation_loss):
        logits = torch.linspace(-1, 1, 200, dtype=torch.float64).sin().view(2, 4, 5, 5).requires_grad_()
        loss((3 * logits).softmax(1), target).backward()
        gradients.append(logits.grad)
    torch.testing.assert_close(gradients[0], gradients[1], **EXACT)


def test_entropies_of_certain_assignments_have_finite_gradients() -> None:
    certain = one_hot(torch.zeros(1, 2, 2, dtype=torch.int64), 3, torch.float64).requires_grad_()
    (information_entropy(certain) + confidence_entropy(certain)).backward()
    assert certain.grad is not None
    assert certain.grad.isfinite().all()


def test_eq_1_13_and_16_add_the_terms_by_their_weights() -> None:
    assignment = torch.randn(2, 4, 3, 3, dtype=torch.float64).softmax(1)
    target = torch.randint(0, 4, (2, 3, 3))
    gamma, alpha, beta, lam, recognition = 0.5, 2.0, 3.0, 4.0, 1.25
    total = (
        recognition
        + lam * imitation_loss(assignment, target)
        + gamma
        * (
            color_appearance(assignment)
            + alpha * information_entropy(assignment)
            + beta * confidence_entropy(assignment)
        )
    )
    parts = [
        assignment.flatten(2).amax(2).mean(1),
        assignment.flatten(2).mean(2),
        assignment.flatten(2),
    ]
    r_color = -parts[0].mean()
    r_info = (parts[1] * parts[1].log()).sum(1).mean()
    r_conf = -(parts[2] * parts[2].log()).sum(1).mean()
    expected = recognition + lam * direct_imitation_loss(assignment, target)
    expected = expected + gamma * (r_color + alpha * r_info + beta * r_conf)
    torch.testing.assert_close(total, expected, **EXACT)


def test_distillation_is_least_where_the_answers_agree() -> None:
    teacher = torch.randn(4, 10, dtype=torch.float64)
    entropy = -(teacher.softmax(1) * teacher.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(distillation_loss(teacher, teacher), entropy, **EXACT)
    assert distillation_loss(torch.randn(4, 10, dtype=torch.float64), teacher) > entropy
