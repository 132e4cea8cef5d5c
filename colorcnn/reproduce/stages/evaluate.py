"""Stages of kind ``evaluate``: methods, numbers of colours and a classifier, put to the one evaluator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import colorcnn.data
from colorcnn.errors import UsageError, check_at_least, unknown_name
from colorcnn.files import write_atomically
from colorcnn.records import Clock, Record
from colorcnn.reproduce.references import references
from colorcnn.reproduce.stages.base import MeasuringKind, StageContext
from colorcnn.reproduce.stages.fit import check_class

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from colorcnn.evaluation.config import EvaluationConfig

_OF_ATTACKS = ("attacks", "epsilons", "attack_steps")
_SAMPLE_SEED = 0
"""Every seed is measured on the same images."""


class EvaluateStage(MeasuringKind):
    """Measures what a classifier recognises of quantized images, their error and their size.

    Options:
        data: as ``colorcnn evaluate`` takes it, or ``class_path`` and ``init_args``.
        classifier: as ``colorcnn evaluate`` takes it, such as ``${name}`` of a training; or several by name,
            the first of which the main table and all attacks are about.
        methods: what a method is called -> ``NAME[:CHECKPOINT][+DITHER]``, or a list of ColorCNNs, each for
            another number of colours, or a codec: ``jpeg[:QUALITY]``, ``webp[:QUALITY]`` or ``png``. Names of
            published curves find their numbers.
        colors: the numbers of colours.
        split: ``test``; ``val`` to choose by.
        limit: a sample of that many images.
        batch_size: images at a time.
        attacks: as :func:`colorcnn.evaluation.attacks.parse_attack` takes them.
        epsilons: how much an attack may change a value, of 255.
        attack_steps: of PGD.
        cam: draw where the classifier looks, too (the paper's Fig 1).
        published: a table of :data:`colorcnn.reporting.published.PUBLISHED` to stand beside.
    """

    required = ("data", "classifier", "methods")
    optional: ClassVar = {
        "colors": [2, 4, 8, 16, 32, 64],
        "split": "test",
        "limit": None,
        "batch_size": 128,
        "attacks": [],
        "epsilons": [2, 4, 8],
        "attack_steps": 10,
        "cam": False,
        "published": None,
    }
    cosmetic_options: ClassVar[tuple[str, ...]] = ("published", "cam")
    order_sensitive = ("methods", "classifier")  # the first method is compared with, the first scores
    resumes = True

    def check(self, options: Mapping[str, Any], where: str) -> None:
        """See :meth:`StageKind.check`."""
        super().check(options, where)
        _check_texts(options, where)
        _check_numbers({**self.optional, **options}, where)
        if options.get("published") is not None:
            from colorcnn.reporting.published import published_table

            published_table(options["published"])

    def describe(self, options: Mapping[str, Any], home: Path) -> dict[str, Any]:
        """See :meth:`StageKind.describe`; what attacks are like is told where there are any.

        Raises:
            UsageError: a method, the split or an attack is unknown, or a number of it out of range.
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
                        f"{each!r} is in a list: list ColorCNNs, each for another number of colours."
                    )
                if not references(each) and not find_codecs(each):
                    check_pretrained(parse_method(each).checkpoint)
        judges = description["classifier"]
        for judge in judges.values() if isinstance(judges, Mapping) else [judges]:
            check_pretrained(judge)
        if not description.get("attacks"):
            return {name: value for name, value in description.items() if name not in _OF_ATTACKS}
        from colorcnn.evaluation.attacks import check_epsilons, parse_attack

        for attack in description["attacks"]:
            parse_attack(attack, steps=description["attack_steps"])
        check_epsilons(description["epsilons"])
        return description

    def run(self, description: Mapping[str, Any], context: StageContext) -> None:
        """See :meth:`StageKind.run`."""
        from colorcnn.evaluation.loaded import load_evaluation
        from colorcnn.reporting.pictures import draw_pictures

        clock = Clock()
        loaded = load_evaluation(self.config(description, context))
        for remark in loaded.remarks():
            context.say(remark)
        if description["cam"]:
            loaded.check_maps()
        metrics = loaded.measure(context.kept).to_json()
        for name, picture in draw_pictures(loaded, cam=description["cam"], dark=False).items():
            write_atomically(context.folder / f"{name}.png", picture.light)
        context.write_record(
            clock,
            n=len(loaded.split),
            metrics=metrics,
            config=loaded.record_config(),
            device=context.torch_device(),
        )

    @staticmethod
    def config(description: Mapping[str, Any], context: StageContext) -> EvaluationConfig:
        """Return the configuration of the evaluation."""
        from colorcnn.evaluation.config import EvaluationConfig

        return EvaluationConfig(
            data=description["data"],
            classifier=description["classifier"],
            methods=description["methods"],
            colors=description["colors"],
            split=description["split"],
            limit=description["limit"],
            batch_size=description["batch_size"],
            seed=context.seed,
            sample_seed=_SAMPLE_SEED,
            device=context.torch_device(),
            options=context.data_options(),
            **{name: description[name] for name in _OF_ATTACKS if name in description},
        )

    def record_config(self, description: Mapping[str, Any]) -> dict[str, Any]:
        """See :meth:`MeasuringKind.record_config`: the classifier is the first of several."""
        judges = description["classifier"]
        if not isinstance(judges, Mapping):
            return dict(description)
        return {**description, "classifier": next(iter(judges.values())), "judges": dict(judges)}

    def pictures(self, folder: Path) -> dict[str, Path]:
        """See :meth:`MeasuringKind.pictures`."""
        from colorcnn.reporting.naming import PICTURES

        paths = {name: folder / f"{name}.png" for name in PICTURES}
        return {name: path for name, path in paths.items() if path.exists()}

    def figure(self, record: Record) -> Figure:
        """Accuracy over colours and over bits per pixel."""
        from colorcnn.reporting.figures.curves import both_curves

        return both_curves(record.metrics)

    def more_figures(self, record: Record) -> dict[str, Figure]:
        """Accuracy under attack and before several classifiers, for each number of colours."""
        from colorcnn.reporting.figures.robustness import robustness_curves
        from colorcnn.reporting.figures.transfer import transfer_map

        metrics = record.metrics
        draw = {"attacks": ("attack", robustness_curves), "judges": ("classifiers", transfer_map)}
        return {
            f"{ending}-{size}": function(metrics, size)
            for key, (ending, function) in draw.items()
            if key in metrics
            for size in metrics["sizes"]
        }

    def table(self, record: Record) -> str:
        """Accuracy: a row for each method, a column for each number of colours; and what else was asked."""
        from colorcnn.reporting.markdown import evaluation_tables

        return evaluation_tables(record)

    def digest(self, record: Record) -> tuple[str, str]:
        """The accuracies of ColorCNN+, else of the first ColorCNN, else of the first method."""
        from colorcnn.evaluation.statistics import leading_method
        from colorcnn.reporting.markdown import digest_of

        methods = record.metrics["methods"]
        return digest_of(record.metrics, leading_method(record.metrics) or next(iter(methods), None))


