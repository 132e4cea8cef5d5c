"""Typed results of an evaluation. ``to_json`` returns the metrics of a record, ``from_json`` reads them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

import numpy as np

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """The result of one classifier on the images of one method at one number of colours.

    Attributes:
        accuracy: share of recognised images, in [0, 1].
        interval: the 95 % Wilson interval of the accuracy.
        correct: (n,) bool, True for each recognised image, in the order of the split.
    """

    accuracy: float
    interval: tuple[float, float]
    correct: np.ndarray

    def to_json(self) -> dict[str, Any]:
        """Return JSON values. :func:`pack_bits` packs ``correct``."""
        return {
            "accuracy": self.accuracy,
            "interval": list(self.interval),
            "correct": pack_bits(self.correct),
        }

    @classmethod
    def from_json(cls, content: Json, n: int | None = None) -> Verdict:
        """Read the values that :meth:`to_json` wrote.

        Args:
            content: the JSON values. A mean over seeds has no ``correct``, which becomes an empty array.
            n: number of images. Without it, ``correct`` is padded with False to whole bytes.
        """
        low, high = content["interval"]
        return cls(content["accuracy"], (low, high), unpack_flags(content.get("correct", ""))[:n])


class ColorCount(NamedTuple):
    """Mean, smallest and largest number of distinct colours in an image."""

    mean: float
    least: int
    most: int


class SoftScore(NamedTuple):
    """The result on soft images: accuracy in [0, 1], and entropy of the assignment in nats per pixel."""

    accuracy: float
    entropy: float


@dataclass(frozen=True)
class Score:
    """The result of one method at one number of colours, of a codec, or of the originals.

    Attributes:
        accuracy: share of recognised images, in [0, 1].
        interval: the 95 % Wilson interval of the accuracy.
        correct: (n,) bool, True for each recognised image, in the order of the split.
        colors: numbers of distinct colours in an image; None if they were not counted.
        png_bpp: bits per pixel of the indexed PNG files (truecolour PNG files for the originals); None for
            a codec.
        packed_bpp: bits per pixel of the packed index maps alone; None for the originals and codecs.
        palette_bpp: bits per pixel of the palettes; None for the originals and codecs.
        psnr: mean PSNR of the images in dB, at most 100 for each image; None for the originals.
        ssim: mean SSIM; None for the originals, and for images smaller than the SSIM window.
        lossless: number of images that are equal to their original.
        mean_average_precision: mean average precision; None unless images have several labels.
        mean_iou: mean intersection over union of the classes, over all pixels; None unless labels are masks.
        not_finite: number of images with a logit that is not finite. They count as not recognised.
        file_bpp: bits per pixel of the files of a codec, headers included; None for all others.
        judges: classifier -> verdict, if there are several classifiers. ``accuracy`` is from the first.
        soft: temperature -> result on soft images; empty unless soft images were measured.
    """

    accuracy: float
    interval: tuple[float, float]
    correct: np.ndarray
    colors: ColorCount | None = None
    png_bpp: float | None = None
    packed_bpp: float | None = None
    palette_bpp: float | None = None
    psnr: float | None = None
    ssim: float | None = None
    lossless: int | None = None
    mean_average_precision: float | None = None
    mean_iou: float | None = None
    not_finite: int = 0
    file_bpp: float | None = None
    judges: Mapping[str, Verdict] = field(default_factory=dict)
    soft: Mapping[str, SoftScore] = field(default_factory=dict)

    @property
    def bits_per_pixel(self) -> float | None:
        """Bits per pixel of whole files: those of the codec, else the PNG files."""
        return self.png_bpp if self.file_bpp is None else self.file_bpp

    def to_json(self) -> dict[str, Any]:
        """Return JSON values. :func:`pack_bits` packs ``correct``."""
        content = {key: value for key, value in vars(self).items() if key not in _OPTIONAL_PARTS}
        content["interval"] = list(self.interval)
        content["correct"] = pack_bits(self.correct)
        if self.colors is not None:
            mean, least, most = self.colors
            content["colors"] = {"mean": mean, "min": least, "max": most}
        if self.mean_iou is not None:
            content["mean_iou"] = self.mean_iou
        if self.file_bpp is not None:
            content["file_bpp"] = self.file_bpp
        if self.judges:
            content["judges"] = {name: verdict.to_json() for name, verdict in self.judges.items()}
        if self.soft:
            content["soft"] = {at: score._asdict() for at, score in self.soft.items()}
        return content

    @classmethod
    def from_json(cls, content: Json, n: int | None = None) -> Score:
        """Read the values that :meth:`to_json` wrote.

        Args:
            content: the JSON values; further ones are ignored.
            n: number of images, as for :meth:`Verdict.from_json`.
        """
        verdict = Verdict.from_json(content, n)
        known = {key: content[key] for key in _PLAIN_VALUES & content.keys()}
        colors = content.get("colors")
        return cls(
            **vars(verdict),
            **known,
            colors=ColorCount(colors["mean"], colors["min"], colors["max"]) if colors else None,
            judges={name: Verdict.from_json(each, n) for name, each in content.get("judges", {}).items()},
            soft={at: SoftScore(**each) for at, each in content.get("soft", {}).items()},
        )


_OPTIONAL_PARTS = {"file_bpp", "judges", "soft", "mean_iou"}
_PLAIN_VALUES = {each.name for each in fields(Score)} - {
    *("accuracy", "interval", "correct", "colors", "judges", "soft")
}

StrengthCurve = Mapping[int, Verdict]
"""Epsilon (the largest change of a value, in 0..255) -> verdict."""


@dataclass(frozen=True)
class AttackResult:
    """The results under one attack.

    Attributes:
        original: the classifier on attacked images in full colour.
        methods: method -> number of colours -> curve.
        codecs: codec -> curve.
    """

    original: StrengthCurve
    methods: Mapping[str, Mapping[int, StrengthCurve]] = field(default_factory=dict)
    codecs: Mapping[str, StrengthCurve] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values. Numbers become strings as keys, and empty parts are left out."""
        content: dict[str, Any] = {"original": _curve_json(self.original)}
        if self.methods:
            content["methods"] = {
                name: {str(size): _curve_json(curve) for size, curve in curves.items()}
                for name, curves in self.methods.items()
            }
        if self.codecs:
            content["codecs"] = {name: _curve_json(curve) for name, curve in self.codecs.items()}
        return content

    @classmethod
    def from_json(cls, content: Json, n: int | None = None) -> AttackResult:
        """Read the values that :meth:`to_json` wrote.

        Args:
            content: the JSON values.
            n: number of images, as for :meth:`Verdict.from_json`.
        """
        methods = {
            name: {int(size): _curve(curve, n) for size, curve in curves.items()}
            for name, curves in content.get("methods", {}).items()
        }
        codecs = {name: _curve(curve, n) for name, curve in content.get("codecs", {}).items()}
        return cls(_curve(content["original"], n), methods, codecs)


