"""Loading of classifiers: pretrained, checkpoints, timm, torchvision, or a user's function."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from colorcnn.errors import ColorCNNError, UnknownName, UsageError
from colorcnn.hub import is_hub_name
from colorcnn.lazy import import_own
from colorcnn.pretrained import load_any


def load_classifier(spec: str | os.PathLike[str], num_classes: int | None = None) -> nn.Module:
    """Load a classifier.

    Args:
        spec: a pretrained name, a checkpoint folder, a Lightning .ckpt of ClassifierTask, the folder of its
            run, ``hf:USER/REPO`` of the Hugging Face Hub, ``timm:NAME`` or ``torchvision:NAME`` for a network
            of these libraries with its pretrained weights, or ``module:function`` for your own. The function
            returns a network from images (B, 3, H, W) in [0, 1] to logits. The module may be in the current
            folder.
        num_classes: argument of the function, if it has such a parameter.

    Returns:
        The network on the CPU in evaluation mode. Classifiers of this package have ``num_classes``.

    Raises:
        UsageError: the name, file, module or function does not exist, or is not a classifier.
        ColorCNNError: the file is damaged, or the function fails.
    """
    name = os.fspath(spec)
    library, colon, network = name.partition(":")
    if colon and library in LIBRARIES and not Path(name).exists():
        return LIBRARIES[library](network)
    if colon and not is_hub_name(name) and not Path(name).exists():
        return _own_classifier(name, num_classes)
    model, config = load_any(name)
    if config.kind != "classifier":
        raise UsageError(f"{name} is a {config.kind}: use a classifier.")
    return model


class Prepared(nn.Module):
    """A network that scales and normalises its images itself.

    Args:
        network: network from normalised images (B, 3, height, width) to logits (B, num_classes).
        mean: mean of the three channels in [0, 1].
        std: standard deviation of the three channels.
        size: (height, width) in pixels; images of another size are scaled.
        num_classes: the number of logits.
        classes: names of the classes, or empty.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        size: tuple[int, int],
        num_classes: int,
        classes: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1))
        self.size = size
        self.num_classes = num_classes
        self.classes = tuple(classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of images (B, 3, H, W) in [0, 1]."""
        if tuple(images.shape[-2:]) != self.size:
            images = functional.interpolate(images, self.size, mode="bilinear", antialias=True)
        logits: Tensor = self.network((images - self.mean) / self.std)
        return logits


def _from_timm(name: str) -> nn.Module:
    import timm

    resolve: Any = timm.data.resolve_model_data_config

    if not timm.is_model(name):
        raise UnknownName("network of timm", name, timm.list_models())
    network = _downloaded(f"timm:{name}", lambda: timm.create_model(name, pretrained=True))
    config = resolve(network)
    size = tuple(config["input_size"][1:])
    return Prepared(network, config["mean"], config["std"], size, network.num_classes).eval()


def _from_torchvision(name: str) -> nn.Module:
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise UnknownName("network of torchvision", name, known)
    weights = models.get_model_weights(name).DEFAULT
    network = _downloaded(f"torchvision:{name}", lambda: models.get_model(name, weights=weights))
    preset, classes = weights.transforms(), weights.meta["categories"]
    size = (preset.crop_size[0], preset.crop_size[0])
    return Prepared(network, preset.mean, preset.std, size, len(classes), classes).eval()


def _downloaded(spec: str, build: Callable[[], Any]) -> Any:
    try:
        return build()
    except Exception as error:  # downloads by the libraries fail in many ways
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        raise ColorCNNError(
            f"The weights of {spec} could not be downloaded ({reason})",
            "check the connection, or copy them into the library's cache",
            code="no-weights",
        ) from error


LIBRARIES: dict[str, Callable[[str], nn.Module]] = {"timm": _from_timm, "torchvision": _from_torchvision}
"""Library -> function that builds one of its networks with pretrained weights."""


def _own_classifier(spec: str, num_classes: int | None) -> nn.Module:
    function = import_own(spec)
    try:
        takes = "num_classes" in inspect.signature(function).parameters
        model = function(num_classes=num_classes) if takes and num_classes is not None else function()
    except Exception as error:  # a user's function may fail in any way
        reason = f"{type(error).__name__}: {error}"
        raise ColorCNNError(f"{spec} failed ({reason}): correct the function.") from error
    if not isinstance(model, nn.Module):
        raise ColorCNNError(f"{spec} returned a {type(model).__name__}: return a torch.nn.Module.")
    return model.eval()
