"""Base classes for experiment stages."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from colorcnn.errors import UsageError, quoted
from colorcnn.records import Clock, Record
from colorcnn.reproduce.options import default_options, read_options

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RECORD = "record.json"
"""File name of the record that a measuring stage writes into its folder, for one seed."""

_PROGRESS = "kept"

Fit = Callable[[list[str], Path], int]
"""``colorcnn fit``: a function of arguments and the folder of the runs that returns an exit status."""


@dataclass(frozen=True)
class StageContext:
    """Folder, seed, device and callbacks of a stage. Only the seed changes the result.

    Attributes:
        folder: the stage's own folder, below the runs.
        seed: the seed of everything random.
        device: ``auto``, ``cpu``, ``cuda`` ...
        download: True to download data sets that are missing.
        fit: function that runs ``colorcnn fit``.
        say: function that prints a message for the user.
    """

    folder: Path
    seed: int
    device: str
    download: bool
    fit: Fit
    say: Callable[[str], None]

    def torch_device(self) -> str:
        """Return the device; ``auto`` becomes a GPU if there is one."""
        if self.device != "auto":
            return self.device
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"

    def data_options(self) -> dict[str, Any] | None:
        """Return options for opening data sets."""
        return {"download": True} if self.download else None

    @property
    def progress(self) -> Path:
        """The folder for saved progress of a measurement. It is deleted when the record is written."""
        return self.folder / _PROGRESS

    def write_record(self, clock: Clock, **fields: Any) -> None:
        """Write the record of a measurement into the stage's folder.

        Args:
            clock: a clock that was started when the work started.
            **fields: further arguments of :meth:`Clock.record`, such as ``n`` and ``metrics``.
        """
        seeds = {"seed": self.seed}
        clock.record("colorcnn reproduce", seeds=seeds, **fields).write(self.folder / RECORD)
        shutil.rmtree(self.progress, ignore_errors=True)


class StageKind(ABC):
    """A kind of stage.

    Attributes:
        options_type: a frozen dataclass of the options. Fields without a default must be given.
        cosmetic_options: options that change tables and figures, but no measurement. They are not part of the
            key.
        order_sensitive: options with a mapping whose order changes the result.
        resumes: True if an interrupted stage resumes. Otherwise it starts again.
    """

    options_type: ClassVar[type]
    cosmetic_options: ClassVar[tuple[str, ...]] = ()
    order_sensitive: ClassVar[tuple[str, ...]] = ()
    resumes: ClassVar[bool] = False

    def check(self, options: Mapping[str, Any], where: str) -> None:
        """Raise if an option is invalid. References to other stages are not resolved yet.

        Args:
            options: options as written in the file.
            where: the place in the file, for messages.

        Raises:
            UsageError: an option is invalid. The message names it.
        """
        self.read(options, where)

    def read(self, options: Mapping[str, Any], where: str = "the stage") -> Any:
        """Return the options as a value of :attr:`options_type`.

        Args:
            options: options as written in the file, or a description.
            where: the place in the file, for messages.

        Raises:
            UsageError: an option is invalid. The message names it.
        """
        return read_options(self.options_type, options, where)

    def describe(self, options: Mapping[str, Any], home: Path) -> dict[str, Any]:
        """Return everything that decides the result, as JSON values: the options with their defaults.

        Args:
            options: options as written in the file, with references.
            home: the folder of the experiment's file.
        """
        del home
        return {**default_options(self.options_type), **options}

    @abstractmethod
    def run(self, description: Mapping[str, Any], context: StageContext) -> None:
        """Run the stage, or resume it if it was interrupted.

        Args:
            description: the result of :meth:`describe`, with references resolved to paths.
            context: the folder, seed and device of the work.
        """

    def data_specs(self, options: Mapping[str, Any], home: Path) -> list[Mapping[str, Any]]:
        """Return the data sets that the stage opens, as ``class_path`` and ``init_args``.

        Args:
            options: options as written in the file.
            home: the folder of the experiment's file.
        """
        del home
        return [options["data"]] if isinstance(options.get("data"), Mapping) else []

    def output(self, folder: Path, part: str) -> Path:
        """Return the file or folder that a reference points to.

        Args:
            folder: the stage's folder.
            part: the text after the stage's name in the reference, which may be empty.

        Raises:
            UsageError: the stage has no such output.
        """
        raise UsageError(f"A stage of this kind has no output {quoted(part)}: refer to another stage.")


class MeasuringKind(StageKind):
    """Kind of stage that writes a record, which is averaged over the seeds."""

    def complete(self, description: Mapping[str, Any], metrics: dict[str, Any]) -> dict[str, Any]:
        """Add the published table, which does not depend on the seed.

        Args:
            description: the result of :meth:`describe`.
            metrics: the metrics over all seeds.

        Returns:
            The metrics, with the published table under ``published``, if the options name one.
        """
        if description.get("published") is None:
            return metrics
        from colorcnn.reporting.published import published_table

        return {**metrics, "published": published_table(description["published"]).to_json()}

    @abstractmethod
    def figure(self, record: Record) -> Figure | None:
        """Draw the record."""

    def more_figures(self, record: Record) -> dict[str, Figure]:
        """Draw further figures: end of the file name before ``.png`` -> figure."""
        del record
        return {}

    def record_config(self, description: Mapping[str, Any]) -> dict[str, Any]:
        """Return the description in the form that a record's configuration stores."""
        return dict(description)

    def pictures(self, folder: Path) -> Mapping[str, Path]:
        """Return the PNG files that a stage drew: end of the file name -> path.

        Only the first seed's files are copied beside the record.
        """
        del folder
        return {}

    @abstractmethod
    def table(self, record: Record) -> str:
        """Return the record as Markdown: a table, and a line about the measurement."""

    @abstractmethod
    def digest(self, record: Record) -> tuple[str, str]:
        """Return the measured and the published numbers in a few words, for an overview."""

    def digest_columns(self, record: Record) -> str:
        """Return the heads of the digest's numbers: the numbers of colours, or an empty text."""
        return ", ".join(map(str, record.metrics.get("sizes", [])))