def _curve_json(curve: StrengthCurve) -> dict[str, Any]:
    return {str(epsilon): verdict.to_json() for epsilon, verdict in curve.items()}


def _curve(content: Json, n: int | None) -> dict[int, Verdict]:
    return {int(epsilon): Verdict.from_json(each, n) for epsilon, each in content.items()}


@dataclass(frozen=True)
class Robustness:
    """Accuracies under attack.

    Attributes:
        epsilons: the largest changes of a value, in 0..255 and in ascending order. The first is 0.
        steps: number of PGD steps.
        results: attack -> result.
        queries: number of queries of Square for each image; None without Square.
    """

    epsilons: tuple[int, ...]
    steps: int
    results: Mapping[str, AttackResult]
    queries: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        results = {name: result.to_json() for name, result in self.results.items()}
        queries = {} if self.queries is None else {"queries": self.queries}
        return {"epsilons": list(self.epsilons), "steps": self.steps, **queries, "results": results}

    @classmethod
    def from_json(cls, content: Json, n: int | None = None) -> Robustness:
        """Read the values that :meth:`to_json` wrote.

        Args:
            content: the JSON values.
            n: number of images, as for :meth:`Verdict.from_json`.
        """
        results = {name: AttackResult.from_json(each, n) for name, each in content["results"].items()}
        return cls(tuple(content["epsilons"]), content["steps"], results, content.get("queries"))


