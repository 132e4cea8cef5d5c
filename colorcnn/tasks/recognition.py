"""Losses of frozen classifiers on quantized images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorcnn.classifiers import load_classifier
from colorcnn.dcq.attention import Probe
from colorcnn.errors import UsageError
from colorcnn.losses import distillation_loss
from colorcnn.models import frozen
from colorcnn.models.classifiers import Classifier
from colorcnn.models.fusing import fused
from colorcnn.recognition import recognition_of

_LAST = "final"


class FrozenClassifiers(nn.ModuleList):
    """Frozen classifiers, and their mean losses on quantized images.

    Args:
        specs: pretrained names, checkpoint folders, Lightning .ckpt files, or ``module:function``.
        num_classes: number of classes of the data set.
        distillation: share of knowledge distillation in the recognition loss; 0 is only cross-entropy.
        perceptual: True to compare the last feature maps of quantized images and originals, too.

    Raises:
        UsageError: a classifier is unknown, has another number of classes, or has no last feature maps.
    """

    def __init__(
        self,
        specs: Sequence[str],
        num_classes: int,
        *,
        distillation: float = 0.0,
        perceptual: bool = False,
    ) -> None:
        loaded = [load_frozen_classifier(spec, num_classes) for spec in specs]
        classifiers = [fused(each) if isinstance(each, Classifier) else each for each in loaded]
        super().__init__(frozen(each) for each in classifiers)
        self.distillation = distillation
        self.probes = [Probe(each, (_LAST,)) for each in classifiers] if perceptual else []

    def forward(
        self, seen: Tensor, images: Tensor, labels: Tensor, original: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the losses.

        Args:
            seen: quantized images (B, 3, H, W) after jitter and augmentation.
            images: the originals, whose logits are the teacher's.
            labels: (B,), or (B, num_classes) of 0 and 1 for several labels.
            original: the originals with the augmentation of ``seen``, for the perceptual loss.

        Returns:
            ``recognition``, and ``perceptual`` if it is used: the mean squared difference of the last feature
            maps.
        """
        recognition, perceptual = [], []
        for number, classifier in enumerate(self):
            logits = classifier(seen).float()
            if self.probes and original is not None:
                perceptual.append(self._difference(classifier, self.probes[number], original))
            recognition.append(self._recognition_loss(classifier, logits, images, labels))
        losses = {"recognition": torch.stack(recognition).mean()}
        return {**losses, "perceptual": torch.stack(perceptual).mean()} if perceptual else losses

    def _recognition_loss(
        self, classifier: nn.Module, logits: Tensor, images: Tensor, labels: Tensor
    ) -> Tensor:
        """Return cross-entropy, knowledge distillation or a mixture."""
        loss = torch.zeros((), device=logits.device)
        if self.distillation < 1:
            loss = loss + (1 - self.distillation) * self._label_loss(logits, labels)
        if self.distillation > 0 and labels.ndim == 3:
            raise UsageError("Distillation is not supported for masks: set distillation to 0.")
        if self.distillation > 0:
            with torch.no_grad():
                teacher = classifier(images).float()
            loss = loss + self.distillation * distillation_loss(logits, teacher)
        return loss

    def _label_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return recognition_of(labels).loss(logits, labels)

    @staticmethod
    def _difference(classifier: nn.Module, probe: Probe, original: Tensor) -> Tensor:
        """Return the difference between the feature maps of the last input and those of the originals."""
        features = probe.seen.pop(_LAST).float()
        with torch.no_grad():
            classifier(original)
        return F.mse_loss(features, probe.seen.pop(_LAST).float())


def load_frozen_classifier(spec: str, num_classes: int) -> nn.Module:
    """Load a classifier that has as many classes as the data set.

    Args:
        spec: a pretrained name, a checkpoint folder, a Lightning .ckpt, or ``module:function``.
        num_classes: number of classes of the data set.

    Raises:
        UsageError: the classifier has another number of classes.
    """
    classifier = load_classifier(spec)
    found = getattr(classifier, "num_classes", num_classes)
    if found != num_classes:
        raise UsageError(
            f"Classifier {spec!r} has {found} classes and the data set has "
            f"{num_classes}: use a classifier trained on this data set."
        )
    return classifier
