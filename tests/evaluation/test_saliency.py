"""Activation maps against feature maps weighted by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from colorcnn.errors import UsageError
from colorcnn.evaluation.saliency import activation_maps
from colorcnn.models.classifiers import Classifier, create_classifier, frozen


def network(head: nn.Sequential) -> Classifier:
    torch.manual_seed(0)
    features = nn.Sequential(nn.Conv2d(3, 5, 3, stride=2, padding=1), nn.ReLU(inplace=True))
    return Classifier(features, head, 4).eval()


def averaging() -> Classifier:
    torch.manual_seed(1)
    linear = nn.Linear(5, 4)
    return network(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), linear))


def images() -> torch.Tensor:
    return torch.rand(3, 3, 12, 12, generator=torch.Generator().manual_seed(2))


CLASSES = torch.tensor([3, 0, 2])


@pytest.mark.parametrize("wrap", [lambda judge: judge, frozen])
def test_after_average_pooling_a_map_is_the_features_weighted_by_the_linear_layer(wrap):
    judge = averaging()
    with torch.no_grad():
        features = judge.features(judge.normalize(images()))
        weights = judge.head[3].weight[CLASSES]
        expected = torch.einsum("bf,bfhw->bhw", weights, features)
        least, most = expected.amin(dim=(1, 2), keepdim=True), expected.amax(dim=(1, 2), keepdim=True)
        probabilities = judge(images()).softmax(dim=1)
    maps, confidence = activation_maps(wrap(judge), images(), CLASSES)
    assert maps.shape == (3, 6, 6)
    assert torch.allclose(maps, (expected - least) / (most - least), atol=1e-5)
    assert torch.allclose(confidence, probabilities[torch.arange(3), CLASSES])


def test_other_networks_get_gradient_weights_and_no_negative_evidence():
    torch.manual_seed(1)
    judge = network(nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(5, 4)))
    with torch.no_grad():
        features = judge.features(judge.normalize(images()))
        weights = judge.head[2].weight[CLASSES] / 36  # only the largest of 36 places has a gradient
        expected = torch.einsum("bf,bfhw->bhw", weights, features).clamp_min(0)
        expected = expected / expected.amax(dim=(1, 2), keepdim=True).clamp_min(1e-12)
    assert torch.allclose(activation_maps(judge, images(), CLASSES)[0], expected, atol=1e-5)


@pytest.mark.parametrize("name", ["resnet9", "alexnet", "torchvision"])
def test_every_kind_of_network_has_maps(name):
    torch.manual_seed(0)
    options = {"width": 4} if name == "resnet9" else {}
    judge = create_classifier(name, 4, **options).eval()
    with torch.inference_mode():  # as in the evaluator
        pixels = torch.rand(2, 3, 64, 64)
        maps, confidence = activation_maps(judge, pixels, torch.tensor([0, 3]))
    assert maps.ndim == 3
    assert min(maps.shape[1:]) > 1
    assert maps.min() >= 0
    assert maps.max() <= 1
    assert confidence.shape == (2,)
    assert all(parameter.grad is None for parameter in judge.parameters())


def test_a_network_without_feature_maps_is_refused():
    judge = nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 12, 4))
    with pytest.raises(UsageError, match="no feature maps"):
        activation_maps(judge, images(), CLASSES)
