"""Stages of kind ``vq-reference``: the best quantizers of a source that need no training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from colorcnn.errors import UsageError
from colorcnn.files import write_atomically
from colorcnn.reproduce.stages.base import StageContext, StageKind

_REFERENCES = "references.json"


class OfSource(StageKind):
    """A kind of stage with the options ``source`` and ``dimension``."""

    def describe(self, options: Mapping[str, Any], home: Path) -> dict[str, Any]:
        """See :meth:`StageKind.describe`.

        Raises:
            UsageError: there is no such source.
        """
        from colorcnn.vq.sources import create_source

        create_source(options["source"], options.get("dimension"))
        return super().describe(options, home)


class VQReferenceStage(OfSource):
    """Designs ECVQ, and for the 1-D Gaussian the exact ECSQ; its output (``${name}``) holds their scores.

    Options:
        source: a name in :data:`colorcnn.vq.sources.SOURCES`.
        trade_offs: lambdas.
        dimension: d; the source's own by default.
        design_size: how many vectors ECVQ is designed on.
        test_size: how many it is measured on.
        codewords: the most ECVQ starts with.
    """

    required = ("source", "trade_offs")
    optional: ClassVar = {
        "dimension": None,
        "design_size": 200_000,
        "test_size": 1_000_000,
        "codewords": 1024,
    }

    def check(self, options: Mapping[str, Any], where: str) -> None:
        """See :meth:`StageKind.check`."""
        super().check(options, where)
        if not isinstance(options["trade_offs"], list) or not options["trade_offs"]:
            raise UsageError(f"{where}: trade_offs is {options['trade_offs']!r}; give a list of numbers.")

    def run(self, description: Mapping[str, Any], context: StageContext) -> None:
        """See :meth:`StageKind.run`."""
        from colorcnn.evaluation.vq_measures import measure_references
        from colorcnn.vq.sources import create_source

        found = measure_references(
            create_source(description["source"], description["dimension"]),
            description["trade_offs"],
            description["design_size"],
            description["test_size"],
            description["codewords"],
        )
        write_atomically(context.folder / _REFERENCES, (json.dumps(found, indent=1) + "\n").encode())

    def output(self, folder: Path, part: str) -> Path:
        """See :meth:`StageKind.output`."""
        return super().output(folder, part) if part else folder / _REFERENCES
