"""Stages of kind ``vq-kodak``: size and error of the files of trained image codecs and of image formats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colorcnn.errors import UsageError, quoted
from colorcnn.records import Clock, Record
from colorcnn.reproduce.options import Text, described_as
from colorcnn.reproduce.stages.base import MeasuringKind, StageContext
from colorcnn.reproduce.stages.vq_measure import Rows, check_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class VQKodakOptions:
    """Options of :class:`VQKodakStage`.

    Attributes:
        rows: name -> lambda -> a checkpoint of VQTask for images, such as ``${name}`` of a training, or the
            name of a pretrained codec.
            Compressed files store the row's name as the model name.
        pictures: a folder of images. Its path is absolute, or relative to the current folder or the data
            sets.
        codecs: ``jpeg``, ``webp``, ``avif`` or ``jpeg-xl`` at the usual qualities, or ``jpeg:30`` at one.
        anchor: the row or codec that BD-rates compare with.
        published: true to add the paper's BD-rates, which compare with the paper's own UQ-AUN.
    """

    rows: Rows = field(metadata=described_as("a mapping of names to trainings"))
    pictures: Text = "kodak"
    codecs: list[Text] = field(default_factory=lambda: ["jpeg", "webp"])
    anchor: str | None = None
    published: bool = True

    def __post_init__(self) -> None:
        check_rows(self.rows, [None if self.anchor in self.codecs else self.anchor])


class VQKodakStage(MeasuringKind):
    """Stage that measures files of ``colorcnn compress`` and of image formats, and decodes each again."""

    options_type = VQKodakOptions
    cosmetic_options = ("published",)

    def describe(self, options: Mapping[str, Any], home: Path) -> dict[str, Any]:
        """See :meth:`StageKind.describe`.

        Raises:
            UsageError: a codec is unknown, or has no qualities.
        """
        from colorcnn.evaluation.codecs import CODECS, LOSSLESS, find_codecs

        described = super().describe(options, home)
        for name in described["codecs"]:
            if not find_codecs(name) or name in LOSSLESS:
                lossy = ", ".join(codec for codec in CODECS if codec not in LOSSLESS)
                raise UsageError(f"There is no curve of the codec {quoted(name)}: choose one of {lossy}.")
        return described

    def data_specs(self, options: Mapping[str, Any], home: Path) -> list[Mapping[str, Any]]:
        """See :meth:`StageKind.data_specs`: the folder of images."""
        path = options.get("pictures", VQKodakOptions.pictures)
        return [{"class_path": "ImageFolder", "init_args": {"path": path}}]

    def run(self, description: Mapping[str, Any], context: StageContext) -> None:
        """See :meth:`StageKind.run`."""
        from tqdm import tqdm

        from colorcnn.data.folders import find_folder
        from colorcnn.data.registry import data_root
        from colorcnn.evaluation.codecs import check_available, find_codecs, libraries
        from colorcnn.evaluation.vq_measures import bd_rates, measure_codec, measure_pictures
        from colorcnn.pretrained import find_device, load_compressor
        from colorcnn.vq.sources import list_pictures

        clock = Clock()
        options: VQKodakOptions = self.read(description)
        device = find_device("cpu" if context.device == "auto" else context.device)
        files = list_pictures(find_folder(options.pictures, data_root(None)))
        codecs = [codec for name in options.codecs for codec in find_codecs(name)]
        check_available(codecs)
        curves: dict[str, dict[str, Any]] = {}
        todo = [(name, at, path) for name, row in options.rows.items() for at, path in row.items()]
        for name, at, path in tqdm(todo, desc="Coding", unit="model", disable=None):
            measured = measure_pictures(load_compressor(path).to(device), files, name)
            curves.setdefault(name, {})[str(at)] = measured
        for codec in tqdm(codecs, desc="Image formats", disable=None):
            curves.setdefault(codec.name, {})[str(codec.quality)] = measure_codec(codec, files)
        metrics: dict[str, Any] = {"rows": curves}
        if options.anchor is not None:
            metrics["bd_rate"] = bd_rates(curves, options.anchor)
        context.write_record(
            clock, n=len(files), metrics=metrics, device=str(device), libraries=libraries(codecs)
        )

    def complete(self, description: Mapping[str, Any], metrics: dict[str, Any]) -> dict[str, Any]:
        """See :meth:`MeasuringKind.complete`."""
        if not description["published"]:
            return metrics
        from colorcnn.vq.published import AOSVQ, KODAK_BD_RATE

        return {**metrics, "published": {"reference": AOSVQ, "bd_rate": dict(KODAK_BD_RATE)}}

    def figure(self, record: Record) -> Figure:
        """Draw PSNR over bits per pixel."""
        from colorcnn.reporting.figures.vectors import picture_figure
        from colorcnn.reporting.view import CompressorView

        return picture_figure(CompressorView(record.metrics))

    def table(self, record: Record) -> str:
        """Return bits per pixel and PSNR: a row for each codec, with its BD-rate."""
        from colorcnn.reporting.tables.vectors import picture_table

        return picture_table(record)

    def digest(self, record: Record) -> tuple[str, str]:
        """Return BD-rates, measured and published."""
        from colorcnn.reporting.tables.vectors import picture_digest

        return picture_digest(record)
