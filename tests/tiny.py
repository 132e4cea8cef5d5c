"""A user's own classifier, as ``module:function`` names one."""

import torch
from torch import Tensor, nn

from colorcnn.models.classifiers import Classifier


def classifier(num_classes: int = 10) -> Classifier:
    """One convolution and a linear layer with fixed weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        features = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU())
        head = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, num_classes))
        return Classifier(features, head, num_classes, stages=[f"features.{stage}" for stage in (0, 1, 1, 2)])


def flat() -> nn.Module:
    """One without feature maps."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 6 * 5, 10))
    network.num_classes = 10
    return network


class Viewing(nn.Module):
    """A network that was written for the usual layout of images."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 10, 3, padding=1)
        self.stages = ["convolution"] * 4

    def forward(self, images: Tensor) -> Tensor:
        """The sums of the channels."""
        return self.convolution(images).view(len(images), -1).unflatten(1, (10, -1)).sum(2)


def viewing() -> nn.Module:
    """One that fails on images whose channels come last."""
    return Viewing()
