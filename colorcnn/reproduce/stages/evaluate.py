"""Stages of kind ``evaluate``: measure methods at several numbers of colours with one or more classifiers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import colorcnn.data
from colorcnn.errors import UsageError, quoted, unknown_name
from colorcnn.files import write_atomically
from colorcnn.records import Clock, Record
from colorcnn.reproduce.options import Content, PaletteSize, PositiveInt, Text, described_as
from colorcnn.reproduce.references import references
from colorcnn.reproduce.stages.base import MeasuringKind, StageContext
from colorcnn.reproduce.stages.fit import check_class

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from colorcnn.evaluation.config import EvaluationConfig

_ATTACK_OPTIONS = ("attacks", "epsilons", "attack_steps", "attack_queries")
_SAMPLE_SEED = 0
"""Seed of the sample of images. All seeds of an experiment measure the same images."""

_DATA = described_as("a name, or class_path and init_args")
_CLASSIFIERS = described_as("one name, or a mapping of names to classifiers")
_METHODS = described_as("a mapping of names to methods, each NAME[:CHECKPOINT][+DITHER] or a list of them")


@dataclass(frozen=True)
class MeasuredOptions:
    """Options of all stages that measure methods with a classifier.

    Attributes:
        data: a known data set or a folder, or ``class_path`` and ``init_args``.
        classifier: a pretrained name, a checkpoint such as ``${name}`` of a training, or ``module:function``;
            or a mapping of names to classifiers. The main table and all attacks use the first classifier.
        methods: name -> ``NAME[:CHECKPOINT][+DITHER]``; or a list of ColorCNNs, each for another number of
            colours; or a codec: ``jpeg[:QUALITY]``, ``webp``, ``avif``, ``jpeg-xl`` or ``png``. A method with
            the name of a published curve is shown with its published numbers.
        colors: the numbers of colours.
        split: ``test``, or ``val`` for choosing settings.
        limit: measure a sample of that many images; null measures all.
        batch_size: number of images in a batch.
    """

    data: str | Content = field(metadata=_DATA)
    classifier: Text | dict[str, Text] = field(metadata=_CLASSIFIERS)
    methods: dict[str, Text | list[Text]] = field(metadata=_METHODS)
    colors: list[PaletteSize] = field(default_factory=lambda: [2, 4, 8, 16, 32, 64])
    split: str = "test"
    limit: PositiveInt | None = None
    batch_size: PositiveInt = 128

    def __post_init__(self) -> None:
        if not isinstance(self.data, str) and "class_path" not in self.data:
            raise UsageError(f"data is {quoted(self.data)}; give {_DATA['words']}.")
        if not self.classifier:
            raise UsageError(f"classifier is {quoted(self.classifier)}; give {_CLASSIFIERS['words']}.")
        if not self.methods:
            raise UsageError(f"methods is {quoted(self.methods)}; give {_METHODS['words']}.")
        for name, method in self.methods.items():
            if not method:
                raise UsageError(
                    f"the method {quoted(name)} is {quoted(method)}; give NAME[:CHECKPOINT][+DITHER]."
                )
        if not self.colors:
            raise UsageError("colors is []; give a list of whole numbers from 1 to 256.")


@dataclass(frozen=True)
class EvaluateOptions(MeasuredOptions):
    """Options of :class:`EvaluateStage`, in addition to :class:`MeasuredOptions`.

    Attributes:
        attacks: names, see :func:`colorcnn.evaluation.attack_options.split_attack`.
        epsilons: strengths of the attacks: the largest change of a value, in 1..255.
        attack_steps: the number of steps of PGD.
        attack_queries: the number of queries of Square for each image.
        cam: true to draw activation maps, too (the paper's Fig 1).
        published: a table of :data:`colorcnn.reporting.published.PUBLISHED` to show in extra columns.
    """

    attacks: list[Text] = field(default_factory=list)
    epsilons: list[int] = field(default_factory=lambda: [2, 4, 8])
    attack_steps: PositiveInt = 10
    attack_queries: PositiveInt = 200
    cam: bool = False
    published: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.published is not None:
            from colorcnn.reporting.published import published_table

            published_table(self.published)


class EvaluateStage(MeasuringKind):
    """Stage that measures accuracy on quantized images, their error and their size."""

    options_type: ClassVar[type] = EvaluateOptions
    cosmetic_options: ClassVar[tuple[str, ...]] = ("published",)
    order_sensitive = ("methods", "classifier")  # the first of each is the reference
    resumes = True

    def describe(self, options: Mapping[str, Any], home: Path) -> dict[str, Any]:
        """See :meth:`StageKind.describe`. Options of attacks that do not run are left out.

        Raises:
            UsageError: a method, the split or an attack is unknown, or a number is out of range.
        """
        from colorcnn.evaluation.codecs import find_codecs
        from colorcnn.evaluation.config import SPLITS
        from colorcnn.methods import LEARNED_METHODS, parse_method
        from colorcnn.pretrained import check_pretrained

        description = super().describe(options, home)
        if isinstance(description["data"], Mapping):
            check_class("data", description["data"], colorcnn.data)
        if description["split"] not in SPLITS:
            raise unknown_name("split", description["split"], SPLITS)
        for method in description["methods"].values():
            for each in method if isinstance(method, list) else [method]:
                if isinstance(method, list) and each.partition(":")[0] not in LEARNED_METHODS:
                    raise UsageError(
                        f"{quoted(each)} is in a list: lists hold ColorCNNs, one per number of colours."
                    )
                if not references(each) and not find_codecs(each):
                    check_pretrained(parse_method(each).checkpoint)
        classifier = description["classifier"]
        for each in classifier.values() if isinstance(classifier, Mapping) else [classifier]:
            check_pretrained(each)
        if not description.get("cam"):
            description.pop("cam", None)
        if not description.get("attacks"):
            return {name: value for name, value in description.items() if name not in _ATTACK_OPTIONS}
        from colorcnn.evaluation.attack_options import check_epsilons, split_attack

        names = [split_attack(attack, description["attack_steps"])[0] for attack in description["attacks"]]
        if "square" not in names:
            del description["attack_queries"]
        check_epsilons(description["epsilons"])
        return description

    def run(self, description: Mapping[str, Any], context: StageContext) -> None:
        """See :meth:`StageKind.run`."""
        from colorcnn.evaluation.loaded import load_evaluation
        from colorcnn.reporting.pictures import draw_pictures

        clock = Clock()
        options: EvaluateOptions = self.read(description)
        attacks = {name: getattr(options, name) for name in _ATTACK_OPTIONS if options.attacks}
        loaded = load_evaluation(self.config(options, context, **attacks))
        for remark in loaded.remarks():
            context.say(remark)
        if options.cam:
            loaded.check_maps()
        metrics = loaded.measure(context.progress).to_json()
        for name, picture in draw_pictures(loaded, cam=options.cam, dark=False).items():
            write_atomically(context.folder / f"{name}.png", picture.light)
        context.write_record(
            clock,
            n=len(loaded.split),
            metrics=metrics,
            config=loaded.record_config(),
            device=context.torch_device(),
            libraries=loaded.libraries(),
        )

    @staticmethod
    def config(options: MeasuredOptions, context: StageContext, **more: Any) -> EvaluationConfig:
        """Return the configuration of the evaluation.

        Args:
            options: options with references resolved to paths.
            context: seed and device.
            more: further fields of the configuration.
        """
        from colorcnn.evaluation.config import EvaluationConfig

        return EvaluationConfig(
            data=options.data,
            classifier=options.classifier,
            methods=options.methods,
            colors=options.colors,
            split=options.split,
            limit=options.limit,
            batch_size=options.batch_size,
            seed=context.seed,
            sample_seed=_SAMPLE_SEED,
            device=context.torch_device(),
            options=context.data_options(),
            **more,
        )

    def record_config(self, description: Mapping[str, Any]) -> dict[str, Any]:
        """See :meth:`MeasuringKind.record_config`: ``judges`` has several classifiers.

        ``classifier`` is then the first of them.
        """
        several = description["classifier"]
        if not isinstance(several, Mapping):
            return dict(description)
        return {**description, "classifier": next(iter(several.values())), "judges": dict(several)}

    def pictures(self, folder: Path) -> dict[str, Path]:
        """See :meth:`MeasuringKind.pictures`."""
        from colorcnn.reporting.naming import PICTURES

        paths = {name: folder / f"{name}.png" for name in PICTURES}
        return {name: path for name, path in paths.items() if path.exists()}

    def figure(self, record: Record) -> Figure:
        """Draw accuracy over colours and over bits per pixel."""
        from colorcnn.reporting.figures.curves import both_curves
        from colorcnn.reporting.view import RecordView

        return both_curves(RecordView(record.metrics))

    def more_figures(self, record: Record) -> dict[str, Figure]:
        """Draw accuracy under attack and with several classifiers, for each number of colours."""
        from colorcnn.reporting.figures.robustness import robustness_curves
        from colorcnn.reporting.figures.transfer import transfer_map
        from colorcnn.reporting.view import RecordView

        view = RecordView(record.metrics)
        draw = {"attacks": ("attack", robustness_curves), "judges": ("classifiers", transfer_map)}
        return {
            f"{ending}-{size}": function(view, size)
            for key, (ending, function) in draw.items()
            if key in view.metrics
            for size in view.sizes
        }

    def table(self, record: Record) -> str:
        """Return accuracies, a row for each method, and all other requested tables."""
        from colorcnn.reporting.tables.accuracy import evaluation_tables

        return evaluation_tables(record)

    def digest(self, record: Record) -> tuple[str, str]:
        """Return the accuracies of ColorCNN+, else of the first ColorCNN, else of the first method."""
        from colorcnn.evaluation.statistics import leading_method
        from colorcnn.reporting.tables.accuracy import digest_of
        from colorcnn.reporting.view import RecordView

        view = RecordView(record.metrics)
        return digest_of(view, leading_method(record.metrics) or next(iter(view.methods), None))
