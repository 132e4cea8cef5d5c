"""Backbones of ColorCNN: networks from an image to a feature map of the same height and width.

Each backbone has ``out_channels`` and takes any height and width >= 1. The U-Net is Ronneberger et al., 2015,
in the form of the ColorCNN paper (two padded 3x3 convolutions with BatchNorm per level). DnCNN is Zhang et
al., 2017, from the paper's ablation.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorcnn.errors import UsageError, check_at_least, shortened, unknown_name
from colorcnn.models.layers import conv_bn_relu
from colorcnn.models.registry import build
from colorcnn.models.smp import MULTIPLE, create_smp_model, pad_to_multiple
from colorcnn.models.tiling import Window

DECODERS = ("narrow", "wide")


def _double_conv(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(conv_bn_relu(inputs, outputs), conv_bn_relu(outputs, outputs))


DEEPEST = 16
"""Maximum depth of a U-Net, because images are padded to a multiple of 2**depth."""


class UNet(nn.Module):
    """U-Net with a skip at every resolution, the full one included.

    Args:
        width: channels at full resolution; they double at each level up to 8 x width. 64 with depth 4 is the
            paper's network (64-128-256-512-512, 13.4 M weights); 16 with depth 3 is small enough for a CPU.
        depth: number of times that the resolution is halved.
        decoder: ``narrow`` as in the paper: the output of a level has the width of the level above, and
            upsampling aligns the corners. ``wide`` has the level's own width (19.6 M weights at the paper's
            size), for checkpoints from before version 0.1.0.

    Raises:
        UsageError: the decoder is unknown, or a number is out of range.
    """

    def __init__(
        self, width: int = 64, depth: int = 4, decoder: Literal["narrow", "wide"] = "narrow"
    ) -> None:
        super().__init__()
        if decoder not in DECODERS:
            raise unknown_name("decoder", decoder, DECODERS)
        check_at_least(1, width=width, depth=depth)
        if depth > DEEPEST:
            raise UsageError(f"depth is {shortened(depth)}: choose a whole number from 1 to {DEEPEST}.")
        widths = [width * min(2**level, 8) for level in range(depth + 1)]
        outputs = widths[:-1] if decoder == "wide" else [width, *widths[: depth - 1]]
        inputs = [*outputs[1:], widths[-1]]
        self.multiple = 2**depth
        self.halo = _reach(depth)
        self.align_corners = decoder == "narrow"
        self.stem = _double_conv(3, width)
        self.down = nn.ModuleList(_double_conv(a, b) for a, b in pairwise(widths))
        self.up = nn.ModuleList(
            _double_conv(skip + below, out) for skip, below, out in zip(widths, inputs, outputs)
        )
        self.out_channels = width

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, 3, H, W) to features (B, out_channels, H, W)."""
        height, width = images.shape[2:]
        return self._run(pad_to_multiple(images, self.multiple), None)[..., :height, :width]

    def tile(self, pixels: Tensor, window: Window) -> Tensor:
        """Map a part of an image to its features; those within ``halo`` pixels of a cut are not valid.

        Args:
            pixels: (B, 3, h, w), the part of the image that the window covers.
            window: the place of the part. Its borders are multiples of ``multiple``.

        Returns:
            (B, out_channels, h', w'), the size of the window. With ``align_corners`` the features differ from
            those of the whole image by rounding (a unit or two in the last place), else not at all.
        """
        return self._run(pad_to_multiple(pixels, self.multiple), window)

    def _run(self, images: Tensor, window: Window | None) -> Tensor:
        features = self.stem(images)
        skips = []
        for down in self.down:
            skips.append(features)
            features = down(F.max_pool2d(features, 2))
        for level, (up, skip) in enumerate(zip(reversed(self.up), reversed(skips))):
            if window is not None and self.align_corners:
                features = _doubled(features, window, 2 ** (len(skips) - level))
            else:
                features = F.interpolate(
                    features, scale_factor=2.0, mode="bilinear", align_corners=self.align_corners
                )
            features = up(torch.cat([skip, features], dim=1))
        return features


