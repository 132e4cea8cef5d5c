"""Published numbers, stored as YAML data beside this module: accuracies, and errors of one quantizer.

Each row names the table of the paper. Curves without printed numbers are not digitised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from colorcnn.errors import unknown_name
from colorcnn.reporting.naming import family

Curve = Mapping[int, float]
"""Number of colours -> value."""

_FILES = ("colorcnn.yaml", "dcq.yaml")


@dataclass(frozen=True)
class PublishedTable:
    """Published accuracies of one data set and classifier, in [0, 1].

    Attributes:
        name: ``<data set>-<classifier>``.
        source: the paper and its tables.
        full: accuracy on the originals; None if it is not published.
        accuracy: method -> number of colours -> accuracy. Variants are in brackets.
        full_map: mean average precision on the originals, for several labels per image.
        mean_average_precision: method -> number of colours -> mean average precision.
        tables: method -> the table of the paper.
        inferred: methods whose rows follow from other numbers of the paper.
        colors_per_image: method -> number of colours -> published mean number of colours in an image.
        bits_per_pixel: method -> number of colours -> published bits per pixel.
    """

    name: str
    source: str
    full: float | None
    accuracy: Mapping[str, Curve] = field(default_factory=dict)
    full_map: float | None = None
    mean_average_precision: Mapping[str, Curve] = field(default_factory=dict)
    tables: Mapping[str, str] = field(default_factory=dict)
    inferred: tuple[str, ...] = ()
    colors_per_image: Mapping[str, Curve] = field(default_factory=dict)
    bits_per_pixel: Mapping[str, Curve] = field(default_factory=dict)

    def lookup(self, method: str, num_colors: int) -> float | None:
        """Return the published accuracy of a method, or None.

        Args:
            method: a method, with or without weights (``method:weights``).
            num_colors: number of colours.
        """
        return self.accuracy.get(family(method), {}).get(num_colors)

    def to_json(self) -> dict[str, object]:
        """Return JSON values. Numbers of colours become strings, and missing values are left out."""
        further = {
            "inferred": list(self.inferred),
            "colors_per_image": _keys_to_text(self.colors_per_image),
            "bits_per_pixel": _keys_to_text(self.bits_per_pixel),
        }
        return {
            "name": self.name,
            "source": self.source,
            "original": self.full,
            "accuracy": _keys_to_text(self.accuracy),
            "original_mean_average_precision": self.full_map,
            "mean_average_precision": _keys_to_text(self.mean_average_precision),
            **{key: value for key, value in further.items() if value},
        }


def _keys_to_text(curves: Mapping[str, Curve]) -> dict[str, dict[str, float]]:
    return {method: {str(size): value for size, value in curve.items()} for method, curve in curves.items()}


def _share(percent: float | None) -> float | None:
    return None if percent is None else round(percent / 100, 4)


def _curve(row: Mapping[str, Any], first_bits: int) -> Curve:
    percent = row["percent"]
    if isinstance(percent, list):
        percent = {2**bits: value for bits, value in enumerate(percent, first_bits)}
    return {size: round(value / 100, 4) for size, value in percent.items()}


def _table(name: str, paper: str, content: Mapping[str, Any]) -> PublishedTable:
    first = content.get("first_bits", 1)
    rows, precision = content.get("rows", {}), content.get("mean_average_precision", {})
    return PublishedTable(
        name,
        f"{paper}, {content['source']}",
        _share(content.get("original")),
        {method: _curve(row, first) for method, row in rows.items()},
        _share(content.get("original_mean_average_precision")),
        {method: _curve(row, first) for method, row in precision.items()},
        {method: str(row["table"]) for method, row in rows.items()},
        tuple(method for method, row in rows.items() if row.get("inferred")),
        *(
            {method: row[key] for method, row in rows.items() if key in row}
            for key in ("colors_per_image", "bits_per_pixel")
        ),
    )


def _content(file: str) -> Any:
    return yaml.safe_load(Path(__file__).with_name(file).read_text(encoding="utf-8"))


def _read() -> Iterator[PublishedTable]:
    for content in map(_content, _FILES):
        for name, table in content["tables"].items():
            yield _table(name, content["paper"], table)


PUBLISHED: dict[str, PublishedTable] = {table.name: table for table in _read()}


AHEAD_OF_JPEG: dict[str, float] = {
    method: round(points / 100, 4)
    for method, points in _content(_FILES[0])["ahead_of_jpeg"]["points"].items()
}
"""Method -> published difference of accuracy to JPEG, at 1 bit and under 0.2 bits per pixel (section 4.4)."""


STOCHASTIC: Mapping[str, Any] = _content("stochastic.yaml")
"""The table of Stochastic Quantization: errors and times for three pictures and five numbers of colours."""


def published_table(name: str) -> PublishedTable:
    """Return the table of a name in :data:`PUBLISHED`.

    Raises:
        UsageError: there is no table of this name.
    """
    if not isinstance(name, str) or name not in PUBLISHED:
        raise unknown_name("published table", name, PUBLISHED)
    return PUBLISHED[name]


def inferred_methods(published: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the methods whose rows were inferred.

    Args:
        published: the JSON of a published table in a record.
    """
    known = PUBLISHED.get(published.get("name", ""))
    return tuple(published.get("inferred", known.inferred if known else ()))
