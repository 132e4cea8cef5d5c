"""Class activation maps of original and quantized images (the paper's Fig 1)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from colorcnn.errors import UsageError
from colorcnn.models.classifiers import Classifier, Frozen


def activation_maps(classifier: nn.Module, images: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Return class activation maps, and the confidence in the class.

    If the network ends in global average pooling and a linear layer, this is CAM (B. Zhou et al., 2016): the
    last feature maps, weighted by the layer's weights of the class, and scaled from their minimum to their
    maximum. For other networks it is Grad-CAM (R. Selvaraju et al., 2017): the weights are the mean gradients
    of the class's logit, and negative evidence is set to 0.

    Args:
        classifier: maps images (B, 3, H, W) in [0, 1] to logits (B, K).
        images: (B, 3, H, W) in [0, 1].
        classes: (B,) class numbers.

    Returns:
        Maps (B, h, w) in [0, 1], of the size of the last feature maps, and confidences (B,) in [0, 1].

    Raises:
        UsageError: the network has no feature maps of more than one pixel.
    """
    with torch.inference_mode(False), torch.enable_grad():
        images, classes = images.clone().requires_grad_(), classes.clone()
        features, logits = _features_and_logits(classifier, images)
        chosen = logits.gather(1, classes[:, None])
        (slopes,) = torch.autograd.grad(chosen.sum(), features)
    # Gradients serve both: that of an average over h x w positions is the linear layer's weight / hw.
    maps = (slopes.mean(dim=(2, 3), keepdim=True) * features.detach()).sum(dim=1)
    smallest = maps.amin(dim=(1, 2), keepdim=True)
    maps = maps - smallest if _ends_linearly(classifier) else maps.clamp_min(0)
    largest = maps.amax(dim=(1, 2), keepdim=True)
    confidence = logits.detach().softmax(dim=1).gather(1, classes[:, None])[:, 0]
    return maps / torch.where(largest > 0, largest, 1), confidence


def _features_and_logits(classifier: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the last feature maps (B, F, h, w) larger than 1 x 1, and the logits."""
    seen: list[Tensor] = []

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output[0, 0].numel() > 1:
            seen[:] = [output]

    hooks = [module.register_forward_hook(note) for module in classifier.modules()]
    try:
        logits = classifier(images)
    finally:
        for hook in hooks:
            hook.remove()
    if not seen:
        raise UsageError("The classifier has no feature maps: use a convolutional network.")
    return seen[0], logits.float()


def _ends_linearly(classifier: nn.Module) -> bool:
    """Return True if the logits are linear in the mean of the last feature maps."""
    network = classifier.network if isinstance(classifier, Frozen) else classifier
    if not isinstance(network, Classifier) or not isinstance(network.head, nn.Sequential):
        return False
    pool, *rest = network.head
    kinds = [type(layer) for layer in rest if not isinstance(layer, nn.Dropout)]
    averages = isinstance(pool, nn.AdaptiveAvgPool2d) and pool.output_size in (1, (1, 1))
    return averages and kinds == [nn.Flatten, nn.Linear]
