"""Classifiers: the paper's networks for small images, torchvision's, and segmentation networks.

Every classifier takes images in [0, 1] and normalises them itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from colorcnn.errors import UsageError, quoted, shortened
from colorcnn.models.layers import conv_bn_relu
from colorcnn.models.registry import build
from colorcnn.models.smp import Segmenter, create_smp_model
from colorcnn.sharing import Shareable

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Normalize(nn.Module):
    """Subtract the mean and divide by the standard deviation of each channel.

    Args:
        mean: three numbers in [0, 1].
        std: three positive numbers.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Normalise images (B, 3, H, W) in [0, 1]."""
        return (images - self.mean) / self.std


class Classifier(Shareable):
    """Normalisation, a feature extractor and a head.

    Args:
        features: network from normalised images to feature maps (B, F, h, w).
        head: network from feature maps to logits (B, num_classes).
        num_classes: number of classes.
        mean: mean of the data set's channels in [0, 1].
        std: standard deviation of the data set's channels.
        stages: names of four modules, from shallow to deep, for features and attention maps.
    """

    kind = "classifier"

    def __init__(
        self,
        features: nn.Module,
        head: nn.Module,
        num_classes: int,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        stages: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.stages = tuple(stages)
        self.normalize = Normalize(mean, std)
        self.features = features
        self.head = head
        self.to(memory_format=torch.channels_last)  # faster for every layout of the images

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W) in [0, 1] to logits (B, num_classes)."""
        return self.head(self.features(self.normalize(images)))


def _pool_and_classify(channels: int, num_classes: int, pool: nn.Module | None = None) -> nn.Sequential:
    return nn.Sequential(pool or nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes))


def alexnet(num_classes: int, **normalization: Any) -> Classifier:
    """AlexNet (Krizhevsky et al., 2012) for small images: stride-2 3x3 stem, no BatchNorm, 2.25 M weights."""

    def conv(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 3, stride, padding=1), nn.ReLU(inplace=True)]

    features = nn.Sequential(
        *conv(3, 64, stride=2), nn.MaxPool2d(2),
        *conv(64, 192), nn.MaxPool2d(2),
        *conv(192, 384), *conv(384, 256), *conv(256, 256), nn.MaxPool2d(2),
    )  # fmt: skip
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(256, num_classes))
    stages = [f"features.{stage}" for stage in (1, 4, 7, 11)]
    return Classifier(features, head, num_classes, stages=stages, **normalization)


