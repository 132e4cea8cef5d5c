"""Recognition tasks: the loss of a classifier's logits, and the images it recognises.

The shape of the labels decides the task. Training, validation and evaluation use these classes:

=====================  ========================  ==================  ====================
task                   labels                    logits              an image is recognised
=====================  ========================  ==================  ====================
:class:`Classes`       (B,) int64                (B, K)              the class is right
:class:`SeveralLabels` (B, K) of 0 and 1         (B, K)              all K labels are right
:class:`Masks`         (B, H, W) of class        (B, K, H, W)        the mean IoU is at
                       numbers, or 255                               least one half
=====================  ========================  ==================  ====================
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

from colorcnn.errors import UsageError

IGNORED = 255
"""Class number of pixels that losses and metrics ignore."""
FOUND_IOU = 0.5
"""Minimum mean intersection over union of a recognised mask, as in Pascal VOC's detection task."""


class Recognition(ABC):
    """Base class of the recognition tasks."""

    name: str
    logits_shape: str

    @abstractmethod
    def loss(self, logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Return the training loss, a scalar.

        Args:
            logits: (B, K, ...) float.
            labels: labels of the task.
            label_smoothing: label smoothing of the cross-entropy.
        """

    @abstractmethod
    def correct(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return (B,) bool, True for recognised images; False if logits are not finite.

        Args:
            logits: (B, K, ...) float.
            labels: labels of the task.
        """

    def num_classes(self, logits: Tensor, labels: Tensor) -> int:
        """Return the number of classes of the labels, at least the number of logits.

        Args:
            logits: (B, K, ...).
            labels: labels of the task.
        """
        known = labels[labels != IGNORED]
        return max(logits.shape[1], int(known.max()) + 1 if known.numel() else 0)

    def check_logits(self, logits: object, images: Tensor) -> Tensor:
        """Return a network's logits if they have the task's shape.

        Args:
            logits: the output of the network.
            images: (B, 3, H, W), the input of the network.

        Raises:
            UsageError: the output is not a tensor, or has another shape.
        """
        if not isinstance(logits, Tensor):
            raise UsageError(
                f"The classifier returned a {type(logits).__name__}: "
                f"use a classifier that returns logits {self.logits_shape}."
            )
        pixels = tuple(images.shape[2:]) if self.logits_shape.endswith("H, W)") else ()
        if logits.ndim != 2 + len(pixels) or len(logits) != len(images) or tuple(logits.shape[2:]) != pixels:
            raise UsageError(
                f"The classifier returned {tuple(logits.shape)} for {len(images)} images: "
                f"use a classifier that returns logits {self.logits_shape}."
            )
        return logits


class Classes(Recognition):
    """One class per image: cross-entropy, and the class with the largest logit."""

    name = "classes"
    logits_shape = "(B, classes)"

    def loss(self, logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """See :meth:`Recognition.loss`."""
        return F.cross_entropy(logits, labels, label_smoothing=label_smoothing)

    def correct(self, logits: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Recognition.correct`."""
        return logits.isfinite().all(dim=1) & (logits.argmax(dim=1) == labels)


class SeveralLabels(Recognition):
    """Any number of labels per image: binary cross-entropy, and a threshold of 0.5 for each label."""

    name = "several labels"
    logits_shape = "(B, classes)"

    def loss(self, logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """See :meth:`Recognition.loss`; labels are not smoothed."""
        return F.binary_cross_entropy_with_logits(logits, labels)

    def correct(self, logits: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Recognition.correct`."""
        return logits.isfinite().all(dim=1) & ((logits > 0) == (labels > 0)).all(dim=1)

    def num_classes(self, logits: Tensor, labels: Tensor) -> int:
        """See :meth:`Recognition.num_classes`."""
        return labels.shape[1]


class Masks(Recognition):
    """A class per pixel: cross-entropy over the pixels, and the mean IoU of the image's classes."""

    name = "masks"
    logits_shape = "(B, classes, H, W)"

    def loss(self, logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """See :meth:`Recognition.loss`."""
        return F.cross_entropy(logits, labels.long(), ignore_index=IGNORED, label_smoothing=label_smoothing)

    def correct(self, logits: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Recognition.correct`."""
        found = torch.stack([mean_iou(counts) for counts in self.confusion(logits, labels)])
        return logits.flatten(1).isfinite().all(dim=1) & (found >= FOUND_IOU)

    @staticmethod
    def confusion(logits: Tensor, labels: Tensor) -> Tensor:
        """Count the pixels of each pair of classes.

        Args:
            logits: (B, K, H, W).
            labels: (B, H, W).

        Returns:
            (B, K, K) int64: rows are the true classes, columns the predicted ones.
        """
        classes = logits.shape[1]
        pairs = labels.long() * classes + logits.argmax(dim=1)
        pairs = torch.where(labels == IGNORED, classes**2, pairs).flatten(1)
        counts = torch.zeros(len(pairs), classes**2 + 1, dtype=torch.int64, device=pairs.device)
        counts.scatter_add_(1, pairs, torch.ones_like(pairs))
        return counts[:, :-1].view(-1, classes, classes)


RECOGNITIONS = {1: Classes(), 2: SeveralLabels(), 3: Masks()}
"""Number of dimensions of the labels -> recognition task."""


def recognition_of(labels: Tensor) -> Recognition:
    """Return the recognition task of a batch's labels.

    Args:
        labels: (B,), (B, K) or (B, H, W).

    Raises:
        UsageError: the labels have another shape.
    """
    if labels.ndim not in RECOGNITIONS:
        raise UsageError(
            f"labels are {tuple(labels.shape)}: give (B,) classes, (B, classes) of 0 and 1, "
            "or (B, H, W) masks."
        )
    return RECOGNITIONS[labels.ndim]


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the share of recognised images of a batch, a scalar.

    Args:
        logits: (B, K, ...).
        labels: labels of a recognition task.
    """
    return recognition_of(labels).correct(logits, labels).float().mean()


def mean_iou(confusion: Tensor) -> Tensor:
    """Return the mean intersection over union of the classes that occur, a scalar in [0, 1].

    A class that neither occurs nor is predicted is left out. Without any class the result is 0.

    Args:
        confusion: (K, K) numbers of pixels: rows are the true classes, columns the predicted ones.
    """
    hits = confusion.diagonal().double()
    union = confusion.sum(dim=0) + confusion.sum(dim=1) - hits
    occurs = union > 0
    return (hits[occurs] / union[occurs]).mean() if occurs.any() else torch.zeros((), dtype=torch.float64)
