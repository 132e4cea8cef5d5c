"""Markdown tables of claims with verdicts, and of the measurements behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from colorcnn.records import Record
from colorcnn.reporting.markup import MISSING, Table

_TITLES = {"published": "SQ as published", "tuned": "SQ, tuned rate"}


def claims_table(record: Record) -> str:
    """Return the claims of a publication with published and measured numbers and verdicts."""
    keys = ("claim", "published", "measured", "verdict")
    rows = [[row[key] for key in keys] for row in record.metrics["claims"]]
    note = f"n = {record.n} images; {record.origin}."
    return Table(["claim", "published", "measured here", "verdict"], rows, [note]).markdown()


def stochastic_table(record: Record) -> str:
    """Return the variants of Stochastic Quantization with all rates, then the cells of its paper's table."""
    found = record.metrics["stochastic"]
    notes = [f"n = {record.n} images, {len(record.seeds)} seeds; {record.origin}."]
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
    head = ["variant, learning rate"]
    for size in sizes:
        titles = ("MSE (1e-4)", "F (1e-6)", "F of tuned SGD / F", "the same after a tenth")
        head += [f"{title}, {size} colours" for title in titles]
    return Table(head, rows).markdown()


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


def chapter_table(record: Record) -> str:
    """Return the times of seedings, the errors of colour spaces, and the chapter's recipe beside others."""
    found = record.metrics["palette_chapter"]
    config = record.config
    growing = Table(*_growth(found["growth"], config)).markdown()
    spaces = found["spaces"]
    head = ["k-means in the space, % above sRGB"]
    for size in _sizes(spaces):
        head += [f"{title}, {size} colours" for title in ("CIEDE2000", "MSE", "1 - SSIM", "CPU time")]
    keys = ("ciede2000", "mse", "dssim", "seconds")
    rows = [[name, *_ratios(spaces, "space", name, keys)] for name in _names(spaces, "space")[1:]]
    note = f"n = {record.n} images of full size, k-means of this package; 95 % intervals in brackets."
    peers, rule = found["peers"], ("mse", "ciede2000", "seconds")
    title = ["method"]
    for size in _sizes(peers):
        title += [f"MSE, % above k-means best, {size} colours", f"CIEDE2000, % above, {size} colours"]
        title.append(f"CPU time, % above the recipe, {size} colours")
    others = [[name, *_ratios(peers, "name", name, rule)] for name in _names(peers, "name")]
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


def _ratios(rows: Sequence[Mapping[str, Any]], by: str, name: str, keys: Sequence[str]) -> list[str]:
    """Return the cells of one name: differences in per cent with their intervals, for all sizes."""
    of = {row["colors"]: row.get("ratios", {}) for row in rows if row[by] == name}
    found = [of[size].get(key) for size in sorted(of) for key in keys]
    return [_difference(ratio) if ratio else MISSING for ratio in found]


def _difference(ratio: Sequence[float]) -> str:
    mean, low, high = (100 * (value - 1) for value in ratio)
    return f"{mean:+.1f}" if high - low < 0.01 else f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"