def vgg16(num_classes: int, **normalization: Any) -> Classifier:
    """VGG16 (Simonyan and Zisserman, 2015) with BatchNorm, its last pool removed, one linear layer."""
    layers: list[nn.Module] = []
    ends = []
    channels = 3
    for stage, (width, convolutions) in enumerate([(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]):
        if stage:
            ends.append(f"features.{len(layers) - 1}")
            layers.append(nn.MaxPool2d(2))
        for _ in range(convolutions):
            layers.append(conv_bn_relu(channels, width))
            channels = width
    return Classifier(
        nn.Sequential(*layers),
        _pool_and_classify(512, num_classes),
        num_classes,
        stages=[*ends[:3], f"features.{len(layers) - 1}"],
        **normalization,
    )


def resnet18(num_classes: int, **normalization: Any) -> Classifier:
    """ResNet18 (He et al., 2016) with a 3x3 stride-1 stem and no max-pool, 11.17 M weights for 10 classes."""
    from torchvision.models import resnet18 as build

    network = build(weights=None)
    first = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(first.weight, mode="fan_out", nonlinearity="relu")
    stages = (network.layer1, network.layer2, network.layer3, network.layer4)
    return Classifier(
        nn.Sequential(first, network.bn1, network.relu, *stages),
        _pool_and_classify(512, num_classes),
        num_classes,
        stages=[f"features.{stage}" for stage in (3, 4, 5, 6)],
        **normalization,
    )


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(conv_bn_relu(channels, channels), conv_bn_relu(channels, channels))

    def forward(self, features: Tensor) -> Tensor:
        return features + self.layers(features)


def resnet9(num_classes: int, width: int = 24, **normalization: Any) -> Classifier:
    """ResNet-9 (the DAWNBench network of D. Page, 2018), a small classifier that can be trained on a CPU.

    Args:
        num_classes: number of classes.
        width: channels of the first layer: 64 in the original; 24 gives 0.93 M weights.
        **normalization: ``mean`` and ``std`` of the data set.
    """
    features = nn.Sequential(
        conv_bn_relu(3, width),
        conv_bn_relu(width, 2 * width), nn.MaxPool2d(2), _Residual(2 * width),
        conv_bn_relu(2 * width, 4 * width), nn.MaxPool2d(2),
        conv_bn_relu(4 * width, 8 * width), nn.MaxPool2d(2), _Residual(8 * width),
    )  # fmt: skip
    head = _pool_and_classify(8 * width, num_classes, nn.AdaptiveMaxPool2d(1))
    stages = [f"features.{stage}" for stage in (3, 4, 6, 8)]
    return Classifier(features, head, num_classes, stages=stages, **normalization)


def torchvision_classifier(
    num_classes: int, name: str = "resnet18", weights: str | None = None, **normalization: Any
) -> Classifier:
    """Any of torchvision's classification networks, for images of ImageNet's size.

    Args:
        num_classes: number of classes; must be the number of ``weights`` if these are given.
        name: a name in ``torchvision.models``, such as ``resnet50``.
        weights: name of pretrained weights to download, such as ``IMAGENET1K_V2``; None for random ones.
        **normalization: ``mean`` and ``std``; ImageNet's by default.

    Raises:
        UsageError: torchvision does not know the name, or refuses the weights.
    """
    from torchvision.models import get_model

    try:
        network = get_model(name, weights=weights, num_classes=num_classes)
    except (ValueError, KeyError) as error:
        raise UsageError(
            f"torchvision cannot build {quoted(name)} with {num_classes} classes ({shortened(str(error))}): "
            "correct its name or its weights."
        ) from error
    return Classifier(nn.Identity(), network, num_classes, **normalization)


def segmentation_network(
    num_classes: int,
    architecture: str = "Unet",
    encoder_name: str = "resnet18",
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    **kwargs: Any,
) -> Classifier:
    """Any segmentation network of segmentation-models-pytorch: a class for every pixel.

    Args:
        num_classes: number of classes.
        architecture: the library's name; the ColorCNN authors' code uses ``DeepLabV3``.
        encoder_name: the encoder, such as ``resnet18``, with random weights.
        mean: mean of the data set's channels.
        std: standard deviation of the data set's channels.
        **kwargs: options for the library, such as ``encoder_depth=3, decoder_channels=[64, 32, 16]``.

    Raises:
        UsageError: the library does not know a name, or refuses an option.
    """
    network = create_smp_model(architecture, encoder_name, classes=num_classes, **kwargs)
    return Classifier(nn.Identity(), Segmenter(network), num_classes, mean=mean, std=std)


CLASSIFIERS: dict[str, Callable[..., Classifier]] = {
    "alexnet": alexnet,
    "resnet18": resnet18,
    "resnet9": resnet9,
    "smp": segmentation_network,
    "torchvision": torchvision_classifier,
    "vgg16": vgg16,
}


def create_classifier(name: str, num_classes: int, /, **kwargs: Any) -> Classifier:
    """Build a classifier by name.

    Args:
        name: a key of :data:`CLASSIFIERS`.
        num_classes: number of classes.
        **kwargs: ``mean``, ``std`` and options of the network.

    Raises:
        UsageError: the name or an option is unknown.
    """
    classifier = build("classifier", CLASSIFIERS, name, num_classes, **kwargs)
    return classifier.describe(name, {"num_classes": num_classes, **kwargs})


class Frozen(nn.Module):
    """A network whose weights and BatchNorm statistics never change; its input still gets gradients.

    Networks get contiguous images, which a user's network may require. This package's classifiers get
    channels-last images in mixed precision, which halves the time of a step with bfloat16.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> Frozen:
        """Stay in evaluation mode, so that BatchNorm and dropout do not change."""
        del mode
        return super().train(False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the network's output."""
        mixed = torch.is_autocast_enabled(images.device.type) and isinstance(self.network, Classifier)
        layout = torch.channels_last if mixed else torch.contiguous_format
        return self.network(images.contiguous(memory_format=layout))


def frozen(classifier: nn.Module) -> Frozen:
    """Stop gradients to the weights and keep BatchNorm in evaluation mode, even after ``.train()``.

    Args:
        classifier: any network that takes images in [0, 1]; it is changed in place.
    """
    return Frozen(classifier)
