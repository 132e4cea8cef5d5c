"""Stages of kind ``dcq-judge``: classifiers trained on stored training sets, judged on original images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from colorcnn.errors import UsageError
from colorcnn.files import write_atomically
from colorcnn.records import Clock, Record
from colorcnn.reproduce.options import check_options
from colorcnn.reproduce.stages.base import MeasuringKind, StageContext
from colorcnn.reproduce.stages.dcq_images import costs, open_copies, open_training_data, training_split

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

_ORIGINAL = "original"
_EXAMPLES = "examples"
_SHOWN = 10


class _Cell(NamedTuple):
    """A classifier, what it was trained on, and where its score goes."""

    method: str
    colors: int
    store: str
    classifier: str

    @property
    def name(self) -> str:
        return f"{self.method} {self.colors}"


class DcqJudgeStage(MeasuringKind):
    """Measures what classifiers recognise of original images, beside what their training sets cost.

    Options:
        data: the original data set: ``class_path`` and ``init_args``, or as ``colorcnn evaluate`` takes it.
        colors: the numbers of colours, one for each entry of a row.
        rows: what a method is called -> ``stores``, outputs of stages that store a training set, and
            ``classifiers``, the trainings on them; lists with an entry, or null, for each number of colours.
            Names of published curves find their numbers.
        original: ``classifier``, trained on the originals, and ``store``, what these cost, which may be
            left out.
        split: ``test``; ``val`` to choose by.
        batch_size: images at a time.
        published: a table of :data:`colorcnn.reporting.published.PUBLISHED` to stand beside.
        anchor: the row that the others are compared with at equal coded bytes; null for the first.
    """

    required = ("data", "colors", "rows", "original")
    optional: ClassVar = {"split": "test", "batch_size": 256, "published": None, "anchor": None}
    cosmetic_options = ("published", "anchor")

    def check(self, options: Mapping[str, Any], where: str) -> None:
        """See :meth:`StageKind.check`."""
        super().check(options, where)
        check_options(options["original"], ["classifier", "store"], ["classifier"], f"{where}, original")
        if not isinstance(options["rows"], Mapping) or not options["rows"]:
            raise UsageError(f"{where}: rows is {options['rows']!r}; give a mapping of names to rows.")
        for name, row in options["rows"].items():
            both = ["stores", "classifiers"]
            check_options(row, both, both, f"{where}, row {name!r}")
            if any(len(row[key]) != len(options["colors"]) for key in both):
                raise UsageError(
                    f"{where}, row {name!r}: give a store and a classifier for each of the "
                    f"{len(options['colors'])} numbers of colours, or null."
                )
        if options.get("anchor") is not None and options["anchor"] not in options["rows"]:
            raise UsageError(f"{where}: the anchor {options['anchor']!r} is no row: name one of the rows.")
        if options.get("published") is not None:
            from colorcnn.reporting.published import published_table

            published_table(options["published"])

    def run(self, description: Mapping[str, Any], context: StageContext) -> None:
        """See :meth:`StageKind.run`."""
        from colorcnn.evaluation.config import EvaluationConfig
        from colorcnn.evaluation.loaded import load_evaluation

        clock = Clock()
        device = context.torch_device()
        cells = list(_cells(description))
        original = description["original"]
        config = EvaluationConfig(
            data=description["data"],
            classifier={_ORIGINAL: original["classifier"], **{cell.name: cell.classifier for cell in cells}},
            methods={},
            colors=[],
            split=description["split"],
            batch_size=description["batch_size"],
            seed=context.seed,
            device=device,
            options=context.data_options(),
        )
        loaded = load_evaluation(config)
        verdicts = loaded.measure().original.judges
        metrics = {
            "sizes": description["colors"],
            "original": {**verdicts[_ORIGINAL].to_json(), **_costs(original.get("store"))},
            "methods": {name: {"scores": {}} for name in description["rows"]},
        }
        for cell in cells:
            score = {**verdicts[cell.name].to_json(), **_costs(cell.store)}
            metrics["methods"][cell.method]["scores"][str(cell.colors)] = score
        whole = loaded.record_config()
        told = {key: whole[key] for key in ("data", "split", "split_key", "image_size")}
        write_atomically(context.folder / f"{_EXAMPLES}.png", _examples(description, context))
        context.write_record(clock, n=len(loaded.split), metrics=metrics, config=told, device=device)

    def pictures(self, folder: Path) -> dict[str, Path]:
        """See :meth:`MeasuringKind.pictures`: images as the rows store them."""
        path = folder / f"{_EXAMPLES}.png"
        return {_EXAMPLES: path} if path.exists() else {}

    def figure(self, record: Record) -> Figure:
        """Accuracy over colours and over coded bytes."""
        from colorcnn.reporting.figures.stored import stored_curves

        return stored_curves(record.metrics)

    def more_figures(self, record: Record) -> dict[str, Figure]:
        """Accuracy over error and over inconsistency."""
        from colorcnn.reporting.figures.stored import stored_causes

        return {"causes": stored_causes(record.metrics)}

    def table(self, record: Record) -> str:
        """Accuracy and coded bytes, then error and inconsistency: a row for each method."""
        from colorcnn.reporting.tables.stored import stored_table

        return stored_table(record)

    def digest(self, record: Record) -> tuple[str, str]:
        """The accuracies of the anchor, or of the first method."""
        from colorcnn.reporting.markdown import digest_of

        first = next(iter(record.metrics["methods"]), None)
        return digest_of(record.metrics, record.config.get("anchor") or first)


def _examples(description: Mapping[str, Any], context: StageContext) -> bytes:
    """A PNG of images, spread evenly over the training set, as they are and as the rows store them.

    Of each row it is the store with that number of colours which most of them have; rows that have none, or
    not all of the images, are left out.
    """
    from colorcnn.evaluation.gallery import evenly
    from colorcnn.reporting.figures.curves import to_png
    from colorcnn.reporting.figures.gallery import picture_rows
    from colorcnn.reporting.naming import colors_and_bits, display_names

    data, name = open_training_data(description["data"], context)
    whole = training_split(data)
    chosen = evenly(len(whole), _SHOWN)
    stores = [row["stores"] for row in description["rows"].values()]
    column = max(
        range(len(description["colors"])), key=lambda column: sum(bool(row[column]) for row in stores)
    )
    rows = {f"original, then {colors_and_bits(description['colors'][column])}": whole.read(chosen)}
    for title, row in zip(display_names(description["rows"]).values(), stores):
        if row[column] is None:
            continue
        copies = open_copies(row[column], name, download=context.download)
        if len(copies) == len(whole):
            rows[title] = copies.read(chosen)
    return to_png(picture_rows(rows))


def _cells(description: Mapping[str, Any]) -> Iterator[_Cell]:
    for name, row in description["rows"].items():
        for colors, store, classifier in _together(description["colors"], row):
            if store is not None and classifier is not None:
                yield _Cell(name, int(colors), store, classifier)


def _together(colors: Sequence[int], row: Mapping[str, Any]) -> Iterator[tuple[int, Any, Any]]:
    yield from zip(colors, row["stores"], row["classifiers"], strict=True)


def _costs(store: str | None) -> dict[str, Any]:
    """What a stored training set costs per image of the whole, and loses."""
    if store is None:
        return {}
    found = costs(store)
    each = {name: total / found["of"] for name, total in found.pop("bytes").items() if total is not None}
    return {**found, "bytes": each}
