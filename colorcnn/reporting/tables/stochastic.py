"""Markdown tables of Stochastic Quantization: its variants, and the table of its paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from colorcnn.records import Record
from colorcnn.reporting.markup import MISSING, Table

_TITLES = {"published": "SQ as published", "tuned": "SQ, tuned rate"}


def stochastic_table(record: Record) -> str:
    """Return the variants of Stochastic Quantization with all rates, then the cells of its paper's table."""
    found = record.metrics["stochastic"]
    notes = [
        "The published mean distance is F(y) of the paper's table over the number of pixels. Published "
        "seconds are those of a Python program, the others are CPU time of compiled loops.",
        f"n = {record.n} images, {len(record.seeds)} seeds in the first table; in the second, one seed, "
        f"means of six images for the smallest size and one mosaic for the others; {record.origin}.",
    ]
    return "\n".join([_variants(found["variants"]), _cells(found["cells"], found["published"], notes)])


def _variants(variants: Sequence[Mapping[str, Any]]) -> str:
    sizes = sorted({row["colors"] for row in variants})
    by_name: dict[str, dict[int, Mapping[str, Any]]] = {}
    for row in variants:
        by_name.setdefault(row["name"], {})[row["colors"]] = row
    rows = []
    for key in ("published", "tuned"):
        for name, of in by_name.items():
            if all(key in row for row in of.values()):
                label = name if "rates" not in of[sizes[0]] else f"{name}, {_rates(of, sizes, key)}"
                rows.append([label, *(cell for size in sizes for cell in _variant(of[size], key))])
    counts = " and ".join(map(str, sizes))
    head = [f"variant, learning rate for {counts} colours"]
    for size in sizes:
        titles = ("MSE (1e-4)", "F (1e-6)", "F of tuned SGD / F", "the same after a tenth")
        head += [f"{title}, {size} colours" for title in titles]
    note = (
        "F is the mean distance to the power of 3. Ratios are geometric means with 95 % intervals, each "
        "variant with its own best rate for that moment."
    )
    return Table(head, rows, [note]).markdown()


def _rates(of: Mapping[int, Mapping[str, Any]], sizes: Sequence[int], key: str) -> str:
    rates = [f"{of[size]['rates'][key]:g}" for size in sizes]
    return rates[0] if len(set(rates)) == 1 else " and ".join(rates)


def _variant(row: Mapping[str, Any], key: str) -> list[str]:
    """Return the cells of one number of colours: both errors, and both ratios where the rate is tuned."""
    errors = [f"{1e4 * row[key]['mse']:.2f}", f"{1e6 * row[key]['objective']:.1f}"]
    ratios = [row.get(name) if key == "tuned" else None for name in ("ratio", "early_ratio")]
    return [*errors, *(f"{r[0]:.3f} ({r[1]:.3f} to {r[2]:.3f})" if r else MISSING for r in ratios)]


def _cells(cells: Sequence[Mapping[str, Any]], published: Mapping[str, Any], notes: Sequence[str]) -> str:
    rows = []
    for name, numbers in published["resolutions"].items():
        width, height = map(int, name.split("x"))
        columns = zip(numbers["mse"], numbers["transport"], numbers["seconds"], strict=True)
        values = [_cell(mse, transport / (width * height), seconds) for mse, transport, seconds in columns]
        rows.append([f"published, {name}", *values])
    for count in sorted({cell["pictures"] for cell in cells}):
        of = [cell for cell in cells if cell["pictures"] == count]
        size = f"{of[0]['pixels'] / 1e6:.2f} megapixels"
        for name in ("published", "tuned", "stochastic", "k-means"):
            values = [
                _cell(*(cell[name][key] for key in ("mse", "distance", "seconds")))
                if name in cell
                else MISSING
                for cell in of
            ]
            rows.append([f"{_TITLES.get(name, name)}, {size}", *values])
    head = [
        "MSE (1e-4) / mean distance (1e-3) / seconds",
        *(f"{size} colours" for size in published["colors"]),
    ]
    return Table(head, rows, notes).markdown()


def _cell(mse: float, distance: float, seconds: float) -> str:
    return f"{1e4 * mse:.1f} / {1e3 * distance:.1f} / {seconds:.2f}"
