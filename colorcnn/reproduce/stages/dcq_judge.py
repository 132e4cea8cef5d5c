"""Stages of kind ``dcq-judge``: test classifiers that were trained on stored training sets, on originals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from colorcnn.errors import UsageError, quoted
from colorcnn.files import write_atomically
from colorcnn.records import Clock, Record
from colorcnn.reproduce.options import Content, PaletteSize, PositiveInt, Text, described_as
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
    """Stores and classifiers of one method: one entry, or null, for each number of colours.

    Attributes:
        stores: outputs of stages that store a training set.
        classifiers: outputs of the trainings on these stores.
    """

    stores: list[str | None]
    classifiers: list[str | None]


@dataclass(frozen=True)
class Original:
    """The training on the original images.

    Attributes:
        classifier: output of the training.
        store: output of a stage with the costs of the original images, if there is one.
    """

    classifier: Text
    store: str | None = None


@dataclass(frozen=True)
class DcqJudgeOptions:
    """Options of :class:`DcqJudgeStage`.

    Attributes:
        data: the original data set: a name or a folder, or ``class_path`` and ``init_args``.
        colors: the numbers of colours, one for each entry of a row.
        rows: method -> its row. A method with the name of a published curve is shown with its published
            numbers.
        original: the training on the original images.
        split: ``test``, or ``val`` for choosing settings.
        batch_size: number of images in a batch.
        published: a table of :data:`colorcnn.reporting.published.PUBLISHED` to show in extra columns.
        anchor: the row that the others are compared with at equal coded bytes; null for the first.
    """

    data: str | Content
    colors: list[PaletteSize]
    rows: dict[str, Row] = field(metadata=described_as("a mapping of names to rows"))
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
                    f"the row {quoted(name)} needs a store and a classifier, or null, for each of "
                    f"the {len(self.colors)} numbers of colours."
                )
        if self.anchor is not None and self.anchor not in self.rows:
            raise UsageError(
                f"the anchor {quoted(self.anchor)} is not a row: use one of {', '.join(self.rows)}."
            )
        if self.published is not None:
            from colorcnn.reporting.published import published_table

            published_table(self.published)


class _Cell(NamedTuple):
    """A classifier, the store it was trained on, and the method and number of colours of its score."""

    method: str
    colors: int
    store: str
    classifier: str

    @property
    def name(self) -> str:
        return f"{self.method} {self.colors}"


class DcqJudgeStage(MeasuringKind):
    """Stage that measures classifiers on original images, and adds the costs of their training sets."""

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
        from colorcnn.reporting.view import RecordView

        return stored_curves(RecordView(record.metrics))

    def more_figures(self, record: Record) -> dict[str, Figure]:
        """Draw accuracy over error and over inconsistency."""
        from colorcnn.reporting.figures.stored import stored_errors
        from colorcnn.reporting.view import RecordView

        return {"causes": stored_errors(RecordView(record.metrics))}

    def table(self, record: Record) -> str:
        """Return accuracy and coded bytes, then error and inconsistency: a row for each method."""
        from colorcnn.reporting.tables.stored import stored_table

        return stored_table(record)

    def digest(self, record: Record) -> tuple[str, str]:
        """Return the accuracies of the anchor, or of the first method."""
        from colorcnn.reporting.tables.accuracy import digest_of
        from colorcnn.reporting.view import RecordView

        first = next(iter(record.metrics["methods"]), None)
        return digest_of(RecordView(record.metrics), record.config.get("anchor") or first)


def _examples(options: DcqJudgeOptions, context: StageContext) -> bytes:
    """Return a PNG of evenly spaced training images: originals, and the copies in the stores.

    It shows the number of colours for which most rows have a store. It leaves out rows without that store,
    and rows whose store does not hold all images.
    """
    from colorcnn.evaluation.gallery import evenly_spaced
    from colorcnn.reporting.figures.canvas import to_png
    from colorcnn.reporting.figures.gallery import picture_rows
    from colorcnn.reporting.naming import colors_and_bits, display_names

    data, name = open_training_data(options.data, context)
    whole = training_split(data)
    chosen = evenly_spaced(len(whole), _SHOWN)
    stores = [row.stores for row in options.rows.values()]
    column = max(range(len(options.colors)), key=lambda column: sum(bool(row[column]) for row in stores))
    rows = {f"original, then {colors_and_bits(options.colors[column])}": whole.read(chosen)}
    for title, row in zip(display_names(options.rows).values(), stores):
        store = row[column]
        if store is None:
            continue
        copies = open_copies(store, name, data)
        if len(copies) == len(whole):
            rows[title] = copies.read(chosen)
    return to_png(picture_rows(rows))


def _cells(options: DcqJudgeOptions) -> Iterator[_Cell]:
    for name, row in options.rows.items():
        for colors, store, classifier in zip(options.colors, row.stores, row.classifiers, strict=True):
            if store is not None and classifier is not None:
                yield _Cell(name, colors, store, classifier)


def _costs(store: str | None) -> dict[str, Any]:
    """Return the bytes of a stored training set per image of the whole set, and its errors."""
    if store is None:
        return {}
    found = costs(store)
    each = {name: total / found["of"] for name, total in found.pop("bytes").items() if total is not None}
    return {**found, "bytes": each}
