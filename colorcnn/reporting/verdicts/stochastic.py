"""Verdicts on the claims of V. Norkin and A. Kozyriev, Stochastic color quantization, 2024."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from colorcnn.reporting.verdicts.claim import MARGIN, Claim, judged

_Rows = Sequence[Mapping[str, Any]]


def stochastic_claims(found: Mapping[str, Any]) -> list[Claim]:
    """Return the claims with verdicts.

    Args:
        found: variants, cells and published numbers of a record of ``tools/stochastic_table.py``.
    """
    variants, cells = found["variants"], found["cells"]
    return [
        _efficiency(cells),
        _scaling(cells),
        _published_rate(variants),
        _compared(variants, "early_ratio"),
        _compared(variants, "ratio"),
        _errors(cells, found["published"]),
    ]


def _efficiency(cells: _Rows) -> Claim:
    pairs = [(cell["k-means"], cell[key]) for cell in cells for key in ("published", "tuned") if key in cell]
    lower = sum(means["mse"] < sq["mse"] for means, sq in pairs)
    faster = sum(means["seconds"] < sq["seconds"] for means, sq in pairs)
    titles = {"published": "SQ", "tuned": "SQ with a tuned rate", "k-means": "k-means"}
    rows = [
        f"{title} {cells[-1][key]['seconds']:.1f} s and {1e4 * cells[-1][key]['mse']:.1f}"
        for key, title in titles.items()
        if key in cells[-1]
    ]
    return Claim(
        "one pass of SQ, one pixel at a time, is more efficient than k-means on large pictures",
        "SQ 3 to 106 s; k-means not measured",
        f"k-means on the different colours is faster in {faster} and has the lower MSE in {lower} of "
        f"{len(pairs)} comparisons; {_size(cells[-1])}, CPU time and MSE (1e-4): {', '.join(rows)}",
        judged(faster == lower == 0, faster == lower == len(pairs)),
    )


def _scaling(cells: _Rows) -> Claim:
    largest = [cell for cell in cells if cell["pictures"] == cells[-1]["pictures"]]
    seconds, square = (
        [cell["stochastic"][key] / cell["k-means"][key] for cell in largest] for key in ("seconds", "mse")
    )
    return Claim(
        "SQ scales better than k-means, with the settings of this package (`stochastic`: r = 2, falling "
        "rate, mean of the last steps, 65,536 sampled pixels)",
        "claimed for SQ, without numbers",
        f"{cells[-1]['pixels'] / 1e6:.1f} megapixels: {min(seconds):.2f} to {max(seconds):.2f} of the CPU "
        f"time of k-means, {min(square):.3f} to {max(square):.3f} of its MSE",
        judged(max(seconds) < 1 and max(square) < MARGIN, min(seconds) > 1),
    )


def _published_rate(variants: _Rows) -> Claim:
    measured, lower = [], {}
    for colors, rows in _by_size(variants).items():
        plain = rows["sgd"]["published"]["objective"]
        others = [row["published"]["objective"] for name, row in rows.items() if name != "sgd"]
        lower[colors] = sum(other < plain / MARGIN for other in others)
        measured.append(
            f"{colors} colours: F (1e-6) of SGD {1e6 * plain:.1f}, of the others {1e6 * min(others):.1f} to "
            f"{1e6 * max(others):.1f}, lower by 5 % for {lower[colors]} of {len(others)}"
        )
    total = len(others) * len(lower)
    some = [f"{colors} colours" for colors, count in lower.items() if count == len(others)]
    verdict = judged(sum(lower.values()) == total, sum(lower.values()) == 0)
    if verdict == "open" and some:
        verdict = f"confirmed at {' and '.join(some)} only"
    return Claim(
        "the adaptive variants reach a lower F than SGD, at the published learning rate 0.001",
        "claimed, without numbers",
        "; ".join(measured),
        verdict,
    )


def _compared(variants: _Rows, key: str) -> Claim:
    """Return the verdict about F of SGD over F of the variant that was best on the tuning pictures."""
    early = key == "early_ratio"
    measured, ratios = [], []
    for colors, rows in _by_size(variants).items():
        others = {name: row for name, row in rows.items() if name != "sgd"}
        best = min(others, key=lambda name: others[name]["tuning"]["early" if early else "objective"])
        mean, low, high = others[best][key]
        ratios.append((low, high))
        measured.append(f"{colors} colours: {mean:.3f} ({low:.3f} to {high:.3f}, {best})")
    equal, worse = all(high < MARGIN for _, high in ratios), [low > MARGIN for low, _ in ratios]
    moment = "after a tenth of the pixels" if early else "at the end"
    claim = (
        (
            "the adaptive variants converge faster than SGD, each with its best rate",
            "claimed, without numbers",
        )
        if early
        else (
            "SGD with a tuned rate does what the adaptive variants do (our hypothesis, not the paper's)",
            "–",
        )
    )
    return Claim(
        *claim,
        f"F of SGD over F of the variant that was best in tuning, {moment}: {'; '.join(measured)}",
        judged(all(worse), equal) if early else judged(equal, any(worse)),
    )


def _by_size(variants: _Rows) -> dict[int, dict[str, Mapping[str, Any]]]:
    """Return number of colours -> name -> row, of the variants with learning rates."""
    found: dict[int, dict[str, Mapping[str, Any]]] = {}
    for row in variants:
        if "rates" in row:
            found.setdefault(row["colors"], {})[row["name"]] = row
    return found


def _errors(cells: _Rows, published: Mapping[str, Any]) -> Claim:
    printed = published["resolutions"]["438x500"]["mse"]
    own = [cell["published"]["mse"] for cell in cells if cell["pictures"] == 1]
    return Claim(
        "MSE of SQ at 438 x 500, with 4 to 36 colours",
        f"{1e4 * printed[0]:.0f}e-4 to {1e4 * printed[-1]:.0f}e-4",
        f"{1e4 * own[0]:.1f}e-4 to {1e4 * own[-1]:.1f}e-4, as published, on other pictures",
        "open: not the paper's pictures",
    )


def _size(cell: Mapping[str, Any]) -> str:
    return f"{cell['pixels'] / 1e6:.1f} megapixels, {cell['colors']} colours"
