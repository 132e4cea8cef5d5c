"""Attention of a classifier: class activation maps from one layer's activations and gradients, and RISE."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.paletted import from_bytes

_TINY = 1e-8
_GRID = 7  # cells along a side of a RISE mask
_SHOWN = 0.5  # share of the cells that a mask leaves visible
MASKS = 256
"""Number of random masks for RISE."""


def grad_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Weight channels by their mean gradient (R. Selvaraju et al., 2017); return (B, h, w).

    Args:
        activations: (B, F, h, w).
        gradients: gradients of the class's logit, (B, F, h, w).
    """
    weights = gradients.mean(dim=(2, 3), keepdim=True)
    return (weights * activations).sum(dim=1).relu()


def grad_cam_plus_plus(activations: Tensor, gradients: Tensor) -> Tensor:
    """Weight gradients so that several objects count equally (A. Chattopadhyay et al., WACV 2018).

    The paper takes the exponential of the logit. Higher derivatives are then powers of the first one.

    Args:
        activations: (B, F, h, w).
        gradients: gradients of the class's logit, (B, F, h, w).
    """
    square, cube = gradients**2, gradients**3
    scale = 2 * square + (activations * cube).sum(dim=(2, 3), keepdim=True)
    shares = square / torch.where(scale.abs() < _TINY, torch.ones_like(scale), scale)
    weights = (shares * gradients.relu()).sum(dim=(2, 3), keepdim=True)
    return (weights * activations).sum(dim=1).relu()


def layer_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Weight every activation by its own positive gradient (P. Jiang et al., TIP 2021).

    Args:
        activations: (B, F, h, w).
        gradients: gradients of the class's logit, (B, F, h, w).
    """
    return (gradients.relu() * activations).sum(dim=1).relu()


CAMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "gradcam": grad_cam,
    "gradcam++": grad_cam_plus_plus,
    "layercam": layer_cam,
}
ATTENTIONS = ("none", *CAMS, "rise")


class Probe:
    """Recorder of the feature maps of a network's layers.

    Args:
        network: maps images (B, 3, H, W) in [0, 1] to logits (B, classes).
        layers: names of the modules to record; "shallow", "middle1", "middle2" and "final" name its blocks.
        attended: the layer whose feature maps get gradients.

    Raises:
        UsageError: the network has no such module.
    """

    def __init__(self, network: nn.Module, layers: tuple[str, ...], attended: str | None = None) -> None:
        self.network = network
        self.attended = attended
        self.seen: dict[str, Tensor] = {}
        modules = dict(network.named_modules())
        for layer in layers:
            name = resolve_layer(network, layer)
            modules[name].register_forward_hook(self._hook(layer))

    def _hook(self, layer: str) -> Callable[[nn.Module, object, Tensor], Tensor | None]:
        def remember(module: nn.Module, inputs: object, output: Tensor) -> Tensor | None:
            self.seen[layer] = output
            if layer != self.attended or not torch.is_grad_enabled() or output.requires_grad:
                return None
            # The graph of a frozen network begins here, so that nothing before this layer is kept for it.
            output.requires_grad_(True)
            return output.clone()  # the next layer may change its input in place

        return remember

    def __call__(self, images: Tensor) -> Tensor:
        """Return the logits. The feature maps are in ``seen`` afterwards."""
        logits = self.network(images)
        strange = [layer for layer, output in self.seen.items() if output.ndim != 4]
        if strange:
            raise UsageError(
                f"The layer {strange[0]!r} has no feature maps (B, F, h, w): use a convolutional layer."
            )
        return logits


def resolve_layer(network: nn.Module, layer: str) -> str:
    """Return the name of the module that a layer's name stands for.

    The blocks of a network are those it lists itself (``stages``), or its modules ``layer1`` to ``layer4``.

    Args:
        network: the classifier.
        layer: the name of a module, or of a block.

    Raises:
        UsageError: the network has no such layer.
    """
    modules = dict(network.named_modules())
    if layer in modules and layer:
        return layer
    positions = {"shallow": 0, "middle1": 1, "middle2": 2, "final": 3}
    if layer in positions:
        own = getattr(network, "stages", ())
        blocks = own or [name for n in "1234" for name in modules if name.split(".")[-1] == f"layer{n}"]
        if len(blocks) == len(positions):
            return blocks[positions[layer]]
    known = ", ".join(name for name in modules if name and name.count(".") < 2)
    raise UsageError(f"The classifier has no layer {layer!r}: use one of its modules, such as {known}.")


def pool_features(maps: Tensor, pool: int) -> Tensor:
    """Turn feature maps into vectors.

    Args:
        maps: (B, F, h, w).
        pool: side length that the maps are averaged to, at most their own. 1 gives mean and standard
            deviation of each channel; 0 keeps every value.

    Returns:
        (B, D) float32 on the CPU.
    """
    if pool == 1:
        maps = torch.cat([maps.mean(dim=(2, 3)), maps.std(dim=(2, 3), correction=0)], dim=1)
    elif pool:
        height, width = maps.shape[-2:]
        maps = F.adaptive_avg_pool2d(maps, (min(pool, height), min(pool, width)))
    return maps.flatten(1).detach().float().cpu()


def attention_maps(
    probe: Probe, images: Tensor, labels: Tensor | None, method: str, layer: str, *, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Return the importance of each position for the logit of a class.

    Args:
        probe: recorder of ``layer`` that gives its feature maps gradients.
        images: uint8 (B, 3, H, W).
        labels: (B,) the classes; None takes the predicted classes.
        method: one of :data:`ATTENTIONS` except none.
        layer: the layer whose activations are weighted; RISE does not use it.
        seed: seed of RISE's masks.

    Returns:
        Maps (B, h, w) float32 >= 0 on the CPU, and the logits.

    Raises:
        ColorCNNError: a label is not among the classifier's classes.
    """
    pixels = from_bytes(images)
    with torch.set_grad_enabled(method != "rise"):
        logits = probe(pixels)
        classes = logits.argmax(dim=1) if labels is None else labels.to(logits.device)
        if int(classes.max()) >= logits.shape[1]:
            raise ColorCNNError(
                f"The classifier has {logits.shape[1]} classes, but a label is {int(classes.max())}: "
                "use a classifier that was trained on these data."
            )
        if method == "rise":
            return rise(probe.network, pixels, classes, seed=seed), logits
        activations = probe.seen[layer]
        chosen = logits.gather(1, classes[:, None]).sum()
        gradients = torch.autograd.grad(chosen, activations)[0]
    maps = CAMS[method](activations.detach().float(), gradients.float())
    return maps.cpu(), logits.detach()


@torch.no_grad()
def rise(network: nn.Module, images: Tensor, classes: Tensor, *, seed: int = 0, masks: int = MASKS) -> Tensor:
    """Weight random masks by the class's probability for the masked image (V. Petsiuk et al., BMVC 2018).

    Args:
        network: the classifier.
        images: (B, 3, H, W) in [0, 1].
        classes: (B,).
        seed: seed of the masks, which are the same for all images.
        masks: number of masks.

    Returns:
        (B, 14, 14) float32 on the CPU, or (B, H, W) if images are smaller.
    """
    height, width = images.shape[2:]
    generator = torch.Generator().manual_seed(seed)
    cells = (torch.rand(masks, 1, _GRID + 1, _GRID + 1, generator=generator) < _SHOWN).float()
    shifts = torch.rand(masks, 2, generator=generator)
    steps = -(-height // _GRID), -(-width // _GRID)
    large = F.interpolate(cells, size=[(_GRID + 1) * step for step in steps], mode="bilinear")
    total = torch.zeros(len(images), height, width)
    for mask, shift in zip(large, shifts):
        top, left = (int(part * step) for part, step in zip(shift, steps))
        window = mask[:, top : top + height, left : left + width].to(images.device)
        probability = network(images * window).softmax(dim=1).gather(1, classes[:, None])
        total += probability.float().cpu()[:, :, None] * window.cpu()
    saliency = total / (masks * _SHOWN)
    saliency = saliency - saliency.amin(dim=(1, 2), keepdim=True)
    return F.adaptive_avg_pool2d(saliency[:, None], (min(height, 14), min(width, 14)))[:, 0]
