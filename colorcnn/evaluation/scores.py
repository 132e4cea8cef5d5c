"""What an evaluation found, as values and as the JSON of a record."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Verdict:
    """What one classifier recognises of one method's images at one number of colours.

    Attributes:
        accuracy: share of the images.
        interval: its 95 % Wilson interval.
        correct: (n,) bool, which images those are, in the order of their index.
    """

    accuracy: float
    interval: tuple[float, float]
    correct: np.ndarray

    def to_json(self) -> dict[str, Any]:
        """The verdict as JSON values; which images are recognised as :func:`pack_bits` packs it."""
        return {
            "accuracy": self.accuracy,
            "interval": list(self.interval),
            "correct": pack_bits(self.correct),
        }


@dataclass(frozen=True)
class Score:
    """What one method reached at one number of colours, or what the originals or a codec reached.

    Attributes:
        accuracy: share of the images the classifier recognises.
        interval: its 95 % Wilson interval.
        correct: (n,) bool, which images those are, in the order of their index.
        colors: mean, smallest and largest number of different colours in an image.
        png_bpp: bits per pixel of the indexed PNG files (of truecolour PNG files for the originals); None for
            a codec.
        packed_bpp: bits per pixel of the packed index maps alone; None for the originals and codecs.
        palette_bpp: bits per pixel of the palettes; None for the originals and codecs.
        psnr: mean of the images' PSNR in dB, each counted with at most 100; None for the originals.
        ssim: mean SSIM; None for the originals, and where an image is smaller than its window.
        lossless: how many images came back exactly.
        mean_average_precision: for several labels per image, else None.
        mean_iou: mean intersection over union of the classes of all pixels, for masks, else None.
        not_finite: how many images had a logit that is not finite; they count as not recognised.
        file_bpp: bits per pixel of a codec's files, headers included; None for all others.
        judges: every classifier's verdict, where there are several; ``accuracy`` is that of the first.
    """

    accuracy: float
    interval: tuple[float, float]
    correct: np.ndarray
    colors: tuple[float, int, int]
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

    def to_json(self) -> dict[str, Any]:
        """The score as JSON values; which images are recognised as :func:`pack_bits` packs it."""
        mean, least, most = self.colors
        content = {
            key: value for key, value in vars(self).items() if key not in ("file_bpp", "judges", "mean_iou")
        }
        content["interval"] = list(self.interval)
        content["colors"] = {"mean": mean, "min": least, "max": most}
        content["correct"] = pack_bits(self.correct)
        if self.mean_iou is not None:
            content["mean_iou"] = self.mean_iou
        if self.file_bpp is not None:
            content["file_bpp"] = self.file_bpp
        if self.judges:
            content["judges"] = {name: verdict.to_json() for name, verdict in self.judges.items()}
        return content


@dataclass(frozen=True)
class Evaluation:
    """The result of :func:`colorcnn.evaluation.evaluate.evaluate`.

    Attributes:
        n: how many images.
        sizes: the numbers of colours asked for.
        original: the score on the images in full colour.
        scores: method -> number of colours -> score.
        unavailable: method -> number of colours -> why the method cannot give it.
        images_per_second: method -> quantized images per second, each size counted as one; the time is that
            of the quantizer alone, without its first batch where there are several.
        codecs: codec -> its score.
        judges: the names of the classifiers, where there are several.
    """

    n: int
    sizes: tuple[int, ...]
    original: Score
    scores: dict[str, dict[int, Score]]
    unavailable: dict[str, dict[int, str]]
    images_per_second: dict[str, float]
    codecs: dict[str, Score] = field(default_factory=dict)
    judges: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The metrics of a record: JSON values; numbers of colours are strings."""
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
        }


def pack_bits(flags: np.ndarray) -> str:
    """(n,) bool as base64 of its bits, eight to a byte, the first in the highest; n is kept beside it."""
    return base64.b64encode(np.packbits(flags.astype(bool)).tobytes()).decode()


def unpack_bits(text: str, n: int) -> np.ndarray:
    """The inverse of :func:`pack_bits`: (n,) bool."""
    return unpack_flags(text)[:n]


def unpack_flags(text: str) -> np.ndarray:
    """As :func:`unpack_bits` where n is not at hand: whole bytes, False after the last image."""
    return np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8)).astype(bool)
