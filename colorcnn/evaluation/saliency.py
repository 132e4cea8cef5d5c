"""Where a classifier looks: class activation maps of original and quantized images (the paper's Fig 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorcnn.errors import UsageError
from colorcnn.evaluation.gallery import CELL, Shown, enlarge, gallery_picture, make_gallery, spread_over
from colorcnn.evaluation.markup import Picture
from colorcnn.evaluation.passes import QuantizesMany
from colorcnn.models.classifiers import Classifier, Frozen
from colorcnn.paletted import from_bytes, to_bytes

if TYPE_CHECKING:
    from colorcnn.data.datasets import ImageSplit

CAPTION = (
    "Class activation maps over the images: red where the classifier finds most evidence of the true class, "
    "blue where least. Below each its confidence in that class; framed and crossed where it takes the image "
    "for another. Images spread evenly over the split, not chosen."
)
_HEAT = 0.5  # share of the map in an overlay


def activation_maps(classifier: nn.Module, images: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """How much each place speaks for a class, and how sure the network is of it.

    Where the network ends in global average pooling and a linear layer this is CAM (B. Zhou et al., 2016):
    its last feature maps, weighted by the layer's weights of the class and scaled from least to largest. For
    any other network it is Grad-CAM (R. Selvaraju et al., 2017): the weights are the mean gradients of the
    class's logit, and what speaks against the class is 0.

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
    # The gradient of an average over h x w places is the linear layer's weight / hw: one way for both.
    maps = (slopes.mean(dim=(2, 3), keepdim=True) * features.detach()).sum(dim=1)
    least = maps.amin(dim=(1, 2), keepdim=True)
    maps = maps - least if _ends_linearly(classifier) else maps.clamp_min(0)
    largest = maps.amax(dim=(1, 2), keepdim=True)
    confidence = logits.detach().softmax(dim=1).gather(1, classes[:, None])[:, 0]
    return maps / torch.where(largest > 0, largest, 1), confidence


def _features_and_logits(classifier: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """The last output (B, F, h, w) of any part of the network that is more than a pixel, and the logits."""
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
        raise UsageError("The classifier has no feature maps to look at: give a convolutional network.")
    return seen[0], logits.float()


def _ends_linearly(classifier: nn.Module) -> bool:
    """Whether the logits are linear in the mean of the last feature maps."""
    network = classifier.network if isinstance(classifier, Frozen) else classifier
    if not isinstance(network, Classifier) or not isinstance(network.head, nn.Sequential):
        return False
    pool, *rest = network.head
    kinds = [type(layer) for layer in rest if not isinstance(layer, nn.Dropout)]
    averages = isinstance(pool, nn.AdaptiveAvgPool2d) and pool.output_size in (1, (1, 1))
    return averages and kinds == [nn.Flatten, nn.Linear]


def overlay(pixels: Tensor, maps: Tensor, side: int) -> Tensor:
    """Lay maps over images, as colours from blue over green to red.

    Args:
        pixels: (B, 3, H, W) uint8.
        maps: (B, h, w) in [0, 1].
        side: about how large to draw them; whole pixels are enlarged, maps are interpolated.

    Returns:
        (B, 3, S, T) uint8.
    """
    from matplotlib import colormaps

    large = [enlarge(image.permute(1, 2, 0).cpu().numpy(), side) for image in pixels]
    shown = from_bytes(torch.stack([torch.from_numpy(image) for image in large]))
    fine = F.interpolate(maps[:, None].cpu(), shown.shape[1:3], mode="bilinear", align_corners=False)
    heat = torch.from_numpy(colormaps["turbo"](fine[:, 0].numpy())[..., :3]).float()
    return to_bytes((1 - _HEAT) * shown + _HEAT * heat).permute(0, 3, 1, 2)


def cam_picture(
    methods: Mapping[str, QuantizesMany],
    classifier: nn.Module,
    split: ImageSplit,
    class_names: Sequence[str],
    sizes: Sequence[int],
    *,
    count: int,
    device: torch.device | str = "cpu",
    dark: bool = True,
) -> Picture:
    """Draw the activation maps of the true classes for images spread evenly over a split; light and dark.

    Args:
        methods: name -> quantizer.
        classifier: maps images (N, 3, H, W) in [0, 1] to logits (N, K).
        split: where the images are from; one label each.
        class_names: names of the classes, by number.
        sizes: the numbers of colours to show.
        count: how many images, at most.
        device: where classifier and quantizers run.
        dark: draw for a dark page, too.
    """
    batch = spread_over(split, count)

    def look(pixels: Tensor, predictions: Tensor) -> Shown:
        labels = batch.labels.to(device)
        maps, confidence = activation_maps(classifier, from_bytes(pixels.to(device)), labels)
        return Shown(overlay(pixels, maps, CELL), predictions, confidence.cpu())

    gallery = make_gallery(methods, classifier, batch.images, batch.labels, sizes, device=device, look=look)
    alt = "Rows of pictures under coloured maps: the originals, then every method."
    return gallery_picture(gallery, class_names, "Where the classifier looks", CAPTION, alt, dark=dark)