def _reach(depth: int) -> int:
    """Return the distance in pixels from which a pixel can change the features of a U-Net.

    Every level has two 3x3 convolutions. Upsampling reads up to one pixel outside.
    """
    reach = 2
    for _ in range(depth):
        reach = -(-reach // 2) + 2
    for _ in range(depth):
        reach = 2 * reach + 2 + 2
    return reach


def _doubled(features: Tensor, window: Window, scale: int) -> Tensor:
    """Double a part of a map, bilinear with aligned corners: positions depend on the size of the whole map.

    Args:
        features: (B, D, h, w).
        window: the part of the image.
        scale: pixels of the image for each pixel of the map.
    """
    first, second, share = _sources(window.height, window.rows, scale, features)
    share = share[:, None]
    features = features[:, :, first] * (1 - share) + features[:, :, second] * share
    first, second, share = _sources(window.width, window.columns, scale, features)
    features = features[..., first] * (1 - share) + features[..., second] * share
    return features.contiguous(memory_format=torch.channels_last)


def _sources(length: int, part: slice, scale: int, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return two source positions within a part, and the weight of the second, for every doubled position."""
    size, start, stop = length // scale, part.start // scale, part.stop // scale
    ends = torch.tensor([size - 1, 2 * size - 1], dtype=like.dtype, device=like.device)
    place = torch.arange(2 * start, 2 * stop, dtype=like.dtype, device=like.device) * (ends[0] / ends[1])
    first = place.floor()
    second = (first + 1).clamp_max(size - 1)
    # A source before or behind the part is in the overlap, whose features are not used.
    inside = ((each.long() - start).clamp(0, stop - start - 1) for each in (first, second))
    return *inside, place - first


class DnCNN(nn.Module):
    """A plain stack of 3x3 convolutions without skip connections (Fig 17).

    Args:
        width: channels of every layer.
        depth: number of layers, at least 2; the last has no BatchNorm and no ReLU.

    Raises:
        UsageError: a number is too small.
    """

    def __init__(self, width: int = 64, depth: int = 17) -> None:
        super().__init__()
        check_at_least(1, width=width)
        check_at_least(2, depth=depth)
        stem = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.ReLU(inplace=True))
        middle = (conv_bn_relu(width, width) for _ in range(depth - 2))
        # The last layer of Zhang et al. has no BatchNorm and no ReLU, so features may be negative.
        self.layers = nn.Sequential(stem, *middle, nn.Conv2d(width, width, 3, padding=1, bias=False))
        self.out_channels = width
        self.halo, self.multiple = depth, 1

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, 3, H, W) to features (B, out_channels, H, W)."""
        return self.layers(images)

    def tile(self, pixels: Tensor, window: Window) -> Tensor:
        """Map a part of an image to its features; those within ``halo`` pixels of a cut are not valid.

        Args:
            pixels: (B, 3, h, w).
            window: unused, because a convolution is the same everywhere.
        """
        del window
        return self(pixels)


class SMPBackbone(nn.Module):
    """Encoder and decoder of any segmentation-models-pytorch architecture, without its head.

    Args:
        architecture: the library's name, such as ``Unet``, ``UnetPlusPlus`` or ``FPN``.
        encoder_name: the encoder, such as ``tu-resnet18`` or ``vgg13_bn``, with random weights.
        **kwargs: options for the library, such as ``encoder_depth=4, decoder_channels=[256, 128, 64, 64]``.

    Raises:
        UsageError: the library does not know the architecture or the encoder, or refuses the options.
    """

    def __init__(self, architecture: str = "Unet", encoder_name: str = "vgg13_bn", **kwargs: Any) -> None:
        super().__init__()
        model = create_smp_model(architecture, encoder_name, **kwargs)
        self.encoder, self.decoder = model.encoder, model.decoder
        self.multiple = MULTIPLE
        with torch.no_grad():
            self.out_channels = self.eval()(torch.zeros(1, 3, 32, 32)).shape[1]
        self.train()

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, 3, H, W) to features (B, out_channels, H, W)."""
        height, width = images.shape[2:]
        padded = pad_to_multiple(images, self.multiple)
        features = self.decoder(self.encoder(padded))
        if features.shape[2:] != padded.shape[2:]:
            features = F.interpolate(features, padded.shape[2:], mode="bilinear", align_corners=False)
        return features[..., :height, :width]


BACKBONES: dict[str, Callable[..., nn.Module]] = {"dncnn": DnCNN, "smp": SMPBackbone, "unet": UNet}


def create_backbone(name: str, /, **kwargs: Any) -> nn.Module:
    """Build a backbone by name, in channels-last layout.

    Args:
        name: a key of :data:`BACKBONES`.
        **kwargs: options of the backbone.

    Raises:
        UsageError: the name or an option is unknown.
    """
    return build("backbone", BACKBONES, name, **kwargs).to(memory_format=torch.channels_last)
