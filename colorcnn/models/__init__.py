"""Networks: learned quantizers, their backbones, classifiers and compressors."""

from collections.abc import Callable
from typing import Any

from torch import nn

from colorcnn.models import assignment
from colorcnn.models.backbones import BACKBONES, create_backbone
from colorcnn.models.classifiers import CLASSIFIERS, Classifier, create_classifier, frozen
from colorcnn.models.colorcnn import ColorCNN, ColorCNNPlus
from colorcnn.models.learned import LearnedQuantizer
from colorcnn.models.palette_attention import PaletteAttention
from colorcnn.models.registry import build
from colorcnn.sharing import Shareable
from colorcnn.vq.compressor import Compressor, ImageCompressor, VectorCompressor

LEARNED: dict[str, type[LearnedQuantizer]] = {
    "colorcnn": ColorCNN,
    "colorcnn-plus": ColorCNNPlus,
    "palette-attention": PaletteAttention,
}
COMPRESSORS: dict[str, type[Compressor]] = {
    "factorized-prior": ImageCompressor,
    "residual-transform": VectorCompressor,
}
MODELS: dict[str, Callable[..., nn.Module]] = {**LEARNED, **CLASSIFIERS, **COMPRESSORS}


def create_model(architecture: str, /, **kwargs: Any) -> nn.Module:
    """Build a network from its name and options, as in a checkpoint's config.

    Args:
        architecture: a key of :data:`MODELS`.
        **kwargs: options of the network.

    Returns:
        The network. Its ``config`` has the options, so that it can be saved.

    Raises:
        UsageError: the name or an option is unknown.
    """
    model = build("architecture", MODELS, architecture, **kwargs)
    return model.describe(architecture, kwargs) if isinstance(model, Shareable) else model


__all__ = [
    "BACKBONES",
    "CLASSIFIERS",
    "COMPRESSORS",
    "LEARNED",
    "MODELS",
    "Classifier",
    "ColorCNN",
    "ColorCNNPlus",
    "LearnedQuantizer",
    "PaletteAttention",
    "assignment",
    "create_backbone",
    "create_classifier",
    "create_model",
    "frozen",
]
