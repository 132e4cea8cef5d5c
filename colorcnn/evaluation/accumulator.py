"""Measurements of one method at one palette size, accumulated over batches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import Any

import torch
from torch import Tensor

from colorcnn.evaluation import metrics
from colorcnn.evaluation.rate import rates, truecolor_png_bits
from colorcnn.evaluation.scores import ColorCount, Score, Verdict
from colorcnn.paletted import Paletted
from colorcnn.recognition import Masks, mean_iou, recognition_of

Answers = dict[str, Tensor]
"""Name of a classifier -> logits (B, K). The first classifier comes first."""


@dataclass
class MetricAccumulator:
    """Measurements of one method at one palette size, of one codec, or of the originals."""

    correct: list[Tensor] = field(default_factory=list)
    colors: list[Tensor] = field(default_factory=list)
    psnr: list[Tensor] = field(default_factory=list)
    ssim: list[Tensor] = field(default_factory=list)
    logits: list[Tensor] = field(default_factory=list)
    labels: list[Tensor] = field(default_factory=list)
    confusion: list[Tensor] = field(default_factory=list)
    judged: dict[str, list[Tensor]] = field(default_factory=dict)
    not_finite: int = 0
    png: int = 0
    file: int = 0
    packed: int = 0
    palette: int = 0
    pixels: int = 0

    def _add_predictions(self, answers: Answers, labels: Tensor) -> None:
        logits = next(iter(answers.values()))
        self.correct.append(recognition_of(labels).correct(logits, labels))
        self.not_finite += int((~logits.flatten(1).isfinite().all(dim=1)).sum())
        if labels.ndim == 3:
            counts = Masks.confusion(logits, labels).sum(dim=0)
            self.confusion = [counts + self.confusion[0] if self.confusion else counts]
        if labels.ndim == 2:
            self.logits.append(logits)
            self.labels.append(labels)
        if len(answers) > 1:
            for name, answer in answers.items():
                self.judged.setdefault(name, []).append(recognition_of(labels).correct(answer, labels))

    def _add_error(self, pixels: Tensor, originals: Tensor) -> None:
        self.psnr.append(metrics.psnr(pixels, originals))
        self.ssim.append(metrics.ssim(pixels, originals))

    def add_originals(self, images: Tensor, answers: Answers, labels: Tensor) -> None:
        """Add a batch in full colour.

        Args:
            images: (B, 3, H, W) uint8.
            answers: logits of the classifiers on these images.
            labels: (B,) class numbers, or (B, K) of 0 and 1.
        """
        self._add_predictions(answers, labels)
        self.colors.append(metrics.count_colors(images))
        self.png += sum(truecolor_png_bits(images))
        self.pixels += images[:, 0].numel()

    def add_decoded(
        self, pixels: Tensor, bits: Sequence[int], originals: Tensor, answers: Answers, labels: Tensor
    ) -> None:
        """Add a batch that a codec wrote and read.

        Args:
            pixels: (B, 3, H, W) uint8, the decoded images.
            bits: size of each file.
            originals: (B, 3, H, W) uint8.
            answers: logits of the classifiers on the decoded images.
            labels: (B,) class numbers, or (B, K) of 0 and 1.
        """
        self._add_predictions(answers, labels)
        self._add_error(pixels, originals)
        self.colors.append(metrics.count_colors(pixels))
        self.file += sum(bits)
        self.pixels += pixels[:, 0].numel()

    def add(
        self, paletted: Paletted, pixels: Tensor, originals: Tensor, answers: Answers, labels: Tensor
    ) -> None:
        """Add a quantized batch.

        Args:
            paletted: the quantized images.
            pixels: (B, 3, H, W) uint8, the pixels of their files.
            originals: (B, 3, H, W) uint8.
            answers: logits of the classifiers on ``pixels``.
            labels: (B,) class numbers, or (B, K) of 0 and 1.
        """
        self._add_predictions(answers, labels)
        self._add_error(pixels, originals)
        self.colors.append(paletted.num_colors.cpu())
        for rate in rates(paletted):
            self.png += rate.png
            self.packed += rate.packed
            self.palette += rate.palette
            self.pixels += rate.pixels

    def extend(self, parts: Sequence[MetricAccumulator]) -> None:
        """Add the batches of several devices, which took turns, in the order of the batches.

        Args:
            parts: measurements of the first device, of the second, and so on.
        """
        for name, own in vars(self).items():
            others = [getattr(part, name) for part in parts]
            if name == "confusion":
                counts = [*own, *chain(*others)]
                self.confusion = [torch.stack(counts).sum(dim=0)] if counts else []
            elif isinstance(own, list):
                own += _by_turns(others)
            elif isinstance(own, dict):
                for key in dict.fromkeys(chain(*others)):
                    own.setdefault(key, []).extend(_by_turns([other.get(key, []) for other in others]))
            else:
                setattr(self, name, own + sum(others))

    def state(self) -> dict[str, Any]:
        """Return the fields for a progress file, with each field's batches concatenated."""
        for parts in [*vars(self).values(), *self.judged.values()]:
            if isinstance(parts, list) and parts:
                parts[:] = [torch.cat(parts)]
        return dict(vars(self))

    def score(self, order: Tensor) -> Score:
        """Return the score; ``order`` (n,) is the image indices sorted into the order of the split."""
        verdict = _verdict(self.correct, order)
        colors = torch.cat(self.colors)
        shared: dict[str, Any] = {
            **vars(verdict),
            "colors": ColorCount(float(colors.double().mean()), int(colors.min()), int(colors.max())),
            "not_finite": self.not_finite,
            "judges": {name: _verdict(flags, order) for name, flags in self.judged.items()},
        }
        if self.logits:
            precision = metrics.mean_average_precision(torch.cat(self.logits), torch.cat(self.labels))
            shared["mean_average_precision"] = _or_none(precision)
        if self.confusion:
            shared["mean_iou"] = float(mean_iou(self.confusion[0]))
        if not self.psnr:
            return Score(png_bpp=self.png / self.pixels, **shared)
        errors = torch.cat(self.psnr)
        shared["psnr"] = metrics.mean_psnr(errors)
        shared["ssim"] = _or_none(float(torch.cat(self.ssim).mean()))
        shared["lossless"] = int(errors.isinf().sum())
        if self.file:
            return Score(file_bpp=self.file / self.pixels, **shared)
        return Score(
            png_bpp=self.png / self.pixels,
            packed_bpp=self.packed / self.pixels,
            palette_bpp=self.palette / self.pixels,
            **shared,
        )


def _by_turns(parts: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    return [each for turn in zip_longest(*parts) for each in turn if each is not None]


def _verdict(flags: Sequence[Tensor], order: Tensor) -> Verdict:
    correct = torch.cat(list(flags))[order].numpy()
    right, n = int(correct.sum()), len(correct)
    return Verdict(right / n, metrics.accuracy_interval(right, n), correct)


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
