"""Frozen networks without BatchNorm answer as they did with it."""

import pytest
import torch
from torch import nn

from colorcnn.models import create_classifier
from colorcnn.models.fusing import fused


def norms(network):
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def unsettled(network):
    """BatchNorm as after a training."""
    torch.manual_seed(0)
    for norm in norms(network):
        norm.running_mean.normal_(0, 0.1)
        norm.running_var.uniform_(0.5, 2)
        nn.init.uniform_(norm.weight, 0.5, 1.5)
    return network.eval()


@pytest.mark.parametrize(
    ("name", "options"), [("resnet9", {"width": 4}), ("resnet18", {}), ("vgg16", {}), ("alexnet", {})]
)
def test_answers_and_gradients_are_those_of_the_network(name, options):
    network = unsettled(create_classifier(name, 3, **options)).double()
    count, found = len(norms(network)), fused(network)
    assert norms(found) == []
    assert len(norms(network)) == count, "the network stays as it is"
    results = []
    for each in (network, found):
        images = torch.rand(2, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        images.requires_grad_()
        answers = each(images)
        answers.square().sum().backward()
        results.append((answers.detach(), images.grad))
    torch.testing.assert_close(results[1], results[0], rtol=1e-9, atol=1e-11)


class Elsewhere(nn.Module):
    """BatchNorm that stands behind a convolution and is used before it."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, images):
        return self.layer(self.norm(images).relu()).sum(dim=(2, 3))


def test_a_network_that_would_answer_otherwise_stays():
    network = unsettled(Elsewhere())
    assert fused(network) is network
    assert len(norms(network)) == 1
