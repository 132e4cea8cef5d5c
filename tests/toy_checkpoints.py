"""Tiny networks of the real architectures, published as checkpoints for the tests to load."""

import torch

from colorcnn.models import MODELS
from colorcnn.weights import Config, save_pretrained

UNET = {"width": 4, "depth": 1}
PLUS = {"backbone_kwargs": UNET, "bottleneck": 4, "feature_channels": 32, "trained_sizes": [2, 4]}
TWO_COLORS = {"num_colors": 2, "backbone_kwargs": UNET}
CLASSES = {"num_classes": 3, "width": 4}


def publish(root, name, architecture, kwargs, kind="quantizer", seed=0):
    """Write a checkpoint with random but fixed weights and return its folder."""
    torch.manual_seed(seed)
    model = MODELS[architecture](**kwargs)
    save_pretrained(
        model, root / name, Config(kind=kind, architecture=architecture, kwargs=kwargs, dataset="toy")
    )
    return root / name


def publish_all(root):
    """One of each kind: toy-plus, toy-two, toy-net."""
    publish(root, "toy-plus", "colorcnn-plus", PLUS)
    publish(root, "toy-two", "colorcnn", TWO_COLORS)
    publish(root, "toy-net", "resnet9", CLASSES, "classifier")
    return root
