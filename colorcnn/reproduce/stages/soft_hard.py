"""Stages of kind ``soft-hard``: what learned quantizers lose between soft images and files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from colorcnn.errors import UsageError
from colorcnn.files import write_atomically
from colorcnn.records import Clock, Record
from colorcnn.reproduce.stages.base import StageContext
from colorcnn.reproduce.stages.evaluate import EvaluateStage

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class SoftHardStage(EvaluateStage):
    """Measures methods as ``evaluate`` does, and of learned ones the soft image at falling temperatures, too.

    Options: ``data``, one ``classifier``, ``methods`` other than codecs, ``colors``, ``split``, ``limit`` and
        ``batch_size`` of ``evaluate``, and ``temperatures``, what the scores are divided by. Soft images
        are those of a single learned quantizer, without dithering.
    """

    optional: ClassVar = {
        "colors": [2, 4, 8, 16, 32, 64],
        "split": "val",
        "limit": None,
        "batch_size": 128,
        "temperatures": [1.0, 0.3, 0.1, 0.03, 0.01],
    }
    cosmetic_options = ()

    def check(self, options: Mapping[str, Any], where: str) -> None:
        """See :meth:`StageKind.check`."""
        from colorcnn.evaluation.codecs import find_codecs

        super().check(options, where)
        temperatures = options.get("temperatures", self.optional["temperatures"])
        if not isinstance(temperatures, list) or not all(_is_positive(each) for each in temperatures):
            raise UsageError(f"{where}: temperatures is {temperatures!r}; give a list of numbers above 0.")
        if isinstance(options["classifier"], Mapping):
            raise UsageError(f"{where}: there are several classifiers; name one.")
        for name, method in options["methods"].items():
            if isinstance(method, str) and find_codecs(method):
                raise UsageError(f"{where}: the method {name!r} is a codec: it has no soft images.")

    def run(self, description: Mapping[str, Any], context: StageContext) -> None:
        """See :meth:`StageKind.run`."""
        from colorcnn.evaluation.loaded import load_evaluation
        from colorcnn.evaluation.soft_hard import measure_soft
        from colorcnn.models import LearnedQuantizer
        from colorcnn.reporting.pictures import draw_soft_pictures

        clock, device = Clock(), context.torch_device()
        loaded = load_evaluation(self.config(description, context))
        result = replace(loaded.measure(context.kept), temperatures=tuple(description["temperatures"]))
        batches = loaded.batches()
        for name, method in loaded.methods.items():
            if isinstance(method, LearnedQuantizer):
                soft = measure_soft(
                    *(method, loaded.classifier, batches, list(result.scores[name])),
                    description["temperatures"],
                    device,
                    label=f"soft images of {name}",
                )
                result = result.with_soft(name, soft)
        for name, picture in draw_soft_pictures(loaded).items():
            write_atomically(context.folder / f"{name}.png", picture.light)
        context.write_record(
            clock, n=len(loaded.split), metrics=result.to_json(), config=loaded.record_config(), device=device
        )

    def figure(self, record: Record) -> Figure:
        """Accuracy over the temperature, and hard."""
        from colorcnn.reporting.figures.soft_hard import soft_hard_curves

        return soft_hard_curves(record.metrics)

    def more_figures(self, record: Record) -> dict[str, Figure]:
        """Hard accuracy over the number of colours and the size of files."""
        return {"accuracy": super().figure(record)}

    def table(self, record: Record) -> str:
        """Colours used, hard and soft accuracy, entropy: a row for each method and number of colours."""
        from colorcnn.reporting.markdown import provenance
        from colorcnn.reporting.tables.soft_hard import soft_hard_table

        return f"{soft_hard_table(record.metrics)}\n{provenance(record)}\n"


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and value > 0
