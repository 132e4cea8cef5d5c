"""Training of compressors: transform, quantizer and entropy model for a rate-distortion loss."""

from __future__ import annotations

from typing import Any, Literal

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Adam, Optimizer

from colorcnn.errors import UsageError, check_at_least
from colorcnn.models.budget import build_within
from colorcnn.paletted import from_bytes
from colorcnn.tasks.base import Task, make_schedule
from colorcnn.vq.codebook import CodebookQuantizer
from colorcnn.vq.compressor import Compressor, Terms, create_compressor, frozen_parameters
from colorcnn.vq.noise import NoiseQuantizer
from colorcnn.vq.rates import decibels

_REACTIVATE_STEPS = 100  # steps between two checks for unused codewords
_SETTLED_STEPS = 500  # steps until the running usage of codewords is reliable


class VQTask(Task):
    """Training of a compressor of vectors or of images.

    In joint training all parts minimise one loss. In alternating training each batch makes two steps. Step 1
    trains decoder, codebook and entropy model on quantized latents. Step 2 trains the encoder on the
    differentiable substitute of quantization. A batch takes one pass through the encoder and two through the
    decoder.

    Args:
        source_dimension: d of a vector source, None for images; the command sets it from the data.
        trade_off: lambda in L = bits per dimension + lambda * MSE, or bits per pixel + lambda * 255^2 * MSE.
        method: a key of :data:`colorcnn.vq.methods.METHODS`.
        options: options of the method, such as ``dimension`` and ``size``.
        network_kwargs: ``width`` and ``depth`` for vectors, ``width`` and ``channels`` for images.
        alternate: True to train encoder and decoder alternately; None uses the method's default.
        decoder_steps: decoder steps per encoder step in alternating training, on the same batch. The paper
            gives no number.
        decoder_distance: True to add the distance of codewords to the latents to the decoder's loss, as
            ``vq-ste`` does.
        latent_weight: beta, weight of the mean squared distance between latents and codewords, for methods
            that train with it; None uses lambda.
        warm_up: share of the training that is the warm-up. Methods whose noise needs a good codebook
            (``sphere``, ``nsvq``, ``diveq``, ``fsq``) train as ``vq-ste`` in it. Unused codewords are removed
            after it.
        reactivate_below: in the first half of the warm-up, codewords with less than this share of the mean
            usage are moved to vectors of the data; 0 moves none.
        prune_below: minimum usage of a codeword after the warm-up (after 500 steps at the earliest).
        learning_rate: learning rate of the encoder, and the default for the decoder.
        decoder_learning_rate: learning rate of decoder and codebook.
        prior_factor: factor of the learning rate for the codewords' logits, which must change more.
        schedule: ``cosine`` down to 0, or ``constant``.
        gradient_clip: maximum norm of the gradients of encoder and of decoder, 0 for no limit.
        mixed: True to train the transforms in bfloat16, which is faster if the processor supports it.
            Codebooks, rates, evaluation and coding always use float32.
    """

    batches: Tensor
    pruned: Tensor
    _planned: int | None = None

    def __init__(
        self,
        source_dimension: int | None,
        trade_off: float,
        method: str,
        options: dict[str, Any] | None = None,
        network_kwargs: dict[str, Any] | None = None,
        alternate: bool | None = None,
        decoder_steps: int = 1,
        decoder_distance: bool = False,
        latent_weight: float | None = None,
        warm_up: float = 0.3,
        reactivate_below: float = 0.1,
        prune_below: float = 2e-4,
        learning_rate: float = 1e-3,
        decoder_learning_rate: float | None = None,
        prior_factor: float = 10.0,
        schedule: Literal["cosine", "constant"] = "cosine",
        gradient_clip: float = 0.0,
        mixed: bool = False,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        for option, value, top in (
            ("warm_up", warm_up, 1.0),
            ("reactivate_below", reactivate_below, 1.0),
            ("prune_below", prune_below, 1.0),
            ("gradient_clip", gradient_clip, float("inf")),
        ):
            if not 0 <= value <= top:
                raise UsageError(f"{option} is {value}: choose a number from 0 to {top:g}.")
        for option, rate in (
            ("learning_rate", learning_rate),
            ("decoder_learning_rate", decoder_learning_rate),
            ("prior_factor", prior_factor),
            ("latent_weight", latent_weight),
        ):
            if rate is not None and not 0 < rate < float("inf"):
                raise UsageError(f"{option} is {rate}: choose a number above 0.")
        self.compressor: Compressor = build_within(
            lambda: create_compressor(source_dimension, trade_off, method, options, network_kwargs),
            [source_dimension, options, network_kwargs],
        )
        self.compressor.mixed = mixed
        self.compressor.latent_weight = latent_weight
        quantizer = self.compressor.quantizer
        self.alternate = quantizer.alternates if alternate is None else alternate
        check_at_least(1, decoder_steps=decoder_steps)
        if not self.alternate and (decoder_steps > 1 or decoder_distance):
            raise UsageError(
                "decoder_steps and decoder_distance need alternating training: set alternate to true, or "
                "leave them out."
            )
        # Part of the state, so that a resumed run continues in the same phase.
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))
        self.register_buffer("pruned", torch.zeros((), dtype=torch.bool))

    def configure_callbacks(self) -> list[pl.Callback]:
        """Return callbacks that keep the checkpoint of lowest validation loss, and the last one.

        Raises:
            UsageError: an option of the trainer is not supported; checked here, before Lightning's own check.
        """
        self.check_trainer(self.trainer)
        return [
            ModelCheckpoint(filename="best", monitor="val/loss", mode="min", enable_version_counter=False),
            ModelCheckpoint(filename="last", save_on_train_epoch_end=True, enable_version_counter=False),
        ]

    def configure_optimizers(self) -> Any:
        """Return Adam for the encoder, Adam for decoder, codebook and entropy model, and their schedules."""
        options, quantizer = self.hparams, self.compressor.quantizer
        rate = options["learning_rate"]
        decoder_rate = rate if options["decoder_learning_rate"] is None else options["decoder_learning_rate"]
        prior = list(quantizer.prior.parameters()) if isinstance(quantizer, CodebookQuantizer) else []
        known = {id(parameter) for parameter in prior}
        rest = [p for module in self._decoding() for p in module.parameters() if id(p) not in known]
        groups: list[dict[str, Any]] = [{"params": rest}]
        if prior:
            groups.append({"params": prior, "lr": decoder_rate * options["prior_factor"]})
        optimizers: list[Optimizer] = [
            Adam(self.compressor.encoder.parameters(), rate),
            Adam(groups, decoder_rate),
        ]
        steps = int(self.trainer.estimated_stepping_batches)
        schedules = [make_schedule(each, options["schedule"], rate, steps, steps) for each in optimizers]
        return optimizers, schedules

    def check_trainer(self, trainer: pl.Trainer) -> None:
        """See :meth:`Task.check_trainer`."""
        super().check_trainer(trainer)
        if trainer.world_size > 1:
            raise UsageError("A compressor is trained on one device: set trainer.devices to 1.")
        if trainer.overfit_batches:  # type: ignore[attr-defined]
            raise UsageError("Every step draws a new batch: leave trainer.overfit_batches out.")
        if trainer.precision != "32-true":
            raise UsageError(
                f"trainer.precision is {trainer.precision}: rates need 32-true. "
                "Set model.init_args.mixed to train the transforms in bfloat16."
            )
        if trainer.accumulate_grad_batches != 1 or trainer.gradient_clip_val:
            raise UsageError(
                "This task takes its optimiser steps itself: leave trainer.accumulate_grad_batches and "
                "trainer.gradient_clip_val out, and use model.init_args.gradient_clip."
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the planned number of steps, which warm-up and annealing depend on."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["planned_steps"] = int(self.trainer.estimated_stepping_batches)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """See :meth:`on_save_checkpoint`."""
        self._planned = checkpoint.get("planned_steps")

    def on_train_start(self) -> None:
        """Raise an error if the checkpoint was planned for another number of steps.

        Raises:
            UsageError: the checkpoint's number of steps differs from this run's.
        """
        super().on_train_start()
        steps = int(self.trainer.estimated_stepping_batches)
        if self._planned not in (None, steps):
            raise UsageError(
                f"The checkpoint is from a training of {self._planned} steps, but this run has {steps}: "
                "resume with the original trainer.max_epochs and data."
            )

    def on_after_batch_transfer(self, batch: Tensor, dataloader_idx: int) -> Tensor:
        """Convert uint8 images to floats in [0, 1] on the device, in channels-last layout."""
        if batch.dtype != torch.uint8:
            return batch
        return from_bytes(batch).contiguous(memory_format=torch.channels_last)

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        """Train on one batch, with a step of both optimisers."""
        quantizer = self.compressor.quantizer
        progress = int(self.batches) / int(self.trainer.estimated_stepping_batches)
        quantizer.anneal(progress)
        latent = self.compressor.latent(batch)
        warming = progress < self.hparams["warm_up"]
        if isinstance(quantizer, CodebookQuantizer):
            self._maintain_codebook(quantizer, latent, warming, progress)
        as_vq_ste = warming and isinstance(quantizer, NoiseQuantizer)
        if self.alternate and not as_vq_ste:
            terms, indices = self._step_alternately(batch, latent)
        else:
            terms, indices = self._step_jointly(batch, latent, as_vq_ste)
        if isinstance(quantizer, CodebookQuantizer):
            quantizer.observe(indices)
            self.log("train/codewords", quantizer.active.float().sum(dim=1).mean())
        for schedule in self.lr_schedulers():  # type: ignore[union-attr]
            schedule.step()
        self.batches += 1
        self.log("train/loss", terms.rate + self.compressor.trade_off * terms.mse, prog_bar=True)
        self.log_dict({"train/rate": terms.rate, "train/mse": terms.mse}, prog_bar=True)

    def _maintain_codebook(
        self, quantizer: CodebookQuantizer, latent: Tensor, warming: bool, progress: float
    ) -> None:
        """Initialise the codebook, move unused codewords, and remove those that stay unused."""
        batches, options = int(self.batches), self.hparams
        if not quantizer.started:
            quantizer.start(latent.detach())
        threshold = options["reactivate_below"] / quantizer.codebook.shape[1]
        early = progress < options["warm_up"] / 2
        if early and threshold and batches and batches % _REACTIVATE_STEPS == 0:
            quantizer.reactivate(latent.detach(), threshold)
        if not warming and not self.pruned and batches >= _SETTLED_STEPS:
            quantizer.prune(options["prune_below"])
            self.pruned.fill_(True)

    def _step_jointly(self, source: Tensor, latent: Tensor, as_vq_ste: bool) -> tuple[Terms, Tensor]:
        quantizer = self.compressor.quantizer
        if as_vq_ste and isinstance(quantizer, CodebookQuantizer):
            quantized = quantizer.straight_through(latent, "entropy")
        else:
            quantized = quantizer.approximate(latent)
        terms = self.compressor.terms(source, quantized)
        for optimizer in self._optimizers():
            optimizer.zero_grad()
        self.manual_backward(self.checked(self.compressor.loss(terms)))
        self._step_encoder()
        self._step_decoder()
        return terms, quantized.indices

    def _step_alternately(self, source: Tensor, latent: Tensor) -> tuple[Terms, Tensor]:
        compressor = self.compressor
        encoder_optimizer, decoder_optimizer = self._optimizers()
        for step in range(self.hparams["decoder_steps"]):
            quantized = compressor.quantizer.quantize(latent.detach())
            if self.hparams["decoder_distance"]:
                distance = F.mse_loss(quantized.latent, compressor.quantizer.target(latent.detach()))
                quantized = quantized._replace(distance=distance)
            terms = compressor.terms(source, quantized)
            decoder_optimizer.zero_grad()
            self.manual_backward(self.checked(compressor.loss(terms)))
            self._step_decoder(counted=step == 0)
        with frozen_parameters(*self._decoding()):
            approximate = compressor.terms(source, compressor.quantizer.approximate(latent))
            encoder_optimizer.zero_grad()
            self.manual_backward(self.checked(compressor.loss(approximate)))
        self._step_encoder()
        return terms, quantized.indices

    def _decoding(self) -> tuple[nn.Module, nn.Module]:
        return self.compressor.decoder, self.compressor.quantizer

    def _optimizers(self) -> Any:
        return self.optimizers()

    def _clip(self, *modules: nn.Module) -> None:
        if self.hparams["gradient_clip"]:
            parameters = [parameter for module in modules for parameter in module.parameters()]
            clip_grad_norm_(parameters, self.hparams["gradient_clip"])

    def _step_encoder(self) -> None:
        self._clip(self.compressor.encoder)
        # Without Lightning, which counts the steps of all optimisers: a batch should count as one step.
        self._optimizers()[0].optimizer.step()

    def _step_decoder(self, counted: bool = True) -> None:
        self._clip(*self._decoding())
        optimizer = self._optimizers()[1]
        (optimizer if counted else optimizer.optimizer).step()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        """Log rate and error of a batch, quantized as in a file."""
        self._score(batch, "val")

    def test_step(self, batch: Tensor, batch_idx: int) -> None:
        """Log rate and error of a batch, and the size of its code, which is decoded and compared."""
        self._score(batch, "test")
        coded = self.compressor.encode(batch)
        if not torch.equal(self.compressor.decode(coded, batch.shape), self._decoded(batch)):
            raise RuntimeError("the decoded images differ from the coded ones")
        rate = 8 * len(coded.code) / self.compressor.units(batch)
        self.log("test/coded_rate", rate, prog_bar=True, batch_size=len(batch))

    def predict_step(self, batch: Tensor, batch_idx: int) -> None:
        """Raise UsageError, because compressors have no predictions.

        Raises:
            UsageError: always.
        """
        raise UsageError("A compressor has no predictions: use the command compress for image files.")

    def _decoded(self, batch: Tensor) -> Tensor:
        reconstruction, _ = self.compressor(batch)
        return self.compressor.finish(reconstruction)

    def _score(self, batch: Tensor, split: str) -> None:
        point = self.compressor.measure(batch)
        scores = {
            "loss": point.loss(self.compressor.trade_off),
            "rate": point.rate,
            "mse": point.mse,
            "decibels": decibels(point.mse),
        }
        named = {f"{split}/{name}": value for name, value in scores.items()}
        self.log_dict(named, prog_bar=True, batch_size=len(batch))
