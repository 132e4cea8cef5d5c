"""Training of classifiers."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from colorcnn.classifiers import load_classifier
from colorcnn.data.augment import Augment
from colorcnn.data.datasets import Batch
from colorcnn.models.classifiers import create_classifier
from colorcnn.recognition import accuracy, recognition_of
from colorcnn.tasks.base import ImageTask, OptimizerName, ScheduleName, copy_weights


class ClassifierTask(ImageTask):
    """Training of a classifier on original images (section 4.1: SGD, 1cycle with peak 0.1, 60 epochs).

    Args:
        network: a name in :data:`colorcnn.models.classifiers.CLASSIFIERS`.
        num_classes: number of classes; the command sets it from the data set.
        mean: mean of the data set's channels in [0, 1]; the command sets it from the data set.
        std: standard deviation of the data set's channels; the command sets it from the data set.
        multi_label: True if an image can have any number of classes; uses binary cross-entropy.
        network_kwargs: options of the network.
        start_from: initial weights: a pretrained name, a checkpoint folder or a Lightning .ckpt.
        augment: augmentation of training batches, options of :class:`Augment`; by default a flip and a crop
            with a padding of one eighth of the side.
        label_smoothing: label smoothing of the cross-entropy.
        optimizer: ``sgd`` or ``adamw``.
        learning_rate: peak learning rate.
        weight_decay: L2 penalty.
        schedule: schedule of the learning rate.
        restart_epochs: period of ``cosine-restarts`` in epochs.
    """

    def __init__(
        self,
        network: str,
        num_classes: int,
        mean: list[float],
        std: list[float],
        multi_label: bool = False,
        network_kwargs: dict[str, Any] | None = None,
        start_from: str | None = None,
        augment: dict[str, Any] | None = None,
        label_smoothing: float = 0.0,
        optimizer: OptimizerName = "sgd",
        learning_rate: float = 0.1,
        weight_decay: float = 5e-4,
        schedule: ScheduleName = "onecycle",
        restart_epochs: int = 20,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        options = network_kwargs or {}
        self.classifier = create_classifier(network, num_classes, mean=mean, std=std, **options)
        if start_from is not None:
            copy_weights(load_classifier(start_from), self.classifier, start_from)
        self.augment = Augment(**{"crop": "eighth", "flip": True} if augment is None else augment, fill=mean)

    def trained(self) -> nn.Module:
        """See :meth:`ImageTask.trained`."""
        return self.classifier

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of the recognition task, which follows from the shape of the labels.

        Args:
            logits: (B, classes, ...).
            labels: see :mod:`colorcnn.recognition`.
        """
        return recognition_of(labels).loss(logits, labels, self.hparams["label_smoothing"])

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One batch of the training split."""
        labels, images = self.augment.alike(batch.labels, batch.images)
        logits = self.classifier(images).float()
        loss = self.checked(self.loss(logits, labels))
        self.log_dict({"train/loss": loss, "train/accuracy": accuracy(logits, labels)}, prog_bar=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """One batch of the validation split."""
        self._score(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """One batch of the test split."""
        self._score(batch, "test")

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the classes of a batch, or the probabilities of several labels, (B, num_classes)."""
        logits = self.classifier(batch.images).float()
        return logits.sigmoid() if self.hparams["multi_label"] else logits.argmax(dim=1)

    def _score(self, batch: Batch, split: str) -> None:
        logits = self.classifier(batch.images).float()
        scores = {"loss": self.loss(logits, batch.labels), "accuracy": accuracy(logits, batch.labels)}
        self.log_dict(
            {f"{split}/{name}": value for name, value in scores.items()},
            prog_bar=True,
            batch_size=self.shares(batch),
            sync_dist=True,
        )
