"""k-means: an online pass of J. MacQueen's algorithm, then S. Lloyd's iterations and exchanges of clusters.

The online pass weights recent points more (S. Thompson, M. Celebi and K. Buck, Fast color quantization using
MacQueen's k-means algorithm, 2020). It takes as long as a few of Lloyd's iterations, and its error is within
a few per cent of the best known. Lloyd's iterations on the image's colours, and merges and splits of
clusters, lower it further.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from colorcnn.errors import unknown_name
from colorcnn.quantizers.base import MAX_COLORS
from colorcnn.quantizers.designed import Designed, Points
from colorcnn.quantizers.exchange import split_merge
from colorcnn.quantizers.lloyd import even_stride, lloyd, lloyd_few, macqueen, sample
from colorcnn.quantizers.seeding import INITS


class Preset(NamedTuple):
    """Amount of work for a quality."""

    starts: int
    """Number of starts up to 8 colours."""
    starts_of_more: int
    """Number of starts for 9 to 16 colours; fewer for more colours, whose results differ less."""
    trials: int
    """Number of trial exchanges on the best start, for 9 to 16 colours."""
    samples: int
    """Points per colour in an online pass, plus 4096."""
    most_samples: int
    """Maximum number of points in an online pass."""
    iterations: int
    """Maximum number of Lloyd's iterations for more than 16 colours; half of it for fewer."""
    exchanges: int
    """Number of trial exchanges at the end, kept if the error falls; twice as many up to 128 colours."""
    roundings: int
    """Maximum number of final iterations with colours rounded to whole numbers."""


QUALITIES = {
    "fast": Preset(
        starts=2,
        starts_of_more=2,
        trials=0,
        samples=1 << 8,
        most_samples=1 << 16,
        iterations=0,
        exchanges=0,
        roundings=1,
    ),
    "default": Preset(
        starts=6,
        starts_of_more=9,
        trials=10,
        samples=1 << 10,
        most_samples=1 << 17,
        iterations=5,
        exchanges=0,
        roundings=2,
    ),
    "best": Preset(
        starts=32,
        starts_of_more=32,
        trials=0,
        samples=1 << 13,
        most_samples=1 << 18,
        iterations=40,
        exchanges=60,
        roundings=20,
    ),
}
REFINEMENTS = ("both", "lloyd", "macqueen")

_FEW = 16
"""Up to this number of colours the problem has few, distant optima, and distances are cheap."""
_TRIAL = 4096
"""Number of points on which starts are compared."""
_REPAIRS = 4
_BET = 0.6
"""Minimum ratio of a split's decrease of the error to the merge's increase, since Lloyd lowers it further."""
_FORGET = 0.5
_SETTLED = np.float32(0.02)


