"""Stochastic Quantization (SQ): V. Norkin and A. Kozyriev, Stochastic color quantization, 2024.

The palette y minimises F(y) = sum_i p_i min_k |x_i - y_k|**r, the transport cost of the image's colours x_i
with shares p_i to K elements, by gradient steps at colours drawn from p (Eq 3 and 4). Colours are in the unit
cube. A step takes the same time for any image. In the published form every pixel is drawn once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from colorcnn.errors import UsageError, unknown_name
from colorcnn.quantizers.descent import ADAGRAD, ADAM, MOMENTUM, NESTEROV, RMSPROP, SGD, descend, objective
from colorcnn.quantizers.designed import Designed, Points, complete, nearest
from colorcnn.quantizers.histogram import Histogram
from colorcnn.quantizers.lloyd import even_stride, sample
from colorcnn.quantizers.seeding import plus_plus
from colorcnn.quantizers.spaces import enter, leave

METHODS = {
    "adagrad": ADAGRAD,
    "adam": ADAM,
    "momentum": MOMENTUM,
    "nesterov": NESTEROV,
    "rmsprop": RMSPROP,
    "sgd": SGD,
}
"""Optimisers; all but SGD keep running moments for each element."""

_FAR_MORE = 8
"""From this number of pixels per sample on, the palette is designed on a sample of the pixels."""
_MOST_DIRECT = 64
"""Up to this number of colours, a search for each pixel is faster than a histogram of the image."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of SQ.

    Attributes:
        r: power of the distance in F, at least 1; with 2, F is the squared error.
        optimizer: a name in :data:`METHODS`.
        learning_rate: the step size rho.
        fall: the step size at an element's t-th step is rho * t**-fall; 0 keeps it constant.
        momentum: momentum of ``momentum``, ``nesterov`` and ``adam``.
        decay: decay of the running squares of ``rmsprop`` and ``adam``.
        batch: colours per step; each element moves by the mean gradient of the colours nearest to it.
        samples: total number of sampled colours; 0 uses every pixel once, in random order. With 0 the random
            numbers come from NumPy's RandomState, as in the authors' program, so that equal seeds give equal
            initial colours.
        average: True to replace the elements by their means over the second half of the steps.
        seeding: power of the distance in the probability of an initial colour; 2 is k-means++.
    """

    r: float = 2.0
    optimizer: str = "sgd"
    learning_rate: float = 0.5
    fall: float = 0.5
    momentum: float = 0.9
    decay: float = 0.999
    batch: int = 1
    samples: int = 1 << 16
    average: bool = True
    seeding: float = 2.0

    def __post_init__(self) -> None:
        if self.optimizer not in METHODS:
            raise unknown_name("optimizer", self.optimizer, METHODS)
        for name, value, low, below in (
            ("r", self.r, 1, np.inf), ("learning rate", self.learning_rate, 1e-12, np.inf),
            ("fall of the learning rate", self.fall, 0, np.inf), ("momentum", self.momentum, 0, 1),
            ("decay", self.decay, 0, 1), ("batch", self.batch, 1, np.inf),
            ("number of samples", self.samples, 0, np.inf), ("power of the seeding", self.seeding, 0, np.inf),
        ):  # fmt: skip
            if not low <= value < below:
                limit = f" and below {below}" if below < np.inf else ""
                raise UsageError(f"The {name} is {value}: choose at least {low:g}{limit}.")


FAITHFUL = Settings(r=3.0, learning_rate=0.001, fall=0.0, samples=0, average=False, seeding=1.0)
"""Settings of the paper's experiments: r = 3, one pass over the pixels at a constant rate. The paper's
formula for the seeding has squared distances, but the authors' program and figures use distances. They used
seed 42, which matters: at such a low rate many elements stay near their initial colours."""

PRESETS = {"default": Settings(), "faithful": FAITHFUL}


class Fit(NamedTuple):
    """Result of SQ, colours in the unit cube.

    Attributes:
        elements: (3, K) float32.
        objective: F, the mean of min_k |x - y_k|**r over the pixels.
        transport: the sum of min_k |x - y_k| over the pixels, called F(y) in the paper's table.
        mse: the squared error, a mean over pixels and channels.
        trajectory: (number of sampled colours, F) from the seeding to the end.
    """

    elements: np.ndarray
    objective: float
    transport: float
    mse: float
    trajectory: list[tuple[int, float]]


class Stochastic(Designed):
    """Stochastic Quantization: the nearest palette colour moves towards each sampled colour of the image.

    For large images, up to 64 colours in sRGB are designed on a sample of the pixels.

    Args:
        preset: ``default``, or ``faithful`` for the settings of the paper's table.
        settings: settings that replace the preset.
        space: colour space of the distances.
        keep: colours that are part of every palette and do not move.
        seed: seed of random numbers.

    Raises:
        UsageError: the preset or the space is unknown.
    """

    def __init__(
        self,
        *,
        preset: str = "default",
        settings: Settings | None = None,
        space: str = "srgb",
        keep: Iterable[tuple[int, int, int]] = (),
        seed: int = 0,
    ) -> None:
        super().__init__(space=space, keep=keep)
        if preset not in PRESETS:
            raise unknown_name("preset", preset, PRESETS)
        self.settings = settings or PRESETS[preset]
        self.seed = seed

    def quantize_pixels(self, pixels: np.ndarray, num_colors: int) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`Quantizer.quantize_pixels`."""
        result = self._quantize_large(pixels, num_colors)
        if result is not None:
            return result
        histogram = Histogram(pixels)
        if self.settings.samples or len(histogram) <= num_colors or len(self.keep) >= num_colors:
            return self.map_colors(histogram, num_colors)
        palette = self.palette(self.fit(pixels, num_colors, checkpoints=0))
        palette[: len(self.keep)] = self.keep
        labels, palette = complete(histogram.colors, histogram.counts, palette, num_colors, self.space)
        return histogram.per_pixel(labels), palette

    def _quantize_large(self, pixels: np.ndarray, num_colors: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Quantize with a palette designed on a sample of the pixels; return None for small images.

        Each colour is the nearest of a sampled pixel, so all are used. Kept colours may be nearest only to
        other pixels, so they need all pixels.
        """
        size = self.settings.samples
        few = not size or pixels.size // 3 < _FAR_MORE * size
        if few or num_colors > _MOST_DIRECT or len(self.keep) or self.space != "srgb":
            return None
        drawn = Histogram(self._sampled(pixels.reshape(-1, 3), size))
        if len(drawn) <= num_colors:
            return None
        palette = self.design_palette(drawn.colors, drawn.counts, num_colors)
        _, palette = complete(drawn.colors, drawn.counts, palette, num_colors, self.space)
        return nearest(pixels.reshape(-1, 3), palette).reshape(pixels.shape[:2]), palette

    def _sampled(self, pixels: np.ndarray, size: int) -> np.ndarray:
        """Return one random pixel from each of ``size`` equal parts of (n, 3) pixels."""
        random = np.random.default_rng((self.seed, 1))  # another stream than the seeding's
        positions = (np.arange(size) + random.random(size)) * (len(pixels) / size)
        return pixels.take(positions.astype(np.int64), axis=0, mode="clip")  # rounding may reach n

    def design(self, points: Points, num_colors: int, kept: np.ndarray) -> np.ndarray:
        """See :meth:`Designed.design`."""
        return 255 * self._run(_unit(points), num_colors, kept / np.float32(255), 0).elements

    def fit(self, pixels: np.ndarray, num_colors: int, *, checkpoints: int = 20) -> Fit:
        """Run SQ on an image and return its result without rounding to 8 bits.

        Args:
            pixels: (H, W, 3) uint8.
            num_colors: K.
            checkpoints: number of measurements of F during the run, besides those before and after.
        """
        if self.settings.samples:
            histogram = Histogram(pixels)
            colors, counts = histogram.colors, histogram.counts.astype(np.float32)
        else:
            colors = pixels.reshape(-1, 3)
            counts = np.ones(len(colors), np.float32)
        points = Points(enter(colors.T, self.space), counts)
        kept = enter(self.keep.T, self.space) / np.float32(255)
        return self._run(_unit(points), num_colors, kept, checkpoints)

    def palette(self, fit: Fit) -> np.ndarray:
        """Return the elements of a fit as (K, 3) uint8 sRGB."""
        return leave(255 * fit.elements, self.space)

    def _run(self, points: Points, num_colors: int, kept: np.ndarray, checkpoints: int) -> Fit:
        chosen = self.settings
        elements = np.empty((3, num_colors), np.float32)
        fixed = kept.shape[1]
        elements[:, :fixed] = kept
        draws, order = self._draw(points, num_colors)
        plus_plus(*points, elements, fixed, chosen.seeding, 1, draws)
        state = np.zeros((11, num_colors))
        box = points.coordinates.min(axis=1).astype(float), points.coordinates.max(axis=1).astype(float)
        numbers = (METHODS[chosen.optimizer], chosen.r, chosen.learning_rate, chosen.fall)
        trajectory: list[tuple[int, float]] = []
        drawn = 0
        for part in np.array_split(
            order, max(2, checkpoints)
        ):  # at least 2, since the second half is averaged
            if checkpoints:
                trajectory.append((drawn, objective(*points, elements, chosen.r)[0]))
            averaging = float(chosen.average and 2 * drawn >= len(order) - 1)
            settings = tuple(map(float, (*numbers, chosen.momentum, chosen.decay, averaging)))
            descend(points.coordinates, part, elements, fixed, state, *box, settings, chosen.batch)
            drawn += len(part)
        averaged = state[10] > 0
        elements[:, averaged] = state[7:10, averaged] / state[10, averaged]
        if not checkpoints:
            return Fit(elements, np.nan, np.nan, np.nan, trajectory)
        value, distance, square = objective(*points, elements, chosen.r)
        trajectory.append((drawn, value))
        pixels = float(points.weights.sum(dtype=np.float64))
        return Fit(elements, value, pixels * distance, square / 3, trajectory)

    def _draw(self, points: Points, num_colors: int) -> tuple[np.ndarray, np.ndarray]:
        """Return random numbers (K, 1) for the seeding, and the numbers of the sampled points."""
        if self.settings.samples == 0:
            size = int(points.weights.sum(dtype=np.float64))
            published = np.random.RandomState(self.seed)
            first = (published.permutation(size)[0] + 0.5) / size
            draws = np.array([first, *published.random_sample(num_colors - 1)])
            return draws[:, None], sample(points.weights, size)[published.permutation(size)]
        random = np.random.default_rng(self.seed)
        draws = random.random((num_colors, 1))
        size = min(self.settings.samples, 16 * max(len(points.weights), num_colors))
        order = (np.arange(size, dtype=np.int64) * even_stride(size) + int(random.integers(size))) % size
        return draws, sample(points.weights, size)[order]


def _unit(points: Points) -> Points:
    """Scale coordinates to the unit cube, as in the paper."""
    return Points(points.coordinates / np.float32(255), points.weights)
