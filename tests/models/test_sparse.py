"""The sparse forms of an assignment against the dense ones: equal in value and in gradient."""

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from colorcnn.losses import color_appearance, confidence_entropy, imitation_loss, information_entropy
from colorcnn.models import create_model
from colorcnn.models.assignment import (
    hard_assignment,
    hard_indices,
    harden,
    simplex_noise,
    soft_palette,
    soft_render,
    top_k_softmax,
)
from colorcnn.models.sparse import gumbel_noise, top_k_of_product, top_k_sparse

EXACT = {"rtol": 0, "atol": 1e-11}
COLORS, KEPT, SHAPE = 9, 3, (2, 9, 4, 5)


def seeded(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


IMAGES = seeded(2, 3, 4, 5, seed=1).sigmoid()
TARGETS = torch.randint(0, 6, (2, 4, 5), generator=torch.Generator().manual_seed(2))
PIXELS = torch.stack([torch.arange(0, 20, 3), torch.arange(1, 21, 3)])


def rendered(assignment):
    return soft_render(soft_palette(IMAGES, assignment), assignment)


def drawn(function):
    """With the same random numbers at every call."""

    def call(assignment):
        torch.manual_seed(3)
        return function(assignment)

    return call


TERMS = {
    "R_color": color_appearance,
    "R_info": information_entropy,
    "R_conf": confidence_entropy,
    "imitation": lambda a: imitation_loss(a, TARGETS),
    "imitation of some pixels": lambda a: imitation_loss(a, TARGETS, PIXELS),
    "palette": lambda a: soft_palette(IMAGES, a),
    "image": rendered,
    "hard image": lambda a: rendered(hard_assignment(a)),
    "half hard image": drawn(lambda a: rendered(harden(a, 0.5))),
    "simplex noise": drawn(lambda a: rendered(simplex_noise(a))),
    "hard palette": lambda a: soft_render(soft_palette(IMAGES, hard_assignment(a)), a),
}


@pytest.mark.parametrize("term", TERMS.values(), ids=TERMS)
def test_sparse_forms_have_the_value_and_the_gradient_of_the_dense_ones(term):
    logits = 3 * seeded(*SHAPE)
    found = []
    for form in (top_k_softmax, top_k_sparse):
        scores = logits.clone().requires_grad_()
        value = term(form(scores, KEPT))
        weights = seeded(*value.shape, seed=4)
        (value * weights).sum().backward()
        found.append((value.detach(), scores.grad))
    torch.testing.assert_close(found[1], found[0], **EXACT)
    assert found[0][1].abs().sum() > 0


def test_indices_and_dense_form_agree():
    logits = seeded(*SHAPE)
    sparse, dense = top_k_sparse(logits, KEPT), top_k_softmax(logits, KEPT)
    assert sparse.shape == dense.shape
    torch.testing.assert_close(sparse.dense(), dense, **EXACT)
    assert torch.equal(hard_indices(sparse), hard_indices(dense))


def test_the_gradient_of_r_color_goes_to_the_first_of_equal_pixels():
    """Pixels that are sure of the same colour are many at the end of a training."""
    logits = torch.zeros(1, 4, 2, 3, dtype=torch.float64)
    logits[:, 1], logits[:, 2] = 1.0, 0.5
    logits[:, 2, 1] = 2.0
    gradients = []
    for form in (top_k_softmax, top_k_sparse):
        scores = logits.clone().requires_grad_()
        color_appearance(form(scores, 2)).backward()
        gradients.append(scores.grad[:, 1])
    torch.testing.assert_close(gradients[1], gradients[0], **EXACT)
    assert gradients[0].flatten().nonzero().flatten().tolist() == [0, 3], "one pixel for each of the colours"


@pytest.mark.parametrize("noise", [0.0, 0.7])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_best_of_a_product_are_found_without_building_it(noise, memory_format, dtype):
    found = []
    for built in (True, False):
        features = seeded(3, 4, 17, 31).to(dtype).contiguous(memory_format=memory_format).requires_grad_()
        weight = seeded(COLORS, 4, seed=5).to(dtype).requires_grad_()
        torch.manual_seed(6)
        if built:
            scores = torch.einsum("cf,bfhw->bchw", weight, features)
            assignment = top_k_sparse(gumbel_noise(scores, noise) if noise else scores, KEPT)
        else:
            assignment = top_k_of_product(features, weight, KEPT, noise)
        weights = seeded(*assignment.values.shape, seed=7).to(dtype)
        (assignment.values * weights).sum().backward()
        found.append((assignment.indices, assignment.values.detach(), features.grad, weight.grad))
    assert torch.equal(found[0][0], found[1][0])
    tolerance = EXACT if dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-4}
    torch.testing.assert_close(found[1][1:], found[0][1:], **tolerance)


def test_the_product_passes_gradcheck():
    features, weight = seeded(1, 2, 2, 2).requires_grad_(), seeded(5, 2, seed=8).requires_grad_()
    assert gradcheck(lambda f, w: top_k_of_product(f, w, 2).values, (features, weight))


def test_a_score_that_is_no_number_reaches_the_loss():
    features = torch.ones(1, 2, 3, 3)
    weight = torch.zeros(6, 2)
    weight[4] = torch.nan
    assert top_k_of_product(features, weight, 3).values.isnan().all()


@pytest.mark.parametrize("own_heads", [False, True])
@pytest.mark.parametrize(
    ("pooling", "size", "kept"), [("blocks", 16, 4), ("strided", 9, 4), ("blocks", 3, 3)]
)
def test_a_model_gives_the_same_assignment_in_both_forms(own_heads, pooling, size, kept):
    torch.manual_seed(9)
    options = {"backbone_kwargs": {"width": 4, "depth": 1}, "pooling": pooling, "own_heads": own_heads}
    model = create_model("colorcnn-plus", trained_sizes=[4, 16], feature_channels=32, **options).double()
    images = torch.rand(2, 3, 8, 6, dtype=torch.float64)
    forms = []
    for form in (model.soft, model.soft_top_k):
        torch.manual_seed(10)
        forms.append(form(images, size, 0.3, 0.5))
    assert forms[1].values.shape == (2, kept, 8, 6)
    torch.testing.assert_close(forms[1].dense(), forms[0], **EXACT)
