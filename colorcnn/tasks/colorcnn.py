"""Training of ColorCNN, ColorCNN+ and PaletteAttention for frozen classifiers."""

from __future__ import annotations

from typing import Any, Literal, cast

import torch
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor, nn

from colorcnn.data.augment import Augment, random_flip
from colorcnn.data.base import ImageDataModule
from colorcnn.data.datasets import Batch
from colorcnn.data.imitation import ComputedTargets, ImitationTargets, open_targets
from colorcnn.data.jitter import contrast_jitter, gaussian_jitter, jitter_by_colors
from colorcnn.data.start_palettes import StartPalettes
from colorcnn.losses import (
    color_appearance,
    confidence_entropy,
    imitation_loss,
    information_entropy,
)
from colorcnn.methods import load_quantizer
from colorcnn.models import LearnedQuantizer, PaletteAttention, create_model
from colorcnn.models.assignment import (
    Assignment,
    hard_assignment,
    harden,
    reinmax,
    simplex_noise,
    soft_palette,
    soft_render,
)
from colorcnn.models.colorcnn import ColorCNNPlus, expand_sizes, quantizer_options
from colorcnn.models.precision import full_precision
from colorcnn.paletted import Paletted
from colorcnn.recognition import accuracy
from colorcnn.tasks.base import ImageTask, copy_weights, first_process_first
from colorcnn.tasks.options import (
    GROUPS,
    Augmentation,
    Imitation,
    Optimization,
    Recognition,
    Regularization,
    flattened,
)
from colorcnn.tasks.recognition import FrozenClassifiers
from colorcnn.tasks.schedules import Schedules

COMPILER = "inductor"  # backend of torch.compile
POWERS_OF_TWO = (2, 4, 8, 16, 32, 64)
AFTER_QUANTIZATION: dict[str, Any] = {"flip": True, "crop": "eighth", "rotation": 15.0, "erasing": 0.5}


