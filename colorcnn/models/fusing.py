"""Fusion of BatchNorm into the preceding convolutions, for frozen networks."""

from __future__ import annotations

import copy
from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


@torch.no_grad()
def fused(network: nn.Module, side: int = 32) -> nn.Module:
    """Return a copy of a network for evaluation, with BatchNorm fused into convolutions.

    This saves the features between a convolution and its BatchNorm, a third of a frozen classifier's memory.
    A BatchNorm is assumed to follow the convolution registered before it. The copy is compared with the
    network on random images.

    Args:
        network: network of images (B, 3, H, W); it is not changed.
        side: height and width of the random images.

    Returns:
        The copy; ``network`` itself if the outputs differ by more than rounding.
    """
    made = _fuse(copy.deepcopy(network).eval())
    weights = next(network.parameters(), None)
    if weights is None or weights.is_meta or torch.empty(0).is_meta:  # nothing to compare
        return network
    images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0)).to(weights)
    was_training = network.training
    try:
        expected, found = network.eval()(images), made(images)
    except RuntimeError:  # the network needs images of another size
        return network
    finally:
        network.train(was_training)
    return made if torch.allclose(found, expected, rtol=1e-3, atol=1e-3) else network


def _fuse(module: nn.Module) -> nn.Module:
    for (name, layer), (after, norm) in pairwise(list(module.named_children())):
        if not isinstance(layer, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
            continue
        if layer.out_channels == norm.num_features and norm.track_running_stats:
            setattr(module, name, fuse_conv_bn_eval(layer, norm))
            setattr(module, after, nn.Identity())
    for child in module.children():
        _fuse(child)
    return module
