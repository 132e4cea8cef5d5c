"""Stages of kind ``vq-reference``: reference quantizers of a source (ECVQ, ECSQ), without training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from colorcnn.errors import UsageError
from colorcnn.files import write_atomically
from colorcnn.reproduce.options import PositiveInt, Text, described_as
from colorcnn.reproduce.stages.base import StageContext, StageKind

_REFERENCES = "references.json"


class SourceStage(StageKind):
    """Base class of stages with the options ``source`` and ``dimension``."""

    def describe(self, options: Mapping[str, Any], home: Path) -> dict[str, Any]:
        """See :meth:`StageKind.describe`.

        Raises:
            UsageError: there is no such source.
        """
        from colorcnn.vq.sources import create_source

        create_source(options["source"], options.get("dimension"))
        return super().describe(options, home)


@dataclass(frozen=True)
class VQReferenceOptions:
    """Options of :class:`VQReferenceStage`.

    Attributes:
        source: a name in :data:`colorcnn.vq.sources.SOURCES`.
        trade_offs: the lambdas.
        dimension: d; null takes the source's own.
        design_size: the number of vectors that ECVQ is designed on.
        test_size: the number of vectors that ECVQ is measured on.
        codewords: the largest number of codewords that ECVQ starts with.
    """

    source: Text
    trade_offs: list[int | float] = field(metadata=described_as("a list of numbers"))
    dimension: PositiveInt | None = None
    design_size: PositiveInt = 200_000
    test_size: PositiveInt = 1_000_000
    codewords: PositiveInt = 1024

    def __post_init__(self) -> None:
        if not self.trade_offs:
            raise UsageError("trade_offs is []; give a list of numbers.")


class VQReferenceStage(SourceStage):
    """Stage that designs ECVQ, and for the 1-D Gaussian the exact ECSQ. Its output holds their scores."""

    options_type = VQReferenceOptions

    def run(self, description: Mapping[str, Any], context: StageContext) -> None:
        """See :meth:`StageKind.run`."""
        from colorcnn.evaluation.vq_measures import measure_references
        from colorcnn.vq.sources import create_source

        options: VQReferenceOptions = self.read(description)
        found = measure_references(
            create_source(options.source, options.dimension),
            options.trade_offs,
            options.design_size,
            options.test_size,
            options.codewords,
        )
        write_atomically(context.folder / _REFERENCES, (json.dumps(found, indent=1) + "\n").encode())

    def output(self, folder: Path, part: str) -> Path:
        """See :meth:`StageKind.output`."""
        return super().output(folder, part) if part else folder / _REFERENCES
