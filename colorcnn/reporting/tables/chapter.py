"""Markdown tables of the sample chapter of Palette Programming: growth, colour spaces, and its recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from colorcnn.records import Record
from colorcnn.reporting.markup import MISSING, Table
from colorcnn.reporting.verdicts.chapter import RECIPE, Ratio, ratios


def chapter_table(record: Record) -> str:
    """Return the times of seedings, the errors of colour spaces, and the chapter's recipe beside others."""
    found = record.metrics["palette_chapter"]
    config = record.config
    growing = Table(*_growth(found["growth"], config)).markdown()
    spaces, peers = found["spaces"], found["peers"]
    head = ["k-means in the space, % above sRGB"]
    for size in _sizes(spaces):
        head += [f"{title}, {size} colours" for title in ("CIEDE2000", "MSE", "1 - SSIM", "CPU time, ratio")]
    keys = [(key, "srgb") for key in ("ciede2000", "mse", "dssim", "seconds")]
    rows = [[name, *_cells(spaces, name, keys)] for name in _names(spaces, "space") if name != "srgb"]
    note = f"n = {record.n} images of full size, k-means of this package; 95 % intervals in brackets."
    title = ["method"]
    for size in _sizes(peers):
        title += [f"MSE, % above k-means best, {size} colours", f"CIEDE2000, % above, {size} colours"]
        title.append(f"CPU time, ratio to the recipe, {size} colours")
    keys = [("mse", "k-means best"), ("ciede2000", "k-means best"), ("seconds", RECIPE)]
    others = [[name, *_cells(peers, name, keys)] for name in _names(peers, "name")]
    short, long = config["peer_sides"]
    last = f"n = {record.n} images of {short} x {long} pixels, seed 123 of scikit-learn; {record.origin}."
    return "\n".join([growing, Table(head, rows, [note]).markdown(), Table(title, others, [last]).markdown()])


def _growth(
    growth: Mapping[str, Any], config: Mapping[str, Any]
) -> tuple[list[str], list[list[str]], list[str]]:
    sizes = sorted({row["pixels"] for each in growth.values() for row in each["rows"]})
    colors = sorted({row["colors"] for each in growth.values() for row in each["rows"]})
    ends = [(pixels, count) for pixels in sizes for count in (colors[0], colors[-1])]
    head = ["seconds", *(f"{pixels:,} pixels, {count} colours" for pixels, count in ends)]
    rows = []
    for name, of in growth.items():
        seconds = {(row["pixels"], row["colors"]): row["seconds"] for row in of["rows"]}
        cells = [f"{seconds[end]:.4f}" for end in ends]
        rows.append([name, *cells, f"{of['pixels']:.2f}", f"{of['colors']:.2f}"])
    note = (
        f"CPU time of one thread, mean of {config['growth_pictures']} images. The exponents a and b are of "
        f"time = c N^a K^b, fitted to {len(sizes)} sizes of N pixels and {len(colors)} numbers K of colours."
    )
    return [*head, "a", "b"], rows, [note]


def _sizes(rows: Sequence[Mapping[str, Any]]) -> list[int]:
    return sorted({row["colors"] for row in rows})


def _names(rows: Sequence[Mapping[str, Any]], key: str) -> list[str]:
    return list(dict.fromkeys(row[key] for row in rows))


def _cells(rows: Sequence[Mapping[str, Any]], name: str, keys: Sequence[tuple[str, str]]) -> list[str]:
    """Return the cells of one name for all sizes.

    Args:
        rows: rows of all names.
        name: the name.
        keys: errors, each with the name that it is compared with.
    """
    found = {key: ratios(rows, name, base, key) for key, base in keys}
    return [_cell(key, found[key].get(size)) for size in _sizes(rows) for key, _ in keys]


def _cell(key: str, ratio: Ratio | None) -> str:
    """Return times as a ratio, errors as a difference in per cent with its interval."""
    if ratio is None:
        return MISSING
    if key == "seconds":
        return f"{ratio[0]:.2f}"
    mean, low, high = (100 * (value - 1) for value in ratio)
    return f"{mean:+.1f}" if high - low < 0.01 else f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"
