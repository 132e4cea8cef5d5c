"""Views of the results in a record: scores, spreads over seeds, published numbers, codecs, attacks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

from colorcnn.evaluation.scores import Robustness, Score, Verdict
from colorcnn.evaluation.vq_measures import best_reference
from colorcnn.reporting.naming import codec_name, display_names, family
from colorcnn.reporting.published import inferred_methods

Metrics = Mapping[str, Any]

Curves = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Name -> trade-off lambda -> rate, decibels, loss and more."""

ORIGINAL = "original"
"""Name of the images in full colour, beside the names of methods and codecs."""

SECOND_METRICS = {"mean_average_precision": "mAP", "mean_iou": "mIoU"}
"""The metric beside accuracy for several labels, and for masks: its key in a record, and its name."""


class Stored(NamedTuple):
    """Cost and loss of a stored training set. Unknown values are NaN.

    Attributes:
        coded: bytes for each image of the whole training set.
        mse: mean squared error of the stored images in [0, 1].
        inconsistency: how differently the images render one colour, in [0, 1].
    """

    coded: float
    mse: float
    inconsistency: float


class View:
    """Metrics of one seed, or means of several with the standard deviations beside them."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics

    @property
    def seeds(self) -> int:
        """Number of seeds; 0 for the metrics of one."""
        return len(self.metrics.get("per_seed", ()))

    @property
    def band(self) -> str:
        """The meaning of a band around a curve: the spread over seeds, or the interval of a share."""
        return f"mean ± std of {self.seeds} seeds" if self.seeds else "with its 95 % interval"

    @property
    def over_seeds(self) -> str:
        """The words after a number of images that several seeds were used; empty for one seed."""
        return f", {self.band}" if self.seeds else ""

    def deviation(self, *path: str) -> float | None:
        """Return the standard deviation over seeds of the number at a path of keys, or None."""
        found: Any = self.metrics.get("std", {})
        for key in path:
            found = found.get(key, {})
        return found if isinstance(found, float | int) else None


class RecordView(View):
    """The results of an evaluation by name and number of colours.

    A name is that of a method, of a codec, or :data:`ORIGINAL`. Codecs and originals have no number of
    colours; for them ``size`` is None.
    """

    @cached_property
    def methods(self) -> list[str]:
        """Names of the methods."""
        return list(self.metrics["methods"])

    @cached_property
    def names(self) -> dict[str, str]:
        """Readable names of everything that has a score."""
        codecs = {codec: codec_name(codec) for codec in self.metrics.get("codecs", ())}
        return {ORIGINAL: "Full colour", **codecs, **display_names(self.methods)}

    @cached_property
    def sizes(self) -> list[int]:
        """The requested palette sizes."""
        return list(self.metrics["sizes"])

    @cached_property
    def judges(self) -> list[str]:
        """Names of the classifiers, if there are several."""
        return list(self.metrics.get("judges", ()))

    @cached_property
    def original(self) -> Score:
        """The score in full colour."""
        return Score.from_json(self.metrics[ORIGINAL])

    @cached_property
    def codecs(self) -> dict[str, Score]:
        """Codec -> score."""
        return {name: Score.from_json(score) for name, score in self.metrics.get("codecs", {}).items()}

    @cached_property
    def attacks(self) -> Robustness:
        """The results under attack; empty if none were measured."""
        content = self.metrics.get("attacks")
        return Robustness.from_json(content) if content else Robustness((), 0, {})

    @cached_property
    def _scores(self) -> dict[str, dict[int, Score]]:
        return {
            method: {int(size): _score(score) for size, score in result["scores"].items()}
            for method, result in self.metrics["methods"].items()
        }

    def score(self, name: str, size: int | None = None) -> Score | None:
        """Return a score, or None where nothing was measured.

        Args:
            name: a method, a codec or :data:`ORIGINAL`.
            size: number of colours of a method.
        """
        if size is not None:
            return self._scores.get(name, {}).get(size)
        return self.original if name == ORIGINAL else self.codecs.get(name)

    def scores(self, method: str) -> dict[int, Score]:
        """Return number of colours -> score of a method."""
        return self._scores[method]

    def speed(self, method: str) -> float | None:
        """Return quantized images per second of a method."""
        return self.metrics["methods"][method].get("images_per_second")

    def unavailable(self, method: str) -> Mapping[str, str]:
        """Return number of colours -> reason of a method to refuse it."""
        return self.metrics["methods"][method].get("unavailable", {})

    def places(self) -> Iterator[tuple[str, int | None]]:
        """Yield name and number of colours of every score: the originals, the methods, the codecs."""
        yield ORIGINAL, None
        yield from ((method, size) for method, scores in self._scores.items() for size in scores)
        yield from ((codec, None) for codec in self.codecs)

    def spread(self, name: str, size: int | None = None, *keys: str) -> float | None:
        """Return the standard deviation of a value over seeds, or None where there is none.

        Args:
            name: as for :meth:`score`.
            size: as for :meth:`score`.
            keys: the place of the value in the score; by default its accuracy.
        """
        return self.deviation(*self._place(name, size, "scores"), *(keys or ("accuracy",)))

    def published(self, name: str, size: int | None = None, key: str = "accuracy") -> float | None:
        """Return a printed number, or None where there is none.

        Args:
            name: as for :meth:`score`.
            size: as for :meth:`score`.
            key: the metric, ``accuracy`` or one of :data:`SECOND_METRICS`.
        """
        table = self.metrics.get("published", {})
        if size is None:
            return (
                table.get(f"original_{key}" if key != "accuracy" else ORIGINAL) if name == ORIGINAL else None
            )
        return table.get(key, {}).get(family(name), {}).get(str(size))

    def inferred(self, method: str) -> bool:
        """Tell if the published numbers of a method follow from loose numbers of the paper."""
        return family(method) in inferred_methods(self.metrics.get("published", {}))

    def attacked(
        self, attack: str, name: str, size: int | None = None
    ) -> dict[int, tuple[Verdict, float | None]]:
        """Return strength -> result under an attack and its spread; empty where nothing was measured.

        Args:
            attack: name of the attack.
            name: as for :meth:`score`.
            size: as for :meth:`score`.
        """
        result, place = self.attacks.results[attack], self._place(name, size)
        if size is not None:
            curve = result.methods.get(name, {}).get(size, {})
        else:
            curve = result.original if name == ORIGINAL else result.codecs.get(name, {})
        where = ("attacks", "results", attack, *place)
        return {at: (each, self.deviation(*where, str(at), "accuracy")) for at, each in curve.items()}

    def ranked(self, size: int) -> list[tuple[float, str]]:
        """Return accuracy and readable name of each method at a number of colours, the best first."""
        found = [(score, method) for method in self.methods if (score := self.score(method, size))]
        return sorted(
            ((score.accuracy, self.names[method]) for score, method in found), key=lambda entry: -entry[0]
        )

    def stored(self, name: str, size: int | None = None) -> Stored | None:
        """Return cost and loss of the training set that a classifier was trained on; None without a score.

        Args:
            name: as for :meth:`score`.
            size: as for :meth:`score`.
        """
        scores = {} if size is None else self.metrics["methods"][name]["scores"]
        content = self.metrics[ORIGINAL] if size is None else scores.get(str(size))
        if content is None:
            return None
        coded = content.get("bytes", {}).get("coded", math.nan)
        return Stored(coded, *(content.get(key, math.nan) for key in ("mse", "inconsistency")))

    @property
    def is_stored(self) -> bool:
        """True for classifiers trained on stored training sets."""
        scores = (score for result in self.metrics["methods"].values() for score in result["scores"].values())
        return any("bytes" in score for score in scores)

    @property
    def temperatures(self) -> list[str]:
        """Temperatures of soft images, as keys of scores."""
        return [f"{at:g}" for at in self.metrics["temperatures"]]

    def _place(self, name: str, size: int | None, *between: str) -> tuple[str, ...]:
        if size is not None:
            return ("methods", name, *between, str(size))
        return (ORIGINAL,) if name == ORIGINAL else ("codecs", name)


def _score(content: Mapping[str, Any]) -> Score:
    """Read a score; its interval is NaN if the record has none."""
    return Score.from_json({"interval": (math.nan, math.nan), **content})


class CompressorView(View):
    """The results of compressors: name and trade-off lambda, as text, to rate, error and loss.

    Attributes:
        rows: the measured compressors.
        references: the best quantizers without a transform.
        printed: curves that a paper printed.
        best: name of the reference that losses are compared with; None without references.
        at: the trade-offs of the rows, in ascending order.
        gains: BD-rate of each row in per cent, without that of the anchor.
        printed_gains: BD-rates in per cent that a paper printed.
    """

    def __init__(self, metrics: Metrics) -> None:
        super().__init__(metrics)
        self.rows: Curves = metrics["rows"]
        self.references: Curves = metrics.get("references", {})
        published = metrics.get("published", {})
        self.gains: Mapping[str, float] = metrics.get("bd_rate", {})
        self.printed_gains: Mapping[str, float] = published.get("bd_rate", {})
        curves = {name: curve for name, curve in published.items() if "points" in curve}
        self.printed: Curves = {name: curve["points"] for name, curve in curves.items()}
        self.best = best_reference(metrics)
        self.at = sorted({key for scores in self.rows.values() for key in scores}, key=float)

    def excess(self, score: Mapping[str, float], at: str) -> float | None:
        """Return how far a loss lies above the best reference, in per cent; None without one.

        Args:
            score: of a compressor.
            at: its trade-off.
        """
        best = self.references[self.best].get(at) if self.best else None
        return None if best is None else 100 * (score["loss"] / best["loss"] - 1)