def _check_texts(options: Mapping[str, Any], where: str) -> None:
    """Refuse what names no data, classifier or method."""
    data, judges, methods = options["data"], options["classifier"], options["methods"]
    if not isinstance(data, str) and not (isinstance(data, Mapping) and "class_path" in data):
        raise UsageError(f"{where}: data is {data!r}; give a name, or class_path and init_args.")
    several = list(judges.values()) if isinstance(judges, Mapping) else [judges]
    if not several or not all(map(_is_text, several)):
        raise UsageError(f"{where}: classifier is {judges!r}; name one, or give a mapping of names to them.")
    if not isinstance(methods, Mapping) or not methods:
        raise UsageError(f"{where}: methods is {methods!r}; give a mapping of names to methods.")
    if not isinstance(options.get("cam", False), bool):
        raise UsageError(f"{where}: cam is {options['cam']!r}; give true or false.")
    for name in ("attacks", "epsilons"):
        if not isinstance(options.get(name, []), list):
            raise UsageError(f"{where}: {name} is {options[name]!r}; give a list.")
    for attack in options.get("attacks", []):
        if not _is_text(attack):
            raise UsageError(f"{where}: the attack is {attack!r}; name fgsm or pgd.")
    for name, method in methods.items():
        listed = method if isinstance(method, list) else [method]
        if not listed or not all(map(_is_text, listed)):
            raise UsageError(f"{where}: the method {name!r} is {method!r}; give NAME[:CHECKPOINT][+DITHER].")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _check_numbers(options: Mapping[str, Any], where: str) -> None:
    """Refuse numbers that are none, or cannot be meant."""
    colors = options["colors"]
    listed = isinstance(colors, list) and colors
    if not listed or not all(type(each) is int and 1 <= each <= 256 for each in colors):
        raise UsageError(f"{where}: colors is {colors!r}; give a list of numbers from 1 to 256.")
    numbers = {name: options[name] for name in ("limit", "batch_size", "attack_steps") if name in options}
    try:
        check_at_least(1, **numbers)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error
