"""Stochastic Quantization (SQ): V. Norkin and A. Kozyriev, Stochastic color quantization, 2024.

The palette y minimises F(y) = sum_i p_i min_k |x_i - y_k|**r, the transport of the image's colours x_i with
their shares p_i to K elements, by gradient steps at colours drawn from p (Eq 3 and 4). Colours lie in the
unit cube and are drawn by their share, so that a step costs the same in any image. As published, every pixel
is a colour of its own, and each is drawn once.
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
"""How a gradient becomes a step; all but the first and last keep running moments for each element."""

_FAR_MORE = 8
"""An image of so many pixels for each colour to be drawn is designed for on as many of them as are drawn."""
_MOST_DIRECT = 64
"""Up to so many colours, a look at all of them for each pixel costs less than a count of the image's."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of SQ.

    Attributes:
        r: the power of the distance in F, at least 1; 2 makes F the squared error.
        optimizer: a name in :data:`METHODS`.
        learning_rate: the step size rho.
        fall: the step size at an element's t-th step is rho * t**-fall; 0 keeps it.
        momentum: of momentum, Nesterov and Adam.
        decay: of the running squares of RMSProp and Adam.
        batch: colours drawn for one step; each element moves by the mean gradient of those nearest to it.
        samples: colours drawn in all; 0 goes over the pixels once, in random order. It also takes the image
            pixel by pixel and the random numbers of the seeding from NumPy's RandomState, as the authors'
            program does, so that one seed begins at the same colours.
        average: the elements become the means of the places they took over the second half of the steps.
        seeding: elements begin at colours drawn with probability proportional to distance**seeding; 2 is
            k-means++.
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
        for name, value, least, below in (
            ("r", self.r, 1, np.inf), ("learning rate", self.learning_rate, 1e-12, np.inf),
            ("fall of the learning rate", self.fall, 0, np.inf), ("momentum", self.momentum, 0, 1),
            ("decay", self.decay, 0, 1), ("batch", self.batch, 1, np.inf),
            ("number of samples", self.samples, 0, np.inf), ("power of the seeding", self.seeding, 0, np.inf),
        ):  # fmt: skip
            if not least <= value < below:
                limit = f" and below {below}" if below < np.inf else ""
                raise UsageError(f"The {name} is {value}: choose at least {least:g}{limit}.")


FAITHFUL = Settings(r=3.0, learning_rate=0.001, fall=0.0, samples=0, average=False, seeding=1.0)
"""The paper's experiments: r = 3, one pass over the pixels at a constant rate. Its formula for the seeding
has squared distances; the authors' program, and so its figures, has distances. They were made with the seed
42, which matters: at so low a rate many elements stay near where they began."""

PRESETS = {"default": Settings(), "faithful": FAITHFUL}


class Fit(NamedTuple):
    """Result of SQ, colours in the unit cube.

    Attributes:
        elements: (3, K) float32.
        objective: F, the mean of min_k |x - y_k|**r over the pixels.
        transport: the sum of min_k |x - y_k| over the pixels, which is what the paper's table calls F(y).
        mse: the squared error, a mean over pixels and channels.
        trajectory: (colours drawn, F) from the seeding to the end.
    """

    elements: np.ndarray
    objective: float
    transport: float
    mse: float
    trajectory: list[tuple[int, float]]


class Stochastic(Designed):
    """Moves the nearest palette colour towards each of many colours drawn from the image.

    Of an image of far more pixels than are drawn, it looks at those alone to design up to 64 colours in sRGB.

    Args:
        preset: ``default``, or ``faithful`` for the settings of the paper's table.
        settings: given instead of a preset.
        space: as :class:`Designed` has it.
        keep: as :class:`Designed` has it; kept colours take part and do not move.
        seed: for what is drawn at random.

    Raises:
        UsageError: an unknown preset or space.
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
        return histogram.spread(labels), palette

    def _quantize_large(self, pixels: np.ndarray, num_colors: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Design a palette on a few of an image's pixels, where that is as good as on all its colours.

        Each of ``num_colors`` is the nearest to one of these pixels, so that all are used. Kept colours may
        be the nearest to other pixels alone: they want all of them.
        """
        size = self.settings.samples
        few = not size or pixels.size // 3 < _FAR_MORE * size
        if few or num_colors > _MOST_DIRECT or len(self.keep) or self.space != "srgb":
            return None
        drawn = Histogram(self._thinned(pixels.reshape(-1, 3), size))
        if len(drawn) <= num_colors:
            return None
        palette = self.design_palette(drawn.colors, drawn.counts, num_colors)
        _, palette = complete(drawn.colors, drawn.counts, palette, num_colors, self.space)
        return nearest(pixels.reshape(-1, 3), palette).reshape(pixels.shape[:2]), palette

    def _thinned(self, pixels: np.ndarray, size: int) -> np.ndarray:
        """Of (n, 3) pixels as many as wanted: one at random from each of ``size`` equal parts."""
        random = np.random.default_rng((self.seed, 1))  # not the numbers that the seeding draws
        places = (np.arange(size) + random.random(size)) * (len(pixels) / size)
        return pixels.take(places.astype(np.int64), axis=0, mode="clip")  # rounding may reach n

    def design(self, points: Points, num_colors: int, kept: np.ndarray) -> np.ndarray:
        """See :meth:`Designed.design`."""
        return 255 * self._run(_unit(points), num_colors, kept / np.float32(255), 0).elements

    def fit(self, pixels: np.ndarray, num_colors: int, *, checkpoints: int = 20) -> Fit:
        """Run SQ on an image and tell how it went, before any rounding to 8 bits.

        Args:
            pixels: (H, W, 3) uint8.
            num_colors: K.
            checkpoints: how often F is measured on the way; it is also measured before and after.
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
        """The elements of a fit as (K, 3) uint8 sRGB."""
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
        for part in np.array_split(order, max(2, checkpoints)):  # the second half is averaged: two at least
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
        """Random numbers (K, 1) for the seeding, and the colours to step at, as places among the points."""
        if self.settings.samples == 0:
            size = int(points.weights.sum(dtype=np.float64))
            published = np.random.RandomState(self.seed)
            first = (published.permutation(size)[0] + 0.5) / size
            draws = np.array([first, *published.random_sample(num_colors - 1)])
            return draws[:, None], sample(points.weights, size)[published.permutation(size)]
        random = np.random.default_rng(self.seed)
        draws = random.random((num_colors, 1))
        size = min(self.settings.samples, 16 * max(len(points.weights), num_colors))
        places = (np.arange(size, dtype=np.int64) * even_stride(size) + int(random.integers(size))) % size
        return draws, sample(points.weights, size)[places]


def _unit(points: Points) -> Points:
    """Coordinates of the unit cube, as the paper has them."""
    return Points(points.coordinates / np.float32(255), points.weights)
