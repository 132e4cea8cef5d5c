"""Stages of kind ``dcq-judge``: classifiers trained on stored training sets, tested on original images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from colorcnn.errors import UsageError, quoted
from colorcnn.files import write_atomically
from colorcnn.records import Clock, Record
from colorcnn.reproduce.options import Content, PaletteSize, PositiveInt, Text, give
from colorcnn.reproduce.stages.base import MeasuringKind, StageContext
from colorcnn.reproduce.stages.dcq_images import costs, open_copies, open_training_data, training_split

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

_ORIGINAL = "original"
_EXAMPLES = "examples"
_SHOWN = 10


@dataclass(frozen=True)
class Row:
    """A method: its stores and the classifiers trained on them, one or null for each number of colours.

    Attributes:
        stores: outputs of stages that store a training set.
        classifiers: the trainings on them.
    """

    stores: list[str | None]
    classifiers: list[str | None]


@dataclass(frozen=True)
class Original:
    """The training on the original images.

    Attributes:
        classifier: the training.
        store: what the original images cost; may be left out.
    """

    classifier: Text
    store: str | None = None


@dataclass(frozen=True)
class DcqJudgeOptions:
    """Options of :class:`DcqJudgeStage`.

    Attributes:
        data: the original data set: ``class_path`` and ``init_args``, or as ``colorcnn evaluate`` takes it.
        colors: the numbers of colours, one for each entry of a row.
        rows: method -> its row. The names of published curves find their published numbers.
        original: the training on the original images.
        split: ``test``, or ``val`` to choose by.
        batch_size: images at a time.
        published: a table of :data:`colorcnn.reporting.published.PUBLISHED` to stand beside.
        anchor: the row that the others are compared with at equal coded bytes; null for the first.
    """

    data: str | Content
    colors: list[PaletteSize]
    rows: dict[str, Row] = field(metadata=give("a mapping of names to rows"))
    original: Original
    split: str = "test"
    batch_size: PositiveInt = 256
    published: str | None = None
    anchor: str | None = None

    def __post_init__(self) -> None:
        if not self.rows:
            raise UsageError("rows is {}; give a mapping of names to rows.")
        for name, row in self.rows.items():
            if not len(row.stores) == len(row.classifiers) == len(self.colors):
                raise UsageError(
                    f"the row {quoted(name)} does not fit: give a store and a classifier for each of the "
                    f"{len(self.colors)} numbers of colours, or null."
                )
        if self.anchor is not None and self.anchor not in self.rows:
            raise UsageError(f"the anchor {quoted(self.anchor)} is no row: name one of the rows.")
        if self.published is not None:
            from colorcnn.reporting.published import published_table

            published_table(self.published)


class _Cell(NamedTuple):
    """A classifier, the store it was trained on, and the place of its score."""

    method: str
    colors: int
    store: str
    classifier: str

    @property
    def name(self) -> str:
        return f"{self.method} {self.colors}"


class DcqJudgeStage(MeasuringKind):
    """Measures the accuracy of classifiers on original images, beside the costs of their training sets."""

    options_type = DcqJudgeOptions
    cosmetic_options = ("published", "anchor")

    def run(self, description: Mapping[str, Any], context: StageContext) -> None:
        """See :meth:`StageKind.run`."""
        from colorcnn.evaluation.config import EvaluationConfig
        from colorcnn.evaluation.loaded import load_evaluation

        clock = Clock()
        device = context.torch_device()
        options: DcqJudgeOptions = self.read(description)
        cells = list(_cells(options))
        classifiers = {cell.name: cell.classifier for cell in cells}
        config = EvaluationConfig(
            data=options.data,
            classifier={_ORIGINAL: options.original.classifier, **classifiers},
            methods={},
            colors=[],
            split=options.split,
            batch_size=options.batch_size,
            seed=context.seed,
            device=device,
            options=context.data_options(),
        )
        loaded = load_evaluation(config)
        verdicts = loaded.measure().original.judges
        metrics: dict[str, Any] = {
            "sizes": options.colors,
            "original": {**verdicts[_ORIGINAL].to_json(), **_costs(options.original.store)},
            "methods": {name: {"scores": {}} for name in options.rows},
        }
        for cell in cells:
            score = {**verdicts[cell.name].to_json(), **_costs(cell.store)}
            metrics["methods"][cell.method]["scores"][str(cell.colors)] = score
        whole = loaded.record_config()
        shown = {key: whole[key] for key in ("data", "split", "split_key", "image_size")}
        write_atomically(context.folder / f"{_EXAMPLES}.png", _examples(options, context))
        context.write_record(clock, n=len(loaded.split), metrics=metrics, config=shown, device=device)

    def pictures(self, folder: Path) -> dict[str, Path]:
        """See :meth:`MeasuringKind.pictures`: some images, and their copies in the stores."""
        path = folder / f"{_EXAMPLES}.png"
        return {_EXAMPLES: path} if path.exists() else {}

    def figure(self, record: Record) -> Figure:
        """Draw accuracy over colours and over coded bytes."""
        from colorcnn.reporting.figures.stored import stored_curves

        return stored_curves(record.metrics)

    def more_figures(self, record: Record) -> dict[str, Figure]:
        """Draw accuracy over error and over inconsistency."""
        from colorcnn.reporting.figures.stored import stored_causes

        return {"causes": stored_causes(record.metrics)}

    def table(self, record: Record) -> str:
        """Return accuracy and coded bytes, then error and inconsistency: a row for each method."""
        from colorcnn.reporting.tables.stored import stored_table

        return stored_table(record)

    def digest(self, record: Record) -> tuple[str, str]:
        """Return the accuracies of the anchor, or of the first method."""
        from colorcnn.reporting.tables.accuracy import digest_of

        first = next(iter(record.metrics["methods"]), None)
        return digest_of(record.metrics, record.config.get("anchor") or first)


def _examples(options: DcqJudgeOptions, context: StageContext) -> bytes:
    """Return a PNG of images, spread evenly over the training set: originals, and the copies in the stores.

    It shows the number of colours for which most rows have a store. It leaves out rows without that store,
    and rows whose store does not hold all images.
    """
    from colorcnn.evaluation.gallery import evenly
    from colorcnn.reporting.figures.canvas import to_png
    from colorcnn.reporting.figures.gallery import picture_rows
    from colorcnn.reporting.naming import colors_and_bits, display_names

    data, name = open_training_data(options.data, context)
    whole = training_split(data)
    chosen = evenly(len(whole), _SHOWN)
    stores = [row.stores for row in options.rows.values()]
    column = max(range(len(options.colors)), key=lambda column: sum(bool(row[column]) for row in stores))
    rows = {f"original, then {colors_and_bits(options.colors[column])}": whole.read(chosen)}
    for title, row in zip(display_names(options.rows).values(), stores):
        store = row[column]
        if store is None:
            continue
        copies = open_copies(store, name, download=context.download)
        if len(copies) == len(whole):
            rows[title] = copies.read(chosen)
    return to_png(picture_rows(rows))


def _cells(options: DcqJudgeOptions) -> Iterator[_Cell]:
    for name, row in options.rows.items():
        for colors, store, classifier in zip(options.colors, row.stores, row.classifiers, strict=True):
            if store is not None and classifier is not None:
                yield _Cell(name, colors, store, classifier)


def _costs(store: str | None) -> dict[str, Any]:
    """Return what a stored training set costs per image of the whole set, and what it loses."""
    if store is None:
        return {}
    found = costs(store)
    each = {name: total / found["of"] for name, total in found.pop("bytes").items() if total is not None}
    return {**found, "bytes": each}
