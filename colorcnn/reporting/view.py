"""Views of the results in a record: scores, standard deviations, published numbers, codecs, attacks."""

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
"""Name -> lambda, as text -> rate, decibels, loss and more."""

ORIGINAL = "original"
"""Name of the images in full colour."""

SECOND_METRICS = {"mean_average_precision": "mAP", "mean_iou": "mIoU"}
"""Key in a record -> name of the second metric, for several labels and for masks."""


class Stored(NamedTuple):
    """Bytes and errors of a stored training set. Unknown values are NaN.

    Attributes:
        coded: coded bytes per image of the whole training set.
        mse: mean squared error of the stored images in [0, 1].
        inconsistency: standard deviation of the stored colours of one original colour, in [0, 1].
    """

    coded: float
    mse: float
    inconsistency: float


class View:
    """Metrics of one seed, or means and standard deviations of several."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics

    @property
    def seeds(self) -> int:
        """The number of seeds; 0 for the metrics of a single one."""
        return len(self.metrics.get("per_seed", ()))

    @property
    def band(self) -> str:
        """The meaning of a band around a curve: standard deviation over seeds, or interval of a share."""
        return f"mean ± std of {self.seeds} seeds" if self.seeds else "with 95 % interval"

    @property
    def over_seeds(self) -> str:
        """Suffix for texts: mean ± std of N seeds; empty for one seed."""
        return f", {self.band}" if self.seeds else ""

    def deviation(self, *path: str) -> float | None:
        """Return the standard deviation over seeds of the value at a path of keys, or None."""
        found: Any = self.metrics.get("std", {})
        for key in path:
            found = found.get(key, {})
        return found if isinstance(found, float | int) else None


class RecordView(View):
    """The results of an evaluation by name and number of colours.

    A name is a method, a codec, or :data:`ORIGINAL`. For codecs and originals, ``size`` is None.
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
        """Return a score, or None if nothing was measured.

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
        """Return number of colours -> reason why a method refuses it."""
        return self.metrics["methods"][method].get("unavailable", {})

    def scored_cells(self) -> Iterator[tuple[str, int | None]]:
        """Yield name and number of colours of every score: the originals, the methods, the codecs."""
        yield ORIGINAL, None
        yield from ((method, size) for method, scores in self._scores.items() for size in scores)
        yield from ((codec, None) for codec in self.codecs)

    def std(self, name: str, size: int | None = None, *keys: str) -> float | None:
        """Return the standard deviation of a value over seeds, or None for a single seed.

        Args:
            name: a method, a codec or :data:`ORIGINAL`.
            size: number of colours of a method.
            keys: the key path of the value in the score; by default its accuracy.
        """
        return self.deviation(*self._key_path(name, size, "scores"), *(keys or ("accuracy",)))

    def published(self, name: str, size: int | None = None, key: str = "accuracy") -> float | None:
        """Return a published number, or None.

        Args:
            name: a method, a codec or :data:`ORIGINAL`.
            size: number of colours of a method.
            key: the metric, ``accuracy`` or one of :data:`SECOND_METRICS`.
        """
        table = self.metrics.get("published", {})
        if size is None:
            return (
                table.get(f"original_{key}" if key != "accuracy" else ORIGINAL) if name == ORIGINAL else None
            )
        return table.get(key, {}).get(family(name), {}).get(str(size))

    def inferred(self, method: str) -> bool:
        """Return True if the published numbers of a method were inferred from other numbers of the paper."""
        return family(method) in inferred_methods(self.metrics.get("published", {}))

    def attacked(
        self, attack: str, name: str, size: int | None = None
    ) -> dict[int, tuple[Verdict, float | None]]:
        """Return strength -> result under an attack and its standard deviation; empty if not measured.

        Args:
            attack: name of the attack.
            name: a method, a codec or :data:`ORIGINAL`.
            size: number of colours of a method.
        """
        result, path = self.attacks.results[attack], self._key_path(name, size)
        if size is not None:
            curve = result.methods.get(name, {}).get(size, {})
        else:
            curve = result.original if name == ORIGINAL else result.codecs.get(name, {})
        where = ("attacks", "results", attack, *path)
        return {at: (each, self.deviation(*where, str(at), "accuracy")) for at, each in curve.items()}

    def ranked(self, size: int) -> list[tuple[float, str]]:
        """Return accuracy and readable name of each method at a number of colours, the best first."""
        found = [(score, method) for method in self.methods if (score := self.score(method, size))]
        return sorted(
            ((score.accuracy, self.names[method]) for score, method in found), key=lambda entry: -entry[0]
        )

    def stored(self, name: str, size: int | None = None) -> Stored | None:
        """Return bytes and errors of the training set of a classifier; None without a score.

        Args:
            name: a method, a codec or :data:`ORIGINAL`.
            size: number of colours of a method.
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

    def _key_path(self, name: str, size: int | None, *between: str) -> tuple[str, ...]:
        if size is not None:
            return ("methods", name, *between, str(size))
        return (ORIGINAL,) if name == ORIGINAL else ("codecs", name)


