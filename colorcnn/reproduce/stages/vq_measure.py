"""Stages of kind ``vq-measure``: trained compressors of vectors beside each other and beside references."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.files import write_atomically
from colorcnn.records import Clock, Record
from colorcnn.reproduce.stages.base import MeasuringKind, StageContext
from colorcnn.reproduce.stages.vq_reference import OfSource

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from colorcnn.vq.compressor import VectorCompressor

_PICTURES = ("mappings", "cells")
_SPLITS = ("test", "val")


class VQMeasureStage(OfSource, MeasuringKind):
    """Measures rate, error and coded size of compressors of one source, always on the same vectors.

    Options:
        source: a name in :data:`colorcnn.vq.sources.SOURCES`.
        rows: name -> lambda -> a checkpoint of VQTask, such as ``${name}`` of a training.
        dimension: d; the source's own by default.
        references: ``${name}`` of a ``vq-reference``.
        anchor: the row that BD-rates are against.
        compare: row -> the row it is held against, lambda by lambda and seed by seed.
        drawn: of the networks of which lambda mappings and gradients (1-D) or cells (2-D) are drawn.
        test_size: how many vectors.
        split: ``test``, or ``val`` to choose by.
    """

    required = ("source", "rows")
    optional: ClassVar = {
        "dimension": None,
        "references": None,
        "anchor": None,
        "compare": {},
        "drawn": None,
        "test_size": 1_000_000,
        "split": "test",
    }
    cosmetic_options = ("compare",)

    def check(self, options: Mapping[str, Any], where: str) -> None:
        """See :meth:`StageKind.check`."""
        super().check(options, where)
        check_rows(options, where)
        if options.get("split", "test") not in _SPLITS:
            raise UsageError(f"{where}: split is {options['split']!r}; give one of {', '.join(_SPLITS)}.")
        drawn = options.get("drawn")
        if drawn is not None and not any(drawn in row for row in options["rows"].values()):
            raise UsageError(f"{where}: drawn is {drawn!r}; give a lambda of one of the rows.")

    def run(self, description: Mapping[str, Any], context: StageContext) -> None:
        """See :meth:`StageKind.run`."""
        from tqdm import tqdm

        from colorcnn.evaluation.vq_measures import bd_rates, measure_vectors
        from colorcnn.vq.sources import create_source

        clock = Clock()
        _seed(context.seed)
        source = create_source(description["source"], description["dimension"])
        compressors = _load(description["rows"], source.dimension)
        draw = source.val_set if description["split"] == "val" else source.test_set
        vectors = draw(description["test_size"])
        rows: dict[str, dict[str, Any]] = {name: {} for name in description["rows"]}
        for (name, trade_off), compressor in tqdm(compressors.items(), desc="Measuring", disable=None):
            rows[name][trade_off] = measure_vectors(compressor, vectors)
        metrics: dict[str, Any] = {"source": source.name, "dimension": source.dimension, "rows": rows}
        if description["references"] is not None:
            metrics["references"] = json.loads(Path(description["references"]).read_text())
        if description["anchor"] is not None:
            metrics["bd_rate"] = bd_rates(rows, description["anchor"])
        drawn = str(description["drawn"])
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
        """Decibels over rate, and how far each row's loss lies above the best reference."""
        from colorcnn.reporting.figures.vectors import vector_figure

        return vector_figure(record.metrics)

    def table(self, record: Record) -> str:
        """Loss, rate and decibels: a row for each compressor and reference, a column for each lambda."""
        from colorcnn.reporting.tables.vectors import vector_table

        return vector_table(record)

    def digest(self, record: Record) -> tuple[str, str]:
        """The losses of the first row, and those printed for another method."""
        from colorcnn.reporting.tables.vectors import vector_digest

        return vector_digest(record)


def check_rows(options: Mapping[str, Any], where: str) -> None:
    """Refuse rows that are no mappings of mappings, and names that are not among them.

    Raises:
        UsageError: names what is wrong.
    """
    rows = options["rows"]
    if not isinstance(rows, Mapping) or not rows:
        raise UsageError(f"{where}: rows is {rows!r}; give a mapping of names to trainings.")
    for name, row in rows.items():
        if not isinstance(row, Mapping) or not row:
            raise UsageError(f"{where}: the row {name} is {row!r}; give a mapping of lambdas to trainings.")
    compare = options.get("compare") or {}
    for name in [options.get("anchor"), *compare, *compare.values()]:
        if name is not None and name not in rows:
            raise UsageError(f"{where}: {name!r} is no row; there are {', '.join(map(str, rows))}.")


def _load(rows: Mapping[str, Mapping[Any, str]], dimension: int) -> dict[tuple[str, str], VectorCompressor]:
    from colorcnn.pretrained import load_vector_compressor

    found = {}
    for name, row in rows.items():
        for trade_off, path in row.items():
            compressor = load_vector_compressor(path)
            if compressor.trade_off != trade_off or compressor.quantizer.channels != dimension:
                raise ColorCNNError(
                    f"{path} was trained with lambda {compressor.trade_off:g} in "
                    f"{compressor.quantizer.channels} dimensions and stands in the row {name} at {trade_off} "
                    f"in {dimension}: correct the row."
                )
            found[name, str(trade_off)] = compressor
    return found


def _draw(compressors: Mapping[str, VectorCompressor], folder: Path) -> None:
    """Draw what the dimension of the compressors allows, for the folder's own seed."""
    from colorcnn.reporting.figures.curves import to_png
    from colorcnn.reporting.figures.vectors import cells_figure, mappings_figure

    dimension = {compressor.quantizer.channels for compressor in compressors.values()}
    if dimension == {1}:
        write_atomically(folder / "mappings.png", to_png(mappings_figure(compressors)))
    if dimension == {2}:
        write_atomically(folder / "cells.png", to_png(cells_figure(compressors)))


def _seed(seed: int) -> None:
    """The noise of drawn gradients is the only thing that is random here."""
    import torch

    torch.manual_seed(seed)