@dataclass(frozen=True)
class Evaluation:
    """The result of :func:`colorcnn.evaluation.evaluate.evaluate`.

    Attributes:
        n: number of images.
        sizes: the requested palette sizes.
        original: the score on the images in full colour.
        scores: method -> number of colours -> score.
        unavailable: method -> number of colours -> reason why the method refuses this number.
        images_per_second: method -> quantized images per second; one image at two palette sizes counts as
            two. The first of several batches is a warm-up and is not timed.
        codecs: codec -> score.
        judges: names of the classifiers, if there are several.
        attacks: accuracies under attack, if they were measured.
        temperatures: temperatures of soft images, if they were measured.
    """

    n: int
    sizes: tuple[int, ...]
    original: Score
    scores: Mapping[str, Mapping[int, Score]]
    unavailable: Mapping[str, Mapping[int, str]]
    images_per_second: Mapping[str, float]
    codecs: Mapping[str, Score] = field(default_factory=dict)
    judges: tuple[str, ...] = ()
    attacks: Robustness | None = None
    temperatures: tuple[float, ...] = ()

    def with_soft(self, method: str, soft: Mapping[int, Mapping[str, SoftScore]]) -> Evaluation:
        """Return a copy with the results of a method on soft images.

        Args:
            method: a method of this evaluation.
            soft: number of colours -> temperature -> result.
        """
        scores = {size: replace(score, soft=soft[size]) for size, score in self.scores[method].items()}
        return replace(self, scores={**self.scores, method: scores})

    def to_json(self) -> dict[str, Any]:
        """Return the metrics of a record: JSON values; numbers of colours are strings."""
        codecs = {name: score.to_json() for name, score in self.codecs.items()}
        return {
            "sizes": list(self.sizes),
            "original": self.original.to_json(),
            "methods": {
                method: {
                    "images_per_second": self.images_per_second[method],
                    "scores": {str(size): score.to_json() for size, score in scores.items()},
                    "unavailable": {str(size): why for size, why in self.unavailable[method].items()},
                }
                for method, scores in self.scores.items()
            },
            **({"codecs": codecs} if codecs else {}),
            **({"judges": list(self.judges)} if self.judges else {}),
            **({"attacks": self.attacks.to_json()} if self.attacks else {}),
            **({"temperatures": list(self.temperatures)} if self.temperatures else {}),
        }

    @classmethod
    def from_json(cls, metrics: Json, n: int) -> Evaluation:
        """Read the metrics of a record.

        Args:
            metrics: the values that :meth:`to_json` wrote; further ones are ignored.
            n: number of images, as the record states it.
        """
        methods: Json = metrics["methods"]
        attacks = metrics.get("attacks")
        return cls(
            n,
            tuple(metrics["sizes"]),
            Score.from_json(metrics["original"], n),
            {name: _by_size(result["scores"], n) for name, result in methods.items()},
            {
                name: {int(size): why for size, why in each["unavailable"].items()}
                for name, each in methods.items()
            },
            {name: result["images_per_second"] for name, result in methods.items()},
            {name: Score.from_json(score, n) for name, score in metrics.get("codecs", {}).items()},
            tuple(metrics.get("judges", ())),
            None if attacks is None else Robustness.from_json(attacks, n),
            tuple(metrics.get("temperatures", ())),
        )


def _by_size(scores: Json, n: int) -> dict[int, Score]:
    return {int(size): Score.from_json(score, n) for size, score in scores.items()}


def pack_bits(flags: np.ndarray) -> str:
    """Return (n,) bool as base64 of packed bits: eight to a byte, the first in the highest bit."""
    return base64.b64encode(np.packbits(flags.astype(bool)).tobytes()).decode()


def unpack_bits(text: str, n: int) -> np.ndarray:
    """Invert :func:`pack_bits`.

    Args:
        text: the packed flags.
        n: number of flags.

    Returns:
        (n,) bool.
    """
    return unpack_flags(text)[:n]


def unpack_flags(text: str) -> np.ndarray:
    """Invert :func:`pack_bits` without n: whole bytes, False after the last image."""
    return np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8)).astype(bool)
