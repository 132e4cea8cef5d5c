"""Stages of kind ``vq-measure``: trained compressors of vectors, compared with each other and references."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from colorcnn import schema
from colorcnn.errors import ColorCNNError, UsageError, quoted
from colorcnn.files import write_atomically
from colorcnn.records import Clock, Record
from colorcnn.reproduce.options import PositiveInt, Text, described_as
from colorcnn.reproduce.stages.base import MeasuringKind, StageContext
from colorcnn.reproduce.stages.vq_reference import SourceStage

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from colorcnn.vq.compressor import VectorCompressor

_PICTURES = ("mappings", "cells")
Rows = dict[str, dict[int | float, str]]
"""Name -> lambda -> a checkpoint of VQTask, such as ``${name}`` of a training."""


@dataclass(frozen=True)
class VQMeasureOptions:
    """Options of :class:`VQMeasureStage`.

    Attributes:
        source: a name in :data:`colorcnn.vq.sources.SOURCES`.
        rows: name -> lambda -> a checkpoint of VQTask, such as ``${name}`` of a training.
        dimension: d; null takes the source's own.
        references: ``${name}`` of a stage of kind ``vq-reference``.
        anchor: the row that BD-rates compare with.
        compare: row -> the row to compare it with, for each lambda and seed.
        drawn: the lambda of the networks in the pictures: mappings and gradients (1-D) or cells (2-D).
        test_size: the number of test vectors.
        split: ``test``, or ``val`` for choosing settings.
    """

    source: Text
    rows: Rows = field(metadata=described_as("a mapping of names to trainings"))
    dimension: PositiveInt | None = None
    references: str | None = None
    anchor: str | None = None
    compare: dict[str, str] = field(default_factory=dict)
    drawn: int | float | None = None
    test_size: PositiveInt = 1_000_000
    split: Literal["test", "val"] = "test"

    def __post_init__(self) -> None:
        check_rows(self.rows, [self.anchor, *self.compare, *self.compare.values()])
        if self.drawn is not None and not any(self.drawn in row for row in self.rows.values()):
            raise UsageError(f"drawn is {quoted(self.drawn)}; give a lambda of one of the rows.")


def _references(path: Path) -> dict[str, Any]:
    cure = "give the output of a stage of kind vq-reference"
    try:
        return schema.parse_json(schema.read_file(path, cure), path, cure)
    except FileNotFoundError as error:
        raise ColorCNNError(f"{path} does not exist: {cure}.") from error


class VQMeasureStage(SourceStage, MeasuringKind):
    """Stage that measures rate, error and coded size of compressors of one source, on the same vectors."""

    options_type = VQMeasureOptions
    cosmetic_options = ("compare",)

    def run(self, description: Mapping[str, Any], context: StageContext) -> None:
        """See :meth:`StageKind.run`."""
        from tqdm import tqdm

        from colorcnn.evaluation.vq_measures import bd_rates, measure_vectors
        from colorcnn.vq.sources import create_source

        clock = Clock()
        _seed(context.seed)
        options: VQMeasureOptions = self.read(description)
        source = create_source(options.source, options.dimension)
        compressors = _load(options.rows, source.dimension)
        draw = source.val_set if options.split == "val" else source.test_set
        vectors = draw(options.test_size)
        rows: dict[str, dict[str, Any]] = {name: {} for name in options.rows}
        for (name, trade_off), compressor in tqdm(compressors.items(), desc="Measuring", disable=None):
            rows[name][trade_off] = measure_vectors(compressor, vectors)
        metrics: dict[str, Any] = {"source": source.name, "dimension": source.dimension, "rows": rows}
        if options.references is not None:
            metrics["references"] = _references(Path(options.references))
        if options.anchor is not None:
            metrics["bd_rate"] = bd_rates(rows, options.anchor)
        drawn = str(options.drawn)
        _draw({name: one for (name, at), one in compressors.items() if at == drawn}, context.folder)
        context.write_record(clock, n=len(vectors), metrics=metrics)

    def complete(self, description: Mapping[str, Any], metrics: dict[str, Any]) -> dict[str, Any]:
        """See :meth:`MeasuringKind.complete`."""
        from colorcnn.evaluation.vq_measures import published_points

        return {**metrics, "published": published_points(description["source"])}

    def pictures(self, folder: Path) -> dict[str, Path]:
        """See :meth:`MeasuringKind.pictures`."""
        found = {name: folder / f"{name}.png" for name in _PICTURES}
        return {name: path for name, path in found.items() if path.exists()}

    def figure(self, record: Record) -> Figure:
        """Draw the signal-to-noise ratio over rate, and each row's excess loss over the best reference."""
        from colorcnn.reporting.figures.vectors import vector_figure
        from colorcnn.reporting.view import CompressorView

        return vector_figure(CompressorView(record.metrics))

    def table(self, record: Record) -> str:
        """Return loss, rate and signal-to-noise ratio, a row per compressor and a column per lambda."""
        from colorcnn.reporting.tables.vectors import vector_table

        return vector_table(record)

    def digest(self, record: Record) -> tuple[str, str]:
        """Return the losses of all rows, and the published losses."""
        from colorcnn.reporting.tables.vectors import vector_digest

        return vector_digest(record)


def check_rows(rows: Rows, named: Iterable[str | None]) -> None:
    """Raise if a row is empty, or a name is not among the rows.

    Args:
        rows: name -> lambda -> training.
        named: names of rows in other options; None is skipped.

    Raises:
        UsageError: a row is empty, or a name is not a row.
    """
    if not rows or not all(rows.values()):
        raise UsageError(
            f"rows is {quoted(rows)}; give a mapping of names to trainings, with one or more each."
        )
    for name in named:
        if name is not None and name not in rows:
            raise UsageError(f"{quoted(name)} is not a row; use one of {', '.join(rows)}.")


def _load(rows: Rows, dimension: int) -> dict[tuple[str, str], VectorCompressor]:
    from colorcnn.pretrained import load_vector_compressor

    found = {}
    for name, row in rows.items():
        for trade_off, path in row.items():
            compressor = load_vector_compressor(path)
            if compressor.trade_off != trade_off or compressor.quantizer.channels != dimension:
                raise ColorCNNError(
                    f"{path} was trained with lambda {compressor.trade_off:g} in "
                    f"{compressor.quantizer.channels} dimensions, but the row {name} needs lambda "
                    f"{trade_off} in {dimension} dimensions: correct the row."
                )
            found[name, str(trade_off)] = compressor
    return found


def _draw(compressors: Mapping[str, VectorCompressor], folder: Path) -> None:
    """Draw mappings or cells into the stage's folder, if the compressors have one or two dimensions."""
    from colorcnn.reporting.figures.canvas import to_png
    from colorcnn.reporting.figures.vectors import cells_figure, mappings_figure

    dimension = {compressor.quantizer.channels for compressor in compressors.values()}
    if dimension == {1}:
        write_atomically(folder / "mappings.png", to_png(mappings_figure(compressors)))
    if dimension == {2}:
        write_atomically(folder / "cells.png", to_png(cells_figure(compressors)))


def _seed(seed: int) -> None:
    """Seed the noise of the gradients in the pictures. Nothing else is random here."""
    import torch

    torch.manual_seed(seed)
