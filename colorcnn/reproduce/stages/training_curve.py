"""Stages of kind ``training-curve``: logged scores of trainings over their steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from colorcnn import schema
from colorcnn.errors import ColorCNNError, UsageError, unknown_name
from colorcnn.records import Clock, Record
from colorcnn.reproduce.options import Text, described_as
from colorcnn.reproduce.stages.base import MeasuringKind, StageContext

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class TrainingCurveOptions:
    """Options of :class:`TrainingCurveStage`.

    Attributes:
        trainings: name -> ``${name.scores}`` of a stage of kind ``fit``.
        scores: names of logged scores, as in ``scores.jsonl``. There is a panel and a table for each.
        guides: score -> text -> value of a horizontal line in the score's panel, such as the loss of a guess.
    """

    trainings: dict[str, str] = field(metadata=described_as("a mapping of names to trainings"))
    scores: list[Text] = field(default_factory=lambda: ["train/loss"])
    guides: dict[str, dict[str, int | float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("trainings", "scores"):
            if not getattr(self, name):
                raise UsageError(f"{name} is empty; name one or more.")


class TrainingCurveStage(MeasuringKind):
    """Stage that collects scores of trainings. The score of an epoch is that of its last batch."""

    options_type = TrainingCurveOptions
    cosmetic_options = ("guides",)

    def run(self, description: Mapping[str, Any], context: StageContext) -> None:
        """See :meth:`StageKind.run`."""
        clock = Clock()
        options: TrainingCurveOptions = self.read(description)
        trainings = {
            name: {score: _curve(Path(path), score) for score in options.scores}
            for name, path in options.trainings.items()
        }
        steps = max(int(step) for scores in trainings.values() for curve in scores.values() for step in curve)
        context.write_record(clock, n=steps, metrics={"trainings": trainings})

    def complete(self, description: Mapping[str, Any], metrics: dict[str, Any]) -> dict[str, Any]:
        """See :meth:`MeasuringKind.complete`: add the horizontal lines."""
        return {**metrics, "guides": dict(description.get("guides") or {})}

    def figure(self, record: Record) -> Figure:
        """Draw each score over the steps, a curve for each training."""
        from colorcnn.reporting.figures.training import training_curves
        from colorcnn.reporting.view import TrainingView

        return training_curves(TrainingView(record.metrics))

    def table(self, record: Record) -> str:
        """Return each score at up to seven steps, a row for each training."""
        from colorcnn.reporting.tables.training import training_table

        return training_table(record)

    def digest(self, record: Record) -> tuple[str, str]:
        """Return the last value of the first score of each training. Nothing is published."""
        from colorcnn.reporting.tables.training import training_digest

        return training_digest(record), "–"


def _curve(path: Path, score: str) -> dict[str, float]:
    """Return step -> score of a training.

    Raises:
        ColorCNNError: the file of the scores is missing or damaged, or no line has the score.
    """
    cure = "delete the folder of this training, and the same command trains again"
    try:
        text = schema.read_file(path, cure)
    except FileNotFoundError as error:
        raise ColorCNNError(f"{path} does not exist: {cure}.") from error
    try:
        lines = msgspec.json.Decoder(dict[str, Any]).decode_lines(text)
    except msgspec.DecodeError as error:
        raise ColorCNNError(f"{path} is damaged: {cure}.") from error
    found = {
        str(line["step"]): float(line[score])
        for line in lines
        if isinstance(line.get("step"), int) and isinstance(line.get(score), int | float)
    }
    if not found:
        known = sorted({name for line in lines for name in line if "/" in name})
        raise unknown_name(f"score in {path}:", score, known)
    return found
