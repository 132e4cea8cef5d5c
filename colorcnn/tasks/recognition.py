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


class Judges(nn.ModuleList):
    """Frozen classifiers with the losses of their answers to quantized images, averaged over them.

    Args:
        specs: as :func:`colorcnn.classifiers.load_classifier` takes them.
        num_classes: of the data set.
        distillation: share of knowledge distillation in the recognition loss; 0 is cross-entropy alone.
        perceptual: compare the last features of quantized images with those of the originals, too.

    Raises:
        UsageError: a classifier is unknown, was made for other classes, or has no last features.
    """

    def __init__(
        self,
        specs: Sequence[str],
        num_classes: int,
        *,
        distillation: float = 0.0,
        perceptual: bool = False,
    ) -> None:
        loaded = [load_judge(spec, num_classes) for spec in specs]
        judges = [fused(judge) if isinstance(judge, Classifier) else judge for judge in loaded]
        super().__init__(frozen(judge) for judge in judges)
        self.distillation = distillation
        self.probes = [Probe(judge, (_LAST,)) for judge in judges] if perceptual else []

    def forward(
        self, seen: Tensor, images: Tensor, labels: Tensor, original: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The losses.

        Args:
            seen: quantized images (B, 3, H, W) as they are shown, jittered and augmented.
            images: the originals, whose logits are the teacher's.
            labels: (B,), or (B, num_classes) of 0 and 1 for several labels.
            original: the originals augmented as ``seen`` was; for the perceptual loss.

        Returns:
            ``recognition``, and where it was asked for ``perceptual``: the mean squared difference of the
            last feature maps.
        """
        recognition, perceptual = [], []
        for number, judge in enumerate(self):
            logits = judge(seen).float()
            if self.probes and original is not None:
                perceptual.append(self._difference(judge, self.probes[number], original))
            recognition.append(self._answer_loss(judge, logits, images, labels))
        losses = {"recognition": torch.stack(recognition).mean()}
        return {**losses, "perceptual": torch.stack(perceptual).mean()} if perceptual else losses

    def _answer_loss(self, judge: nn.Module, logits: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy, knowledge distillation or a mixture."""
        loss = torch.zeros((), device=logits.device)
        if self.distillation < 1:
            loss = loss + (1 - self.distillation) * self._label_loss(logits, labels)
        if self.distillation > 0 and labels.ndim == 3:
            raise UsageError("Distillation does not know where masks moved to: set distillation to 0.")
        if self.distillation > 0:
            with torch.no_grad():
                teacher = judge(images).float()
            loss = loss + self.distillation * distillation_loss(logits, teacher)
        return loss

    def _label_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return recognition_of(labels).loss(logits, labels)

    @staticmethod
    def _difference(judge: nn.Module, probe: Probe, original: Tensor) -> Tensor:
        """Between the features of what the classifier saw last and those of the originals."""
        features = probe.seen.pop(_LAST).float()
        with torch.no_grad():
            judge(original)
        return F.mse_loss(features, probe.seen.pop(_LAST).float())


def load_judge(spec: str, num_classes: int) -> nn.Module:
    """Load a classifier that has as many classes as the data set.

    Args:
        spec: a pretrained name, a checkpoint folder, a Lightning .ckpt, or ``module:function``.
        num_classes: of the data set.

    Raises:
        UsageError: it tells another number.
    """
    judge = load_classifier(spec)
    told = getattr(judge, "num_classes", num_classes)
    if told != num_classes:
        raise UsageError(
            f"Classifier {spec!r} tells {told} classes apart and the data set has "
            f"{num_classes}: choose a classifier trained on this data set."
        )
    return judge
