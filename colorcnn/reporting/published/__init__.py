"""Accuracies that papers printed, kept as data so that they stand beside what is measured and never among it.

Source: Y. Hou, L. Zheng and S. Gould, "Learning to Structure an Image with Few Colors and Beyond"; the
tables are numbered as there. The curves of its figures carry no numbers and are not guessed at. Those of
Dataset Color Quantization are in :mod:`colorcnn.reporting.published.dcq`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from colorcnn.errors import unknown_name
from colorcnn.reporting.naming import family
from colorcnn.reporting.published import dcq

Curve = Mapping[int, float]


@dataclass(frozen=True)
class PublishedTable:
    """The printed accuracies of one data set and classifier, in [0, 1].

    Attributes:
        name: ``<data set>-<classifier>``.
        source: the table or tables they were printed in.
        full: accuracy on the originals; None where it is not printed.
        accuracy: method -> number of colours -> accuracy. Variants of a method follow its name in brackets.
        full_map: mean average precision on the originals, for several labels per image.
        mean_average_precision: method -> number of colours -> mean average precision.
    """

    name: str
    source: str
    full: float | None
    accuracy: Mapping[str, Curve] = field(default_factory=dict)
    full_map: float | None = None
    mean_average_precision: Mapping[str, Curve] = field(default_factory=dict)

    def lookup(self, method: str, num_colors: int) -> float | None:
        """The printed accuracy of a method, named with or without its weights (``method:weights``)."""
        return self.accuracy.get(family(method), {}).get(num_colors)

    def to_json(self) -> dict[str, object]:
        """The table as plain JSON values; the numbers of colours become strings."""
        return {
            "name": self.name,
            "source": self.source,
            "original": self.full,
            "accuracy": _keys_to_text(self.accuracy),
            "original_mean_average_precision": self.full_map,
            "mean_average_precision": _keys_to_text(self.mean_average_precision),
        }


def _keys_to_text(curves: Mapping[str, Curve]) -> dict[str, dict[str, float]]:
    return {method: {str(size): value for size, value in curve.items()} for method, curve in curves.items()}


def _bits(*percent: float, first: int = 1) -> Curve:
    """Accuracies printed for 1, 2, 3, ... bits, or from ``first`` on."""
    return {2**bits: round(value / 100, 4) for bits, value in enumerate(percent, start=first)}


_PAPER = "Hou, Zheng and Gould, Learning to Structure an Image with Few Colors and Beyond"

_FULL = {
    "alexnet": {"cifar10": 86.9, "cifar100": 62.1, "stl10": 73.6, "tiny200": 50.9},
    "vgg16": {"cifar10": 93.5, "cifar100": 73.1, "stl10": 81.5, "tiny200": 62.8},
    "resnet18": {"cifar10": 94.6, "cifar100": 76.4, "stl10": 83.4, "tiny200": 65.5},
}

_CURVES = (
    PublishedTable(
        name="cifar100-resnet18",
        source=f"{_PAPER}, Tables 1 and 4",
        full=0.764,
        accuracy={
            "median-cut": _bits(10.2, 26.1, 44.0, 57.8, 66.2, 70.8),
            "colorcnn": _bits(17.4, 33.1, 41.7, 46.4, 49.3, 51.0),
            "colorcnn-plus": _bits(19.9, 39.7, 50.3, 61.6, 65.6, 67.9),
            "colorcnn-plus (imitation weight 0)": _bits(23.7, 45.7, 52.8, 57.1, 60.1, 60.8),
            "colorcnn-plus (imitation weight 1)": _bits(23.0, 44.5, 53.1, 59.1, 60.6, 63.0),
            "colorcnn-plus (imitation weight 10)": _bits(15.5, 30.6, 44.9, 59.3, 66.3, 70.4),
            # The differences to the default are told in the text, too (section 4.5.2).
            "colorcnn-plus (no bottleneck)": _bits(17.9, 39.0, 49.8, 61.0, 65.7, 68.1),
        },
    ),
    PublishedTable(
        name="stl10-alexnet",
        source=f"{_PAPER}, Tables 1 and 5",
        full=0.736,
        accuracy={
            "colorcnn": {8: 0.697},
            "colorcnn (no regularization)": {8: 0.675},
            "colorcnn (no jitter)": {8: 0.678},
        },
    ),
    PublishedTable(
        name="voc2012-resnet18",
        source=f"{_PAPER}, Table 2",
        full=0.305,
        accuracy={
            "median-cut": _bits(9.6, 18.0, 23.4, 26.6, 28.3, 29.1),
            "colorcnn-plus": _bits(13.1, 21.5, 25.8, 29.1, 30.2, 31.0),
        },
        full_map=0.553,
        mean_average_precision={
            "median-cut": _bits(24.5, 39.6, 46.7, 50.4, 52.4, 53.5),
            "colorcnn-plus": _bits(33.4, 41.1, 44.9, 49.7, 51.9, 53.2),
        },
    ),
    PublishedTable(
        name="style14-resnet18",
        source=f"{_PAPER}, Table 3",
        full=0.72,
        accuracy={
            "median-cut": _bits(36.4, 59.3, 66.9, 67.3, 68.1, 70.6),
            "colorcnn-plus": _bits(66.4, 69.7, 71.0, 70.9, 71.8, 71.7),
        },
    ),
)

_ORIGINALS = (
    PublishedTable(f"{dataset}-{network}", f"{_PAPER}, Table 1", round(percent / 100, 4))
    for network, row in _FULL.items()
    for dataset, percent in row.items()
)

_STORED = (
    PublishedTable(
        name,
        source,
        None if percent is None else round(percent / 100, 4),
        {method: _bits(*row, first=first) for method, row in rows.items()},
    )
    for name, (source, percent, first, rows) in dcq.TABLES.items()
)

PUBLISHED: dict[str, PublishedTable] = {
    **{table.name: table for table in _ORIGINALS},
    **{table.name: table for table in _CURVES},
    **{table.name: table for table in _STORED},
}


def published_table(name: str) -> PublishedTable:
    """Look a published table up by its name in :data:`PUBLISHED`.

    Raises:
        UsageError: there is none of that name.
    """
    if not isinstance(name, str) or name not in PUBLISHED:
        raise unknown_name("published table", name, PUBLISHED)
    return PUBLISHED[name]