class KMeans(Designed):
    """k-means: every colour is the mean of the pixels nearest to it.

    Args:
        quality: ``fast``, ``default`` or ``best``.
        init: first start: ``wu``, ``k-means++`` (greedy), ``random`` or ``maximin``; further starts are
            random.
        refine: ``lloyd``, ``macqueen``, or ``both`` (MacQueen, then Lloyd).
        space: colour space of the distances.
        keep: colours that are part of every palette and do not move.
        seed: seed of random numbers.

    Raises:
        UsageError: the quality, the start, the refinement or the space is unknown.
    """

    def __init__(
        self,
        *,
        quality: str = "default",
        init: str = "wu",
        refine: str = "both",
        space: str = "srgb",
        keep: Iterable[tuple[int, int, int]] = (),
        seed: int = 0,
    ) -> None:
        super().__init__(space=space, keep=keep)
        if quality not in QUALITIES:
            raise unknown_name("quality", quality, QUALITIES)
        if init not in INITS:
            raise unknown_name("beginning of k-means", init, INITS)
        if refine not in REFINEMENTS:
            raise unknown_name("refinement", refine, REFINEMENTS)
        self.preset = QUALITIES[quality]
        self.init = init
        self.refine = refine
        self.seed = seed

    def design(self, points: Points, num_colors: int, kept: np.ndarray) -> np.ndarray:
        """See :meth:`Designed.design`."""
        random = np.random.default_rng(self.seed)
        centers = self._begin(points, num_colors, kept, random)
        if self.refine == "macqueen":
            return centers
        # With few colours the sample of the online pass gives the means to a thousandth of the error.
        iterations = self.preset.iterations if num_colors > _FEW else -(-self.preset.iterations // 2)
        if self.refine == "lloyd":
            iterations = 2 + 4 * iterations  # more, because there was no online pass
        search = _Search(points, centers, kept.shape[1])
        if num_colors > _FEW and iterations:
            search.repair()
        if iterations:
            search.settle(iterations)
        for _ in range(self.preset.exchanges * min(2, MAX_COLORS // num_colors)):
            search.exchange(random)
        if self.preset.exchanges:
            search.settle(iterations)
        if self.space == "srgb":  # in other spaces 8-bit colours do not lie on a grid
            search.settle(self.preset.roundings, whole=True)
        return search.centers

    def _begin(
        self, points: Points, num_colors: int, kept: np.ndarray, random: np.random.Generator
    ) -> np.ndarray:
        """Return the best of several starts, each after its online pass."""
        starts = self.preset.starts
        if num_colors > 8:
            starts = max(1, self.preset.starts_of_more * _FEW // max(_FEW, num_colors))
        size = min(4096 + self.preset.samples * num_colors, self.preset.most_samples)
        size = min(size, 16 * max(len(points.weights), num_colors) // starts)  # enough for thumbnails
        chosen = sample(points.weights, size) if self.refine != "lloyd" else None
        stride = even_stride(size)
        trial = _thin(points)
        rounds = min(16, 4 * _TRIAL // len(trial.weights))  # fewer points allow more rounds in equal time
        best = _Search(trial, np.zeros((3, num_colors), np.float32), 0)
        for start in range(starts):
            centers = np.empty((3, num_colors), np.float32)
            centers[:, : kept.shape[1]] = kept
            init = INITS[self.init if start == 0 else "random"]
            init(points, centers, kept.shape[1], random)
            if chosen is not None:
                first = int(random.integers(size)) if start else 0
                macqueen(points.coordinates, chosen, first, stride, centers, kept.shape[1], _FORGET)
            if starts > 1:
                search = _Search(trial, centers.copy(), kept.shape[1])
                if search.settle(rounds) < best.error:
                    best = search
        if starts == 1:
            return centers
        for _ in range(self.preset.trials if 8 < num_colors <= _FEW else 0):
            best.exchange(random)
        return best.centers


class _Search:
    """State of Lloyd's algorithm: centres, assignment and squared error."""

    def __init__(self, points: Points, centers: np.ndarray, fixed: int) -> None:
        size, colors = len(points.weights), centers.shape[1]
        self.points, self.centers, self.fixed = points, centers, fixed
        self.labels = np.empty(size, np.uint8)
        self.sums = np.empty((4, colors))
        self.bounds = np.empty((2, size if colors > _FEW else 0), np.float32)
        self.fresh = np.ones(colors, dtype=bool)
        self.error = np.inf

    def settle(self, iterations: int, *, whole: bool = False) -> float:
        """Run Lloyd's algorithm; return the squared error minus a constant."""
        arguments = (*self.points, self.centers, self.fixed, self.labels, self.sums)
        if self.centers.shape[1] <= _FEW:
            lloyd_few(*arguments, iterations, _SETTLED, whole)
            self.fresh[:] = False
        else:
            lloyd(*arguments, self.bounds, self.fresh, iterations, _SETTLED, whole)
        self.error = self._error()
        return self.error

    def _error(self) -> float:
        # For n points with sum s, sum |x - c|^2 = sum |x|^2 - 2 s.c + n |c|^2; the first term is constant.
        centers = self.centers.astype(np.float64)
        return float(
            (self.sums[3] * (centers**2).sum(axis=0) - 2 * (self.sums[:3] * centers).sum(axis=0)).sum()
        )

    def _split_merge(self, margin: float, most: int, favour: np.ndarray) -> int:
        arguments = (*self.points, self.centers, self.fixed, self.labels, self.sums, self.fresh)
        moved: int = split_merge(*arguments, margin, most, favour)
        return moved

    def repair(self) -> None:
        """Merge and split clusters if this almost certainly helps, such as many centres in a plain area."""
        self.settle(2)
        colors = self.centers.shape[1]
        for _ in range(_REPAIRS):
            if not self._split_merge(_BET, colors, np.ones((2, colors))):
                return
            self.settle(2)

    def exchange(self, random: np.random.Generator) -> None:
        """Merge and split clusters and run a few iterations; undo all if the error did not fall."""
        state: tuple[np.ndarray, ...] = (self.centers, self.labels, self.sums, self.bounds)
        before, error = [array.copy() for array in state], self.error
        colors = self.centers.shape[1]
        margin, most = random.uniform(0.0, 0.7), int(random.integers(max(1, colors // 64))) + 1
        favour = np.exp(random.normal(0.0, 0.5, (2, colors)))  # so that failed exchanges are not repeated
        if not self._split_merge(margin, most, favour):
            center = random.integers(self.fixed, colors)
            self.centers[:, center] = self.points.coordinates[:, random.integers(len(self.points.weights))]
            self.fresh[center] = True
        if self.settle(4) >= error:
            for array, old in zip(state, before):
                array[:] = old
            self.error = error


def _thin(points: Points) -> Points:
    """Return at most 4096 points, sampled in proportion to their weights."""
    if len(points.weights) <= _TRIAL:
        return points
    chosen = sample(points.weights, _TRIAL)
    return Points(np.ascontiguousarray(points.coordinates[:, chosen]), np.ones(_TRIAL, np.float32))
