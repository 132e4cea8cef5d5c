"""Classifiers as judges of images, and networks put into evaluation mode for a while."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.evaluation.tally import Answers
from colorcnn.paletted import from_bytes
from colorcnn.recognition import RECOGNITIONS, recognition_of

Judges = nn.Module | Mapping[str, nn.Module]
"""A classifier, or several by name, the first of which gives the scores."""


@torch.inference_mode()
def predict(classifier: nn.Module, images: Tensor, device: torch.device | str = "cpu") -> Tensor:
    """Ask a classifier about images.

    Args:
        classifier: maps images (B, 3, H, W) in [0, 1] to logits (B, K), or (B, K, H, W) for every pixel.
        images: uint8 (B, 3, H, W).
        device: where the classifier runs.

    Returns:
        the logits, float32 on the CPU.

    Raises:
        UsageError: it does not return logits.
        ColorCNNError: it fails; it may be a user's own.
    """
    try:
        logits = classifier(from_bytes(images.to(device)))
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ColorCNNError(
            f"The classifier failed on images {tuple(images.shape)} ({reason}): "
            "check that it takes (B, 3, H, W) of this size."
        ) from error
    task = RECOGNITIONS[3] if isinstance(logits, Tensor) and logits.ndim == 4 else RECOGNITIONS[1]
    return task.check_logits(logits, images).float().cpu()


class Panel:
    """The classifiers that judge."""

    def __init__(self, judges: Judges, device: torch.device, num_classes: int | None) -> None:
        self.judges = dict(judges) if isinstance(judges, Mapping) else {"": judges}
        self.device = device
        self.num_classes = num_classes

    @property
    def names(self) -> tuple[str, ...]:
        """Of several; a single one has none."""
        return tuple(self.judges) if len(self.judges) > 1 else ()

    def ask(self, pixels: Tensor, labels: Tensor) -> Answers:
        """What each answers to uint8 images (B, 3, H, W).

        Raises:
            UsageError: one does not fit the labels.
            ColorCNNError: one fails.
        """
        answers = {name: predict(judge, pixels, self.device) for name, judge in self.judges.items()}
        for name, logits in answers.items():
            recognition_of(labels).check_logits(logits, pixels)
            _check_classes(logits, labels, self.num_classes, name if self.names else "The classifier")
        return answers


def _check_classes(logits: Tensor, labels: Tensor, num_classes: int | None, judge: str) -> None:
    told = logits.shape[1]
    needed = num_classes
    if needed is None:
        needed = recognition_of(labels).num_classes(logits, labels)
    if told != needed:
        raise UsageError(
            f"{judge} tells {told} classes apart and the data have {needed}: "
            "choose a classifier that was trained on these data."
        )


def modules_of(quantizer: object) -> Iterator[nn.Module]:
    """The network of a quantizer, or of the one that a wrapper such as ``Dithered`` holds."""
    for candidate in (quantizer, getattr(quantizer, "quantizer", None)):
        if isinstance(candidate, nn.Module):
            yield candidate


@contextmanager
def evaluating(modules: Sequence[nn.Module], device: torch.device) -> Iterator[None]:
    """Move networks to the device and keep them in evaluation mode, without gradients, for a while."""
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
