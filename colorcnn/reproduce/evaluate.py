"""Stages of kind ``evaluate``: methods, numbers of colours and a classifier, put to the one evaluator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from colorcnn.errors import UsageError
from colorcnn.records import Clock, Record
from colorcnn.reproduce.stage import RECORD, MeasuringKind, Workplace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SAMPLE_SEED = 0
"""Every seed is measured on the same images."""


class EvaluateStage(MeasuringKind):
    """Measures what a classifier recognises of quantized images, their error and their size.

    Options:
        data: as ``colorcnn evaluate`` takes it, or ``class_path`` and ``init_args``.
        classifier: as ``colorcnn evaluate`` takes it, such as ``${name}`` of a training.
        methods: what a method is called -> ``NAME[:CHECKPOINT][+DITHER]``, or a list of ColorCNNs, each for
            another number of colours. Names of published curves find their numbers.
        colors: the numbers of colours.
        split: ``test``; ``val`` to choose by.
        limit: a sample of that many images.
        batch_size: images at a time.
        published: a table of :data:`colorcnn.evaluation.published.PUBLISHED` to stand beside.
    """

    required = ("data", "classifier", "methods")
    optional: ClassVar = {
        "colors": [2, 4, 8, 16, 32, 64],
        "split": "test",
        "limit": None,
        "batch_size": 128,
        "published": None,
    }
    looks = ("published",)

    def check(self, options: Mapping[str, Any], where: str) -> None:
        """See :meth:`StageKind.check`."""
        super().check(options, where)
        methods = options["methods"]
        if not isinstance(methods, Mapping) or not methods:
            raise UsageError(f"{where}: methods is {methods!r}; give a mapping of names to methods.")
        if options.get("published") is not None:
            from colorcnn.evaluation.published import published_table

            published_table(options["published"])

    def run(self, description: Mapping[str, Any], place: Workplace) -> None:
        """See :meth:`StageKind.run`."""
        from colorcnn.evaluation.question import Question

        clock = Clock()
        device = place.torch_device()
        opened = Question(
            data=description["data"],
            classifier=description["classifier"],
            methods=description["methods"],
            colors=description["colors"],
            split=description["split"],
            limit=description["limit"],
            batch_size=description["batch_size"],
            seed=place.seed,
            sample_seed=_SAMPLE_SEED,
            device=device,
            options=place.data_options(),
        ).open()
        for remark in opened.remarks():
            place.say(remark)
        metrics = opened.measure()
        record = clock.record(
            "colorcnn reproduce",
            n=len(opened.split),
            metrics=metrics,
            config=opened.config(),
            seeds={"seed": place.seed},
            device=device,
        )
        record.write(place.folder / RECORD)

    def complete(self, description: Mapping[str, Any], metrics: dict[str, Any]) -> dict[str, Any]:
        """See :meth:`MeasuringKind.complete`."""
        if description["published"] is None:
            return metrics
        from colorcnn.evaluation.published import published_table

        return {**metrics, "published": published_table(description["published"]).to_json()}

    def figure(self, record: Record) -> Figure:
        """Accuracy over colours and over bits per pixel."""
        from colorcnn.evaluation.figures import both_curves

        return both_curves(record.metrics)

    def table(self, record: Record) -> str:
        """Accuracy: a row for each method, a column for each number of colours."""
        from colorcnn.evaluation.markdown import accuracy_table

        return accuracy_table(record)

    def digest(self, record: Record) -> tuple[str, str]:
        """The accuracies of the first method."""
        from colorcnn.evaluation.markdown import first_curve

        return first_curve(record.metrics)
