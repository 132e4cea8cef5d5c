"""What a ColorCNN's training shows its classifiers: soft images, hard ones, and the way between."""

from types import SimpleNamespace

import pytest
import torch

from colorcnn.errors import UsageError
from colorcnn.losses import confidence_entropy
from colorcnn.models.assignment import hard_indices, hard_palette, one_hot, soft_palette, soft_render
from colorcnn.tasks.colorcnn import ColorCNNTask


def make(epoch=0, step=0, **options):
    """A task in the middle of ten epochs of ten steps."""
    network = {"backbone_kwargs": {"width": 4, "depth": 1}}
    task = ColorCNNTask(
        ["tiny:classifier"], 10, [0.5] * 3, [0.25] * 3, quantizer_kwargs=network, sizes=[4], **options
    )
    task._trainer = SimpleNamespace(
        max_epochs=10, current_epoch=epoch, global_step=step, estimated_stepping_batches=100
    )
    return task


@pytest.fixture
def images():
    return torch.rand(2, 3, 6, 5, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def assignment():
    scores = torch.randn(2, 4, 6, 5, generator=torch.Generator().manual_seed(2))
    return scores.softmax(dim=1).requires_grad_()


def test_the_soft_image_is_shown_until_the_straight_through_share_begins(images, assignment):
    soft = soft_render(soft_palette(images, assignment), assignment)
    torch.testing.assert_close(make(epoch=6, straight_through=0.3).render(images, assignment), soft)
    assert not torch.allclose(make(epoch=7, straight_through=0.3).render(images, assignment), soft)


def test_straight_through_shows_the_hard_image_and_passes_the_gradient_on(images, assignment):
    indices = hard_indices(assignment)
    expected = soft_render(hard_palette(images, indices, 4), one_hot(indices, 4))
    shown = make(straight_through=1.0).render(images, assignment)
    torch.testing.assert_close(shown, expected)
    shown.square().sum().backward()
    assert (assignment.grad.abs() > 0).all()


def test_stand_in_the_palette_keeps_the_soft_indices(images, assignment):
    palette = hard_palette(images, hard_indices(assignment), 4)
    shown = make(straight_through=1.0, stand_in="palette").render(images, assignment)
    torch.testing.assert_close(shown, soft_render(palette, assignment))


def test_the_temperature_falls_geometrically_to_its_end(images):
    task = make(step=50, temperature=0.01)
    scores = task.quantizer.logits(task.quantizer.encode(images), 4)
    torch.testing.assert_close(
        task.quantizer.soft(images, 4, task.temperature), task.quantizer.assign(scores / 0.1)
    )
    assert make(step=0, temperature=0.01).temperature == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"temperature": 0.0}, "temperature is 0.0: it must be above 0"),
        ({"jitter_contrast": 0.0}, "jitter_contrast is 0.0: it must be above 0"),
        ({"imitation_pixels": 0.0}, "imitation_pixels is 0.0"),
        ({"distillation": 1.5}, "distillation is 1.5: it is a share"),
        ({"size_weights": [1.0, 2.0]}, "size_weights is .* for each of the sizes"),
        ({"size_weights": [0.0]}, "not all 0"),
        ({"task_batches": 0}, "task_batches is 0"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options, told):
    with pytest.raises(UsageError, match=told):
        make(**options)


def test_a_training_without_judges_is_refused():
    with pytest.raises(UsageError, match="classifiers is empty"):
        ColorCNNTask([], 10, [0.5] * 3, [0.25] * 3)


def test_the_confidence_weight_rises_over_its_warmup_and_fades_with_the_colours(assignment):
    options = {"confidence_weight": 8.0, "confidence_schedule": "sigmoid", "imitation_weight": 0.0}
    full = make(step=100, **options)._regularizers(assignment, None, 16)["confidence"]
    quarter = make(step=25, confidence_warmup=0.5, **options)._regularizers(assignment, None, 16)[
        "confidence"
    ]
    torch.testing.assert_close(full, 8 * 0.5 * confidence_entropy(assignment))
    torch.testing.assert_close(quarter, full / 2)
