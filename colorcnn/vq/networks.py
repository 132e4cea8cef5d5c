"""Transforms between source and latent: residual networks for vectors, convolutions with GDN for images.

The transforms for images are the factorized-prior model, like CompressAI's ``bmshj2018-factorized``: four
5 x 5 convolutions of stride 2 with GDN between them, and the inverse. With equal constants GDN agrees with
CompressAI's to 5e-7. Differences:

- The constants of GDN are squares of the trained parameters; CompressAI clamps them.
- Constants off the diagonal are initialised with 1e-4; CompressAI uses 0.
- By default the latent has as many channels as the convolutions; CompressAI has 128 and 192, or 192 and 320
  at high rates.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """x + W2 act(W1 x) over vectors (..., width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, values: Tensor) -> Tensor:
        """Transform vectors (..., width)."""
        return values + self.inner(values)


class VectorTransform(nn.Module):
    """A residual network from R^d to R^d, initialised as the identity.

    Args:
        dimension: d.
        width: width of the hidden layers.
        depth: number of residual blocks.
    """

    def __init__(self, dimension: int, width: int = 96, depth: int = 2) -> None:
        super().__init__()
        blocks = [ResidualBlock(width) for _ in range(depth)]
        last = nn.Linear(width, dimension)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.body = nn.Sequential(nn.Linear(dimension, width), *blocks, nn.SiLU(), last)

    def forward(self, values: Tensor) -> Tensor:
        """Transform vectors (B, d)."""
        return values + self.body(values)


class GDN(nn.Module):
    """Generalised divisive normalisation (J. Balle, V. Laparra and E. Simoncelli, 2016), or its inverse.

    y_i = x_i / sqrt(b_i + sum_j g_ij x_j^2) over the channels; the inverse multiplies.
    """

    def __init__(self, channels: int, *, inverse: bool = False) -> None:
        super().__init__()
        self.inverse = inverse
        # Roots are trained, so that constants stay positive. A root of 0 would get no gradient.
        self.beta_root = nn.Parameter(torch.ones(channels))
        self.gamma_root = nn.Parameter(0.1**0.5 * torch.eye(channels) + 1e-2)

    def forward(self, values: Tensor) -> Tensor:
        """Normalise (B, C, H, W)."""
        gamma = self.gamma_root.square()[:, :, None, None]
        norm = F.conv2d(values.square(), gamma, self.beta_root.square() + 1e-6)
        return values * (norm.sqrt() if self.inverse else norm.rsqrt())


STRIDE = 16
"""Downsampling factor of the encoder."""


def analysis(width: int, channels: int) -> nn.Sequential:
    """Build the encoder of the factorized prior (Balle et al., 2018): (B, 3, H, W) to (B, C, H/16, W/16).

    Args:
        width: channels of hidden layers.
        channels: C.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in ((3, width), (width, width), (width, width), (width, channels)):
        layers += [nn.Conv2d(inputs, outputs, 5, stride=2, padding=2), GDN(outputs)]
    return nn.Sequential(*layers[:-1])


def synthesis(width: int, channels: int) -> nn.Sequential:
    """Build the decoder of the factorized-prior model: (B, C, H/16, W/16) to (B, 3, H, W).

    Args:
        width: channels of hidden layers.
        channels: C.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in ((channels, width), (width, width), (width, width), (width, 3)):
        transposed = nn.ConvTranspose2d(inputs, outputs, 5, stride=2, padding=2, output_padding=1)
        layers += [transposed, GDN(outputs, inverse=True)]
    return nn.Sequential(*layers[:-1])
