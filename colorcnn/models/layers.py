"""Building block of backbones and classifiers."""

from torch import nn


def conv_bn_relu(inputs: int, outputs: int) -> nn.Sequential:
    """Build a padded 3x3 convolution with BatchNorm and ReLU: (B, inputs, H, W) to (B, outputs, H, W).

    Args:
        inputs: number of input channels.
        outputs: number of output channels.
    """
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )
