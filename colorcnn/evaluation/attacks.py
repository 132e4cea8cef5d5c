"""Adversarial attacks on classifiers: FGSM, PGD and Square in the L-infinity norm.

An attack knows the classifier alone, or the quantizer as well. Rounding has no gradient. An ``adaptive``
attack uses the gradient of the identity instead (A. Athalye et al., 2018). A ``soft`` attack uses the
gradient of a learned quantizer's soft image (Eq 5 and 6), as its training does. Square needs no gradient: its
adaptive attack asks the classifier about quantized images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorcnn.errors import UsageError
from colorcnn.evaluation.attack_options import QUERIES, STEPS, split_attack
from colorcnn.evaluation.passes import QuantizesMany
from colorcnn.evaluation.square import square
from colorcnn.models.assignment import soft_palette, soft_render, straight_through
from colorcnn.paletted import from_bytes, to_bytes
from colorcnn.recognition import IGNORED

if TYPE_CHECKING:
    from colorcnn.data.datasets import Batch
    from colorcnn.evaluation.codecs import Coder

Network = Callable[[Tensor], Tensor]
"""Maps images (B, 3, H, W) in [0, 1] to logits (B, K)."""

_REACH = 2.5  # total length of PGD's steps, in epsilons: enough to cross the ball


def fgsm(network: Network, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    """Fast gradient sign method (I. Goodfellow et al., 2015): one step of ``epsilon`` up the loss.

    Args:
        network: the attacked network.
        images: (B, 3, H, W) in [0, 1].
        labels: (B,) class numbers, or (B, K) of 0 and 1 for several labels per image.
        epsilon: the largest change of a value.

    Returns:
        (B, 3, H, W) in [0, 1].
    """
    return (images + epsilon * _gradient(network, images, labels).sign()).clamp(0, 1)


def pgd(
    network: Network,
    images: Tensor,
    labels: Tensor,
    epsilon: float,
    *,
    steps: int = STEPS,
    step_size: float | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Projected gradient descent (A. Madry et al., 2018): steps of FGSM, each kept within ``epsilon``.

    Args:
        network: the attacked network.
        images: (B, 3, H, W) in [0, 1].
        labels: (B,) class numbers, or (B, K) of 0 and 1.
        epsilon: the largest change of a value.
        steps: number of steps.
        step_size: length of one step; by default 2.5 epsilon / steps.
        generator: generator on the CPU for the random start. None to start at the image.

    Returns:
        (B, 3, H, W) in [0, 1].
    """
    step = _REACH * epsilon / steps if step_size is None else step_size
    low, high = (images - epsilon).clamp(0, 1), (images + epsilon).clamp(0, 1)
    found = images
    if generator is not None:
        noise = 2 * torch.rand(images.shape, generator=generator).to(images) - 1
        found = (images + epsilon * noise).clamp(0, 1)
    for _ in range(steps):
        moved = found + step * _gradient(network, found, labels).sign()
        found = torch.maximum(torch.minimum(moved, high), low)
    return found


def _gradient(network: Network, images: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient of the summed loss, with 0 in place of values that are not finite."""
    with torch.enable_grad():
        images = images.detach().requires_grad_()
        logits = network(images).float()
        if labels.ndim == 2:
            loss = F.binary_cross_entropy_with_logits(logits, labels.to(logits), reduction="sum")
        elif labels.ndim == 3:
            loss = F.cross_entropy(logits, labels.long(), reduction="sum", ignore_index=IGNORED)
        else:
            loss = F.cross_entropy(logits, labels, reduction="sum")
        return torch.autograd.grad(loss, images)[0].nan_to_num(0, 0, 0)


def through_quantizer(
    classifier: nn.Module, quantizer: QuantizesMany, num_colors: int, *, soft: bool = False
) -> Network:
    """Return a network that quantizes and classifies, with gradients to the original images.

    Args:
        classifier: maps images (B, 3, H, W) in [0, 1] to logits.
        quantizer: quantizes the images. The classifier gets the pixels of the PNG files.
        num_colors: the number of colours.
        soft: True to use the gradient of the soft image instead of the identity's.

    Raises:
        UsageError: the quantizer has no soft image.
    """
    if soft and not hasattr(quantizer, "soft"):
        raise UsageError("The quantizer has no soft image: use an `adaptive` attack.")
    return _ThroughQuantizer(classifier, quantizer, num_colors, soft)


@dataclass(frozen=True)
class _ThroughQuantizer:
    """Network of :func:`through_quantizer`; an object, because a copy of a function shares its networks."""

    classifier: nn.Module
    quantizer: Any
    num_colors: int
    soft: bool

    def __call__(self, images: Tensor) -> Tensor:
        size = self.num_colors
        hard = self.quantizer.quantize_many(images.detach(), [size])[size].render()
        path = images
        if self.soft:
            assignment = self.quantizer.soft(images, size)
            path = soft_render(soft_palette(images, assignment), assignment)
        logits: Tensor = self.classifier(straight_through(hard, path))
        return logits


def through_codec(classifier: nn.Module, codec: Coder) -> Network:
    """Return a network that codes, decodes and classifies. The codec's gradient is the identity's.

    Args:
        classifier: maps images (B, 3, H, W) in [0, 1] to logits.
        codec: codec that writes and reads the images.
    """

    return _ThroughCodec(classifier, codec)


@dataclass(frozen=True)
class _ThroughCodec:
    """Network of :func:`through_codec`."""

    classifier: nn.Module
    codec: Any

    def __call__(self, images: Tensor) -> Tensor:
        decoded = from_bytes(self.codec(to_bytes(images.detach()))[0]).to(images)
        logits: Tensor = self.classifier(straight_through(decoded, images))
        return logits


@dataclass(frozen=True)
class Attack:
    """Attack, and its way through a quantizer.

    Attributes:
        name: one of :data:`colorcnn.evaluation.attack_options.ATTACKS`.
        path: empty (classifier alone), or one of :data:`colorcnn.evaluation.attack_options.PATHS`.
        steps: number of PGD steps.
        queries: number of queries of Square.
        seed: seed of the random start of PGD, and of all random numbers of Square.
    """

    name: str
    path: str = ""
    steps: int = STEPS
    queries: int = QUERIES
    seed: int = 0

    def __str__(self) -> str:
        return f"{self.name}:{self.path}" if self.path else self.name

    def change(self, network: Network, images: Tensor, labels: Tensor, epsilon: int, start: int) -> Tensor:
        """Attack a batch.

        Args:
            network: the attacked network.
            images: (B, 3, H, W) uint8.
            labels: (B,) class numbers, or (B, K) of 0 and 1.
            epsilon: the largest change of a value, in 0..255.
            start: position of the first image, which decides the random start.

        Returns:
            (B, 3, H, W) uint8, the pixels of the changed images.
        """
        if epsilon == 0:
            return images
        # The evaluator works in inference mode, whose tensors cannot take part in a gradient.
        with torch.inference_mode(False):
            values, labels = from_bytes(images.clone()), labels.clone()
            if self.name == "fgsm":
                return to_bytes(fgsm(network, values, labels, epsilon / 255))
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + start)
            if self.name == "square":
                found = square(
                    network, values, labels, epsilon / 255, queries=self.queries, generator=generator
                )
            else:
                found = pgd(network, values, labels, epsilon / 255, steps=self.steps, generator=generator)
            return to_bytes(found)


def parse_attack(text: str, *, steps: int = STEPS, queries: int = QUERIES, seed: int = 0) -> Attack:
    """Read an attack, see :func:`colorcnn.evaluation.attack_options.split_attack`.

    Args:
        text: the attack.
        steps: number of PGD steps, at least 1.
        queries: number of queries of Square, at least 1.
        seed: seed of PGD and Square.

    Raises:
        UsageError: the attack or its path is unknown, or there are no steps or queries.
    """
    name, path = split_attack(text, steps, queries)
    return Attack(name, path, steps, queries, seed)


class Attacked:
    """Batches of images, which are attacked when they are read.

    Args:
        batches: uint8 images (B, 3, H, W), labels and index.
        attack: the attack.
        network: the attacked network.
        epsilon: the largest change of a value, in 0..255.
        device: device of the network.
        first: position of the first image, which decides the random starts.
    """

    def __init__(
        self,
        batches: Iterable[Batch],
        attack: Attack,
        network: Network,
        epsilon: int,
        device: torch.device | str = "cpu",
        first: int = 0,
    ) -> None:
        self.batches: Any = batches  # need a method ``after`` if :meth:`after` is called
        self.attack = attack
        self.network = network
        self.epsilon = epsilon
        self.device = device
        self.first = first

    def after(self, images: int) -> Attacked:
        """Return the batches after the first ``images`` images, with the same changes as in the whole set."""
        rest = self.batches.after(images)
        return Attacked(rest, self.attack, self.network, self.epsilon, self.device, self.first + images)

    @property
    def dataset(self) -> Any:
        """The data set of the batches; its length is the number of images."""
        return getattr(self.batches, "dataset", None)

    def __iter__(self) -> Iterator[Batch]:
        start = self.first
        for batch in self.batches:
            yield self.attacked(batch, start)
            start += len(batch.images)

    def attacked(self, batch: Batch, start: int) -> Batch:
        """Return a batch of attacked images.

        Args:
            batch: the original images.
            start: position of the first one.
        """
        images, labels = batch.images.to(self.device), batch.labels.to(self.device)
        changed = self.attack.change(self.network, images, labels, self.epsilon, start)
        return type(batch)(changed.cpu(), batch.labels, batch.index)
