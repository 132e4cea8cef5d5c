"""Data classes of experiments: an experiment has scales, a scale has variants, a variant has stages.

:mod:`colorcnn.reproduce.reading` reads them from files and describes the format of the files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from colorcnn.errors import unknown_name

SCALES = ("cpu", "paper")


@dataclass(frozen=True)
class Stage:
    """One step of an experiment.

    Attributes:
        name: the name that later stages refer to.
        kind: a key of :data:`colorcnn.reproduce.stages.KINDS`.
        options: options of the kind. References such as ``${name}`` are not resolved yet.
        shared: True if the stage runs once, with the first seed, and all seeds use its output.
    """

    name: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    shared: bool = False


@dataclass(frozen=True)
class Variant:
    """The stages of one combination of an experiment's matrix.

    Attributes:
        name: the values of the combination, joined by ``_``. It is empty without a matrix.
        stages: the stages, in the order of the file.
    """

    name: str
    stages: tuple[Stage, ...]


@dataclass(frozen=True)
class Scale:
    """An experiment at one scale: small enough for a CPU, or as large as published.

    Attributes:
        variants: the variants. Each has its own records.
        seeds: the default number of seeds.
        time: the expected time, in words.
    """

    variants: tuple[Variant, ...]
    seeds: int
    time: str


@dataclass(frozen=True)
class Experiment:
    """An experiment file.

    Attributes:
        name: the name of the file without its suffix.
        path: the file.
        title: the question that the experiment answers.
        source: the paper and its table or figure.
        scales: scales by name; names are in :data:`SCALES`.
    """

    name: str
    path: Path
    title: str
    source: str
    scales: Mapping[str, Scale]

    def scale(self, name: str) -> Scale:
        """Return the scale of that name.

        Raises:
            UsageError: the experiment has no scale of that name.
        """
        if name not in self.scales:
            raise unknown_name(f"scale of {self.name}", name, self.scales)
        return self.scales[name]