class ColorCNNTask(ImageTask):
    """Training of a quantizer whose images frozen classifiers recognise (Eq 13 and 16).

    loss = recognition + lambda L_RP + gamma (R_color + alpha R_info + beta R_conf) + delta perceptual

    The defaults are the paper's ColorCNN+. For its ColorCNN set ``architecture: colorcnn``, one size, weights
    of 0 for imitation, information and confidence, ``flip_before`` and ``crop_before``.

    Args:
        classifiers: one or several frozen classifiers: pretrained names, checkpoint folders, Lightning .ckpt
            files or ``module:function``.
        num_classes: number of classes; the command sets it from the data set.
        mean: mean of the data set's channels in [0, 1]; the command sets it from the data set.
        std: standard deviation of the data set's channels; the command sets it from the data set.
        multi_label: True if images can have any number of classes; uses binary cross-entropy.
        architecture: ``colorcnn``, ``colorcnn-plus`` or ``palette-attention``.
        quantizer_kwargs: options of the quantizer, such as the backbone.
        start_from: initial weights: a pretrained name, a checkpoint folder or a Lightning .ckpt.
        frozen_backbone: True to train only the layers after the backbone. Separate heads (``own_heads``) then
            cannot change each other's features.
        sizes: numbers of colours to train for and to validate. ``all`` trains for every number from 1 to 64,
            as in the paper, and validates the powers of two.
        recognition: losses of the classifiers.
        imitation: imitation of a classical quantizer.
        regularization: regularisation of the soft assignment.
        augmentation: augmentation before and after the quantization.
        optimization: optimiser, task selection, and the change from soft to hard images.
        flat: options of the groups by their names in :data:`colorcnn.tasks.options.FLAT`, as in checkpoints.

    Raises:
        UsageError: an option is out of range, or a classifier does not fit the data set.
    """

    mean: Tensor
    std: Tensor
    quantizes_first = True

    def __init__(
        self,
        classifiers: list[str],
        num_classes: int,
        mean: list[float],
        std: list[float],
        multi_label: bool = False,
        architecture: Literal["colorcnn", "colorcnn-plus", "palette-attention"] = "colorcnn-plus",
        quantizer_kwargs: dict[str, Any] | None = None,
        start_from: str | None = None,
        frozen_backbone: bool = False,
        sizes: list[int] | Literal["all"] = list(POWERS_OF_TWO),  # noqa: B006 (never changed)
        recognition: Recognition = Recognition(),
        imitation: Imitation = Imitation(),
        regularization: Regularization = Regularization(),
        augmentation: Augmentation = Augmentation(),
        optimization: Optimization = Optimization(),
        **flat: Any,
    ) -> None:
        super().__init__()
        options = flattened((recognition, imitation, regularization, augmentation, optimization), flat)
        self.save_hyperparameters(options)
        self.save_hyperparameters(ignore=[*GROUPS])  # adds the arguments outside the groups
        self.strict_loading = False  # a checkpoint does not hold the frozen classifiers
        self.sizes = expand_sizes(sizes)
        self.scored_sizes = list(POWERS_OF_TWO) if sizes == "all" else self.sizes
        self._schedules = Schedules(self.hparams, self.sizes)
        self.quantizer = self._make_quantizer(architecture, quantizer_kwargs or {})
        if start_from is not None:
            copy_weights(load_quantizer(f"{architecture}:{start_from}"), self.quantizer, start_from)
        if frozen_backbone:
            cast(nn.Module, self.quantizer.backbone).requires_grad_(False).eval()
        distillation, perceptual = options["distillation"], bool(options["perceptual_weight"])
        self.judges = FrozenClassifiers(
            classifiers, num_classes, distillation=distillation, perceptual=perceptual
        )
        after = AFTER_QUANTIZATION if options["augment"] is None else options["augment"]
        self.augment = Augment(**after, fill=mean)
        self.crop = Augment(crop=options["crop_before"], fill=mean)
        self.num_colors = 0  # none is drawn yet; a run may resume between two draws
        self.also: list[int] = []
        self.targets: ImitationTargets | ComputedTargets | None = None
        self.starts: StartPalettes | None = None
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def _make_quantizer(self, architecture: str, options: dict[str, Any]) -> LearnedQuantizer:
        quantizer = create_model(architecture, **quantizer_options(architecture, self.sizes, options))
        return cast(LearnedQuantizer, quantizer)

    def trained(self) -> nn.Module:
        """See :meth:`ImageTask.trained`."""
        return self.quantizer

    def train(self, mode: bool = True) -> ColorCNNTask:
        """Set the training mode, except for a frozen backbone, whose BatchNorm stays unchanged, too."""
        super().train(mode)
        if self.hparams["frozen_backbone"]:
            cast(nn.Module, self.quantizer.backbone).eval()
        return self

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remove the classifiers' weights, which are loaded from their own files on resume."""
        super().on_save_checkpoint(checkpoint)
        for key in [key for key in checkpoint["state_dict"] if key.startswith("judges.")]:
            del checkpoint["state_dict"][key]

    def on_fit_start(self) -> None:
        """Compute or load cached start palettes and imitation targets."""
        with first_process_first(self.trainer):
            self._open_lookups()
        if self.hparams["compile"]:
            rank_zero_info("compile: the first batches compile the networks, which takes minutes")
            for network in (cast(nn.Module, self.quantizer.backbone), *self.judges):
                network.compile(backend=COMPILER)  # in place, so that the names of weights do not change

    def _open_lookups(self) -> None:
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        starts = isinstance(self.quantizer, PaletteAttention) and not self.hparams["crop_before"]
        sizes = [size for size in self.sizes if self._schedules.imitation_weight(size) > 0]
        if not (starts or sizes):
            return
        limited = self._images_to_see(data) < len(data.train)
        workers = getattr(self.trainer, "workers", None)
        if isinstance(self.quantizer, PaletteAttention) and starts and not limited:
            found = StartPalettes(data.train, self.sizes, self.quantizer.start, workers=workers)
            self.starts = found.to(self.device)
        if sizes:
            method = self.hparams["imitation_method"]
            maps: Literal["cached", "computed"] = self.hparams["imitation_maps"]
            maps = "computed" if limited else maps
            self.targets = open_targets(data.train, sizes, method, self.device, maps=maps, workers=workers)

    def _images_to_see(self, data: ImageDataModule) -> float:
        """Return the number of images that the training will use; smaller than N in a limited run."""
        trainer = self.trainer
        steps = trainer.estimated_stepping_batches * trainer.accumulate_grad_batches
        return float(steps) * data.batch_size * trainer.world_size

    def _select_tasks(self) -> list[int]:
        weights = torch.tensor(self.hparams["size_weights"] or [1.0] * len(self.sizes), dtype=torch.float32)
        sizes = [self.sizes[drawn] for drawn in weights.multinomial(self.hparams["sizes_per_batch"]).tolist()]
        if getattr(self.trainer, "world_size", 1) > 1:  # all processes use the same numbers of colours
            sizes = self.trainer.strategy.broadcast(sizes)
        return sizes

    @property
    def progress(self) -> float:
        """Share of the training's steps that are done, in [0, 1]."""
        return self.global_step / max(1, int(self.trainer.estimated_stepping_batches))

    def _is_hard(self) -> bool:
        share = self.hparams["straight_through"]
        return share > 0 and self.progress >= 1 - share

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Train on one batch. A new number of colours is drawn every ``task_batches`` batches."""
        if batch_idx % self.hparams["task_batches"] == 0 or not self.num_colors:
            self.num_colors, *self.also = self._select_tasks()
        size = self.num_colors
        images, targets = batch.images, None
        index = self.host_index(batch)
        if self._schedules.imitates(size, self.progress) and self.targets is not None:
            targets = self.targets.of(images, index, size)
        images, labels, targets = self._before(images, batch.labels, targets)
        features = self.quantizer.encode(images) if self.also else None
        terms = self._terms(Batch(images, labels, index), targets, size, features)
        for other in self.also:
            more = self._terms(Batch(images, labels, index), None, other, features)
            terms = {name: value + more[name] for name, value in terms.items()}
        terms = {name: value / (1 + len(self.also)) for name, value in terms.items()}
        loss = self.checked(torch.stack(list(terms.values())).sum())
        self.log("train/loss", loss, prog_bar=True)
        self.log("train/num_colors", float(size), prog_bar=True)
        self.log_dict({f"train/{name}": value for name, value in terms.items()})
        return loss

    def _terms(self, batch: Batch, targets: Tensor | None, size: int, features: Any) -> dict[str, Tensor]:
        """Return the terms of the loss for one number of colours. Several sizes share ``features``."""
        images = batch.images
        temperature = self._schedules.temperature(self.progress)
        noise = self._schedules.score_noise(size, self.progress)
        assignment = self._assign(images, size, temperature, noise, batch.index, features)
        quantized = self.render(images, assignment)
        with full_precision(images.device):
            terms = self._regularizers(assignment, targets, size)
        return terms | self._recognition(quantized, images, batch.labels, size)

    def _assign(
        self, images: Tensor, size: int, temperature: float, noise: float, index: Tensor, features: Any = None
    ) -> Assignment:
        """Return the soft assignment, sparse or dense as the option says; ``auto`` takes the faster form."""
        form, model = self.hparams["assignment_form"], self.quantizer
        kept = model.top_k if isinstance(model, ColorCNNPlus) else 0
        from_size = 2 * kept + 1 if form == "auto" else kept + 1
        usual = form == "sparse" or (form == "auto" and images.device.type == "cpu")
        if isinstance(model, ColorCNNPlus) and kept and usual and size >= from_size and features is None:
            return model.soft_top_k(images, size, temperature, noise)
        known = {} if features is None else {"features": features}
        if self.starts is not None:
            known["start"] = self.starts.lookup(index, size, images.device)
        return model.soft(images, size, temperature, noise, **known)

    def _before(
        self, images: Tensor, labels: Tensor, targets: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Flip and crop the images before they are quantized; masks and imitation targets follow."""
        if self.hparams["flip_before"]:
            maps = {"labels": labels if labels.ndim == 3 else None, "targets": targets}
            present = {name: value for name, value in maps.items() if value is not None}
            images, *flipped = random_flip(images, *present.values())
            moved = dict(zip(present, flipped))
            labels, targets = moved.get("labels", labels), moved.get("targets")
        labels, images = self.crop.alike(labels, images)
        return images, labels, targets

    def render(self, images: Tensor, assignment: Assignment) -> Tensor:
        """Return the quantized image that gradients pass through: soft (Eq 5-6), hard, or noisy.

        Args:
            images: (B, 3, H, W).
            assignment: m(x).
        """
        with full_precision(images.device):
            if self.hparams["hardening"]:
                assignment = harden(assignment, self.progress / self.hparams["hardening"])
            if not self._is_hard():
                return soft_render(soft_palette(images, assignment), assignment)
            if self.hparams["stand_in"] in ("reinmax", "simplex-noise"):
                substitute = reinmax if self.hparams["stand_in"] == "reinmax" else simplex_noise
                assignment = substitute(assignment)
                return soft_render(soft_palette(images, assignment), assignment)
            hard = hard_assignment(assignment)
            rendered = hard if self.hparams["stand_in"] == "assignment" else assignment
            return soft_render(soft_palette(images, hard), rendered)

    def _regularizers(self, assignment: Assignment, targets: Tensor | None, size: int) -> dict[str, Tensor]:
        options, schedules = self.hparams, self._schedules
        gamma = options["regularization_weight"]
        entropies = gamma / size if options["entropy_scale"] == "colors" else gamma
        weighted = {
            "color": (gamma, color_appearance),
            "information": (entropies * options["information_weight"], information_entropy),
            "confidence": (entropies * schedules.confidence_weight(size, self.progress), confidence_entropy),
        }
        terms = {name: weight * term(assignment) for name, (weight, term) in weighted.items() if weight}
        if targets is not None:
            pixels = self._sample_pixels(assignment)
            terms["imitation"] = schedules.imitation_weight(size) * imitation_loss(
                assignment, targets, pixels, num_clusters=size
            )
        return terms

    def _sample_pixels(self, assignment: Assignment) -> Tensor | None:
        share, total = self.hparams["imitation_pixels"], assignment.shape[2:].numel()
        if share >= 1:
            return None
        order = torch.rand(assignment.shape[0], total, device=assignment.device).argsort(dim=1)
        return order[:, : max(1, round(share * total))]

    def _recognition(self, quantized: Tensor, images: Tensor, labels: Tensor, size: int) -> dict[str, Tensor]:
        """Return the losses of the classifiers on the quantized images, jittered and augmented."""
        weight, seen = self.hparams["perceptual_weight"], self._jittered(quantized, size)
        labels, seen, *others = self.augment.alike(labels, seen, *([images] if weight else []))
        original = others[0] if others else None
        weights = {"perceptual": weight, "recognition": self.hparams["recognition_weight"]}
        terms = self.judges(seen, images, labels, original)
        return {name: weights[name] * term for name, term in terms.items()}

    def _jittered(self, quantized: Tensor, size: int) -> Tensor:
        options = self.hparams
        noise, contrast = options["jitter"], options["jitter_contrast"]
        if options["jitter_schedule"] == "colors":
            seen = jitter_by_colors(quantized, self.mean, self.std, size, noise, contrast)
        else:
            per_pixel = options["jitter_noise"] == "per-pixel"
            seen = gaussian_jitter(quantized, self.mean, self.std, noise, contrast, per_pixel=per_pixel)
        return contrast_jitter(seen, options["contrast"], options["brightness"])

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Validate one batch with every number of colours."""
        self._score(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Test one batch with every number of colours."""
        self._score(batch, "test")

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[int, Paletted]:
        """Return the quantized batch for every number of colours."""
        return self.quantizer.quantize_many(batch.images, self.scored_sizes)

    def _score(self, batch: Batch, split: str) -> None:
        """Log accuracy and used colours, measured in full precision on the pixels of a file."""
        scores: dict[str, Tensor] = {}
        with full_precision(batch.images.device):
            for size, paletted in self.quantizer.quantize_many(batch.images, self.scored_sizes).items():
                images = paletted.render()
                right = [accuracy(judge(images), batch.labels) for judge in self.judges]
                scores[f"{split}/accuracy_{size}"] = torch.stack(right).mean()
                scores[f"{split}/colors_{size}"] = paletted.num_colors.float().mean()
        of_all = torch.stack([scores[f"{split}/accuracy_{size}"] for size in self.scored_sizes]).mean()
        self.log_dict(scores, batch_size=self.shares(batch), sync_dist=True)
        self.log(f"{split}/accuracy", of_all, prog_bar=True, batch_size=self.shares(batch), sync_dist=True)
