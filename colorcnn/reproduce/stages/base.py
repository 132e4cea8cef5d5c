"""What a kind of stage has to tell and to do."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from colorcnn.errors import UsageError
from colorcnn.records import Clock, Record
from colorcnn.reproduce.options import check_options

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RECORD = "record.json"
"""What a measuring stage leaves in its folder, for one seed."""

_KEPT = "kept"

Fit = Callable[[list[str], Path], int]
"""``colorcnn fit``: its arguments, and the folder that holds the runs."""


@dataclass(frozen=True)
class StageContext:
    """Where and with what a stage is done; none of it changes what is done.

    Attributes:
        folder: the stage's own, below the runs.
        seed: of everything random.
        device: ``auto``, ``cpu``, ``cuda`` ...
        download: whether data sets may be fetched.
        fit: runs ``colorcnn fit``.
        say: tells the user something.
    """

    folder: Path
    seed: int
    device: str
    download: bool
    fit: Fit
    say: Callable[[str], None]

    def torch_device(self) -> str:
        """The device that ``auto`` stands for here, or the one that was named."""
        if self.device != "auto":
            return self.device
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"

    def data_options(self) -> dict[str, Any] | None:
        """Options of data sets that are opened."""
        return {"download": True} if self.download else None

    @property
    def kept(self) -> Path:
        """A folder for how far a measurement is; it goes when its record is written."""
        return self.folder / _KEPT

    def write_record(self, clock: Clock, **found: Any) -> None:
        """Leave what was measured in the stage's folder; ``found`` as :meth:`Clock.record` takes it."""
        seeds = {"seed": self.seed}
        clock.record("colorcnn reproduce", seeds=seeds, **found).write(self.folder / RECORD)
        shutil.rmtree(self.kept, ignore_errors=True)


class StageKind(ABC):
    """A kind of stage.

    Attributes:
        required: options that must be given.
        optional: the other options and their defaults.
        cosmetic_options: those of them that change nothing of what is measured.
        order_sensitive: those whose mappings mean something else in another order.
        resumes: whether interrupted work goes on; if not, it begins again.
    """

    required: ClassVar[tuple[str, ...]] = ()
    optional: ClassVar[Mapping[str, Any]] = {}
    cosmetic_options: ClassVar[tuple[str, ...]] = ()
    order_sensitive: ClassVar[tuple[str, ...]] = ()
    resumes: ClassVar[bool] = False

    def check(self, options: Mapping[str, Any], where: str) -> None:
        """Refuse options that cannot be meant; references in them are not resolved yet.

        Raises:
            UsageError: names what is wrong, and what there is.
        """
        check_options(options, [*self.required, *self.optional], self.required, where)

    def describe(self, options: Mapping[str, Any], home: Path) -> dict[str, Any]:
        """Everything that decides the result, as JSON values: the options with their defaults.

        Args:
            options: of the stage, with references.
            home: the folder of the experiment's file.
        """
        del home
        return {**self.optional, **options}

    @abstractmethod
    def run(self, description: Mapping[str, Any], context: StageContext) -> None:
        """Do the stage, or go on with it where it stopped.

        Args:
            description: what :meth:`describe` gave, with references resolved.
            context: where to.
        """

    def output(self, folder: Path, part: str) -> Path:
        """The file that a reference stands for: ``part`` is empty, or what follows the stage's name.

        Raises:
            UsageError: the stage has no such output.
        """
        raise UsageError(f"A stage of this kind has no output {part!r} for others: refer to another stage.")


class MeasuringKind(StageKind):
    """A kind that ends in numbers: its stage leaves a record in its folder, which is gathered over seeds."""

    def complete(self, description: Mapping[str, Any], metrics: dict[str, Any]) -> dict[str, Any]:
        """Add what does not depend on the seed to the gathered metrics: the ``published`` table, by name."""
        if description.get("published") is None:
            return metrics
        from colorcnn.reporting.published import published_table

        return {**metrics, "published": published_table(description["published"]).to_json()}

    @abstractmethod
    def figure(self, record: Record) -> Figure | None:
        """Draw the record."""

    def more_figures(self, record: Record) -> dict[str, Figure]:
        """Further drawings: what their files' names end in, before ``.png``, and the figures."""
        del record
        return {}

    def record_config(self, description: Mapping[str, Any]) -> dict[str, Any]:
        """The description as the configuration of a record tells it."""
        return dict(description)

    def pictures(self, folder: Path) -> Mapping[str, Path]:
        """What a stage drew of the trained networks themselves: endings of names, and PNG files.

        Those of the first seed are put beside the record.
        """
        del folder
        return {}

    @abstractmethod
    def table(self, record: Record) -> str:
        """The record as Markdown: a table and a line about how it was measured."""

    @abstractmethod
    def digest(self, record: Record) -> tuple[str, str]:
        """What was measured and what was published, each in a few words for an overview."""
