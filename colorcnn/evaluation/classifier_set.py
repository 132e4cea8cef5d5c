"""Frozen classifiers of an evaluation, and the evaluation mode of networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.evaluation.accumulator import Answers
from colorcnn.models.precision import full_precision
from colorcnn.paletted import from_bytes
from colorcnn.recognition import RECOGNITIONS, recognition_of

FrozenClassifiers = nn.Module | Mapping[str, nn.Module]
"""One classifier, or several by name. The first gives the scores."""


@torch.inference_mode()
def predict(classifier: nn.Module, images: Tensor, device: torch.device | str = "cpu") -> Tensor:
    """Return the logits of a classifier for images, in full precision.

    Args:
        classifier: maps images (B, 3, H, W) in [0, 1] to logits (B, K), or (B, K, H, W) for every pixel.
        images: (B, 3, H, W) uint8.
        device: device of the classifier.

    Returns:
        The logits, float32 on the CPU.

    Raises:
        UsageError: the classifier does not return logits.
        ColorCNNError: the classifier fails. It may be the user's own.
    """
    try:
        with full_precision(torch.device(device)):  # also so that several GPUs give the numbers of one
            logits = classifier(from_bytes(images.to(device)))
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ColorCNNError(
            f"The classifier failed on images {tuple(images.shape)} ({reason}): "
            "check that it takes (B, 3, H, W) of this size."
        ) from error
    task = RECOGNITIONS[3] if isinstance(logits, Tensor) and logits.ndim == 4 else RECOGNITIONS[1]
    return task.check_logits(logits, images).float().cpu()


class ClassifierSet:
    """One or several classifiers that classify the same pixels.

    Args:
        classifiers: one, or several by name.
        device: device of the classifiers.
        num_classes: number of classes of the data; None to read it from the labels.
    """

    def __init__(self, classifiers: FrozenClassifiers, device: torch.device, num_classes: int | None) -> None:
        self.classifiers = dict(classifiers) if isinstance(classifiers, Mapping) else {"": classifiers}
        self.device = device
        self.num_classes = num_classes

    @property
    def names(self) -> tuple[str, ...]:
        """Names of several classifiers; empty for a single one."""
        return tuple(self.classifiers) if len(self.classifiers) > 1 else ()

    def ask(self, pixels: Tensor, labels: Tensor) -> Answers:
        """Return the logits of each classifier.

        Args:
            pixels: (B, 3, H, W) uint8.
            labels: (B,) class numbers, or (B, K) of 0 and 1.

        Raises:
            UsageError: a classifier has another number of classes than the labels.
            ColorCNNError: a classifier fails.
        """
        answers = {name: predict(each, pixels, self.device) for name, each in self.classifiers.items()}
        for name, logits in answers.items():
            recognition_of(labels).check_logits(logits, pixels)
            _check_classes(logits, labels, self.num_classes, name if self.names else "The classifier")
        return answers


def _check_classes(logits: Tensor, labels: Tensor, num_classes: int | None, name: str) -> None:
    if num_classes is None:
        num_classes = recognition_of(labels).num_classes(logits, labels)
    if logits.shape[1] != num_classes:
        raise UsageError(
            f"{name} has {logits.shape[1]} classes and the data have {num_classes}: "
            "use a classifier that was trained on these data."
        )


@contextmanager
def evaluating(modules: Sequence[nn.Module], device: torch.device) -> Iterator[None]:
    """Move networks to a device. In the context they are in evaluation mode and have no gradients.

    Args:
        modules: the networks.
        device: the device.
    """
    parts = [part for module in modules for part in module.to(device).modules()]
    modes = [part.training for part in parts]
    try:
        for module in modules:
            module.eval()
        with torch.inference_mode():
            yield
    finally:
        for part, mode in zip(parts, modes):
            part.training = mode
