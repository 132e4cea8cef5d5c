"""Stages of kind ``soft-hard``: accuracy on soft images, as in training, and on files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from colorcnn.errors import UsageError, quoted
from colorcnn.files import write_atomically
from colorcnn.records import Clock, Record
from colorcnn.reproduce.options import PositiveFloat, Text, described_as
from colorcnn.reproduce.stages.base import StageContext
from colorcnn.reproduce.stages.evaluate import EvaluateStage, MeasuredOptions

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class SoftHardOptions(MeasuredOptions):
    """Options of :class:`SoftHardStage`, in addition to :class:`MeasuredOptions`.

    Codecs are not allowed. Only a single learned quantizer without dithering has soft images.

    Attributes:
        classifier: a single classifier.
        split: ``val``, or ``test``.
        temperatures: temperatures that the logits are divided by.
    """

    classifier: Text = field(metadata=described_as("the name of one classifier"))
    split: str = "val"
    temperatures: list[PositiveFloat] = field(default_factory=lambda: [1.0, 0.3, 0.1, 0.03, 0.01])

    def __post_init__(self) -> None:
        from colorcnn.evaluation.codecs import find_codecs

        super().__post_init__()
        for name, method in self.methods.items():
            if isinstance(method, str) and find_codecs(method):
                raise UsageError(f"the method {quoted(name)} is a codec and has no soft images: remove it.")


class SoftHardStage(EvaluateStage):
    """Stage that measures methods, and learned ones also on soft images at several temperatures."""

    options_type = SoftHardOptions
    cosmetic_options = ()

    def run(self, description: Mapping[str, Any], context: StageContext) -> None:
        """See :meth:`StageKind.run`."""
        from colorcnn.evaluation.loaded import load_evaluation
        from colorcnn.evaluation.soft_hard import measure_soft
        from colorcnn.models import LearnedQuantizer
        from colorcnn.reporting.pictures import draw_soft_pictures

        clock, device = Clock(), context.torch_device()
        options: SoftHardOptions = self.read(description)
        loaded = load_evaluation(self.config(options, context))
        result = replace(loaded.measure(context.progress), temperatures=tuple(options.temperatures))
        batches = loaded.batches()
        for name, method in loaded.methods.items():
            if isinstance(method, LearnedQuantizer):
                soft = measure_soft(
                    *(method, loaded.classifier, batches, list(result.scores[name])),
                    options.temperatures,
                    device,
                    label=f"soft images of {name}",
                )
                result = result.with_soft(name, soft)
        for name, picture in draw_soft_pictures(loaded).items():
            write_atomically(context.folder / f"{name}.png", picture.light)
        context.write_record(
            clock,
            n=len(loaded.split),
            metrics=result.to_json(),
            config=loaded.record_config(),
            device=device,
            libraries=loaded.libraries(),
        )

    def figure(self, record: Record) -> Figure:
        """Draw accuracy on soft images over the temperature, and accuracy on files."""
        from colorcnn.reporting.figures.soft_hard import soft_hard_curves
        from colorcnn.reporting.view import RecordView

        return soft_hard_curves(RecordView(record.metrics))

    def more_figures(self, record: Record) -> dict[str, Figure]:
        """Draw accuracy on files over the number of colours and the size of files."""
        return {"accuracy": super().figure(record)}

    def table(self, record: Record) -> str:
        """Return accuracies of files and soft images, a row for each method and number of colours."""
        from colorcnn.reporting.tables.soft_hard import soft_hard_table

        return soft_hard_table(record)
