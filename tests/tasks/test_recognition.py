"""Losses of judges on quantized images."""

import pytest
import torch
import torch.nn.functional as F

from colorcnn.errors import UsageError
from colorcnn.losses import distillation_loss
from colorcnn.tasks.recognition import FrozenClassifiers, load_frozen_classifier

LABELS = torch.tensor([3, 1])


@pytest.fixture
def images():
    return torch.rand(2, 3, 6, 5, generator=torch.Generator().manual_seed(1))


def test_losses_are_averaged_over_the_judges_and_mixed_with_distillation(images):
    judges = FrozenClassifiers(["tiny:classifier", "tiny:classifier"], 10, distillation=0.25)
    logits, teacher = judges[0](images.round()), judges[0](images)
    expected = 0.75 * F.cross_entropy(logits, LABELS) + 0.25 * distillation_loss(logits, teacher)
    losses = judges(images.round(), images, LABELS)
    assert list(losses) == ["recognition"]
    torch.testing.assert_close(losses["recognition"], expected)


def test_several_labels_are_judged_one_by_one(images):
    judges = FrozenClassifiers(["tiny:classifier"], 10)
    labels = F.one_hot(LABELS, 10).float()
    expected = F.binary_cross_entropy_with_logits(judges[0](images), labels)
    torch.testing.assert_close(judges(images, images, labels)["recognition"], expected)


def test_judges_never_change(images):
    judges = FrozenClassifiers(["tiny:classifier"], 10, perceptual=True).train()
    before = {name: value.clone() for name, value in judges.state_dict().items()}
    sum(judges(images.round().requires_grad_(), images, LABELS, images).values()).backward()
    assert all(torch.equal(value, judges.state_dict()[name]) for name, value in before.items())
    assert all(parameter.grad is None for parameter in judges.parameters())


def test_anothers_judge_sees_the_usual_layout_in_every_loss(images):
    judges = FrozenClassifiers(["tiny:viewing"], 10, perceptual=True, distillation=0.5)
    last = images.contiguous(memory_format=torch.channels_last)
    assert judges(last, last, LABELS, last)["perceptual"] == 0


def test_a_judge_without_feature_maps_has_no_perceptual_loss():
    with pytest.raises(UsageError, match="no layer 'final'"):
        FrozenClassifiers(["tiny:flat"], 10, perceptual=True)


def test_a_judge_of_other_classes_is_refused():
    with pytest.raises(UsageError, match="has 10 classes and the data set has 7"):
        load_frozen_classifier("tiny:flat", 7)


def test_masks_are_not_distilled(images):
    masks = torch.zeros(2, 6, 5, dtype=torch.uint8)
    with pytest.raises(UsageError, match="set distillation to 0"):
        FrozenClassifiers(["tiny:classifier"], 10, distillation=1.0)(images, images, masks)