def _score(content: Mapping[str, Any]) -> Score:
    """Read a score; its interval is NaN if the record has none."""
    return Score.from_json({"interval": (math.nan, math.nan), **content})


class CompressorView(View):
    """The results of compressors, by name and lambda.

    Attributes:
        rows: the measured compressors.
        references: the best quantizers without a transform.
        published: published curves.
        best: name of the reference that losses are compared with; None without references.
        lambdas: the lambdas of the rows, as texts in ascending order.
        gains: BD-rate of each row except the anchor, in per cent.
        published_gains: published BD-rates, in per cent.
    """

    def __init__(self, metrics: Metrics) -> None:
        super().__init__(metrics)
        self.rows: Curves = metrics["rows"]
        self.references: Curves = metrics.get("references", {})
        published = metrics.get("published", {})
        self.gains: Mapping[str, float] = metrics.get("bd_rate", {})
        self.published_gains: Mapping[str, float] = published.get("bd_rate", {})
        curves = {name: curve for name, curve in published.items() if "points" in curve}
        self.published: Curves = {name: curve["points"] for name, curve in curves.items()}
        self.best = best_reference(metrics)
        self.lambdas = sorted({key for scores in self.rows.values() for key in scores}, key=float)

    def excess(self, score: Mapping[str, float], trade_off: str) -> float | None:
        """Return the excess of a loss over the best reference, in per cent; None without a reference.

        Args:
            score: score of a compressor.
            trade_off: its lambda, as text.
        """
        best = self.references[self.best].get(trade_off) if self.best else None
        return None if best is None else 100 * (score["loss"] / best["loss"] - 1)


class TrainingView(View):
    """The scores of trainings over their steps.

    Attributes:
        trainings: name -> score -> step, as text -> value.
        scores: names of the scores.
        guides: score -> text -> value of a horizontal line.
    """

    def __init__(self, metrics: Metrics) -> None:
        super().__init__(metrics)
        self.trainings: Curves = metrics["trainings"]
        self.scores = list(dict.fromkeys(score for curves in self.trainings.values() for score in curves))
        self.guides: Mapping[str, Mapping[str, float]] = metrics.get("guides", {})

    def curve(self, name: str, score: str) -> dict[int, float]:
        """Return step -> value, in the order of the steps; empty without this score.

        Args:
            name: a training.
            score: a logged score.
        """
        values = {int(step): value for step, value in self.trainings[name].get(score, {}).items()}
        return dict(sorted(values.items()))

    def std(self, name: str, score: str, step: int) -> float | None:
        """Return the standard deviation of a value over seeds, or None for a single seed.

        Args:
            name: a training.
            score: a logged score.
            step: a step of its curve.
        """
        return self.deviation("trainings", name, score, str(step))
