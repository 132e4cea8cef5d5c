"""Targets of the quantizers, and the distance of a run of the benchmark from them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from best_palettes import BestPalettes

ANCHOR = "Pillow MEDIANCUT"
"""The method that CPU times are compared with."""
JUDGED = tuple(f"kodim{number}" for number in ("01", "03", "05", "08", "13", "15", "20", "23"))
"""The Kodak images that targets are judged on; of another set all are."""
SIZES = (2, 4, 8, 16, 32, 64, 256)


_ROUNDING = 1 + 1e-6  # two ways to the same palette, the one error rounded for the record


class Judge:
    """Compares numbers with targets and notes by how much one is missed.

    Attributes:
        targets: what was compared: ``what``, ``value``, ``limit``, ``unit`` and ``met``.
    """

    def __init__(self) -> None:
        self.targets: list[dict[str, Any]] = []

    def at_most(self, what: str, value: float, limit: float, unit: str = "") -> None:
        """Note whether a value lies within its limit."""
        self.targets.append(
            {
                "what": what,
                "value": value,
                "limit": limit,
                "unit": unit,
                "met": bool(value <= limit * _ROUNDING),
            }
        )


def line(target: dict[str, Any]) -> str:
    """A target as a line of text."""
    value, limit, unit = target["value"], target["limit"], target["unit"]
    verdict = "met   " if target["met"] else f"MISSED by {value - limit:.3g}{unit}"
    return f"{verdict} {target['what']}: {value:.4g}{unit}, at most {limit:.4g}{unit}"


def judged(names: Iterable[str]) -> list[str]:
    """Return the pictures that targets are judged on.

    Args:
        names: of the pictures that are measured.
    """
    return [name for name in names if name in JUDGED or not name.startswith("kodim")]


def judge_table(cells: dict[str, Any], pictures: dict[str, np.ndarray], best: BestPalettes) -> Judge:
    """Compare each method with its targets on those judged images that were measured.

    Args:
        cells: by picture, method and number of colours: ``mse`` and ``seconds``.
        pictures: by name, (H, W, 3) uint8.
        best: the least errors known.
    """
    judge = Judge()
    chosen = {name: pictures[name] for name in judged(cells)}
    methods = next(iter(cells.values()))
    for size in map(int, next(iter(methods.values()))) if chosen else ():
        rows = {
            name: [cells[number][name][str(size)] for number in chosen]
            for name in methods
            if str(size) in methods[name]
        }
        known = np.array([best.best(pixels, size) for pixels in chosen.values()])
        if "k-means" in rows:
            _judge_default(judge, rows, known, size)
        if "k-means fast" in rows:
            _judge_fast(judge, rows, size)
        if "k-means best" in rows:
            ten = None
            if "scikit-learn, unique" in rows:
                ten = float(np.mean([best.best_of_ten(pixels, size) for pixels in chosen.values()]))
            _judge_best(judge, rows["k-means best"], known, ten, size)
    return judge


def _error(row: list[dict[str, float]]) -> float:
    return float(np.mean([cell["mse"] for cell in row]))


def _share(rows: dict[str, Any], name: str) -> float:
    """CPU time in parts of that of Pillow's MEDIANCUT in the same run."""
    return sum(cell["seconds"] for cell in rows[name]) / sum(cell["seconds"] for cell in rows[ANCHOR])


def _judge_default(judge: Judge, rows: dict[str, Any], known: np.ndarray, size: int) -> None:
    name, row = f"k-means, {size} colours", rows["k-means"]
    above = 100 * (_error(row) / known.mean() - 1)
    judge.at_most(f"{name}, above the best known", above, _by(size, 1.0, 1.5, 2.0), " %")
    worst = max(cell["mse"] / least for cell, least in zip(row, known))
    judge.at_most(f"{name}, worst image", 100 * (worst - 1), 4.0, " %")
    judge.at_most(f"{name}, CPU of MEDIANCUT's", _share(rows, "k-means"), _by(size, 0.2, 0.35, 0.7), "x")


def _judge_fast(judge: Judge, rows: dict[str, Any], size: int) -> None:
    name, row = f"k-means fast, {size} colours", rows["k-means fast"]
    if "imagequant" in rows:
        judge.at_most(f"{name}, MSE of imagequant's", _error(row) / _error(rows["imagequant"]), 1.0, "x")
    limit = _by(size, 0.15, 0.15, 0.4)
    judge.at_most(f"{name}, CPU of MEDIANCUT's", _share(rows, "k-means fast"), limit, "x")


def _judge_best(judge: Judge, row: list[Any], known: np.ndarray, ten: float | None, size: int) -> None:
    name = f"k-means best, {size} colours"
    judge.at_most(f"{name}, above the best known", 100 * (_error(row) / known.mean() - 1), 0.5, " %")
    if ten is not None:
        judge.at_most(f"{name}, MSE of ten restarts' of scikit-learn", _error(row) / ten, 1.0, "x")
    judge.at_most(f"{name}, slowest image", max(cell["seconds"] for cell in row), 1.0, " s")


def _by(size: int, few: float, some: float, many: float) -> float:
    """The limit for up to 8 colours, up to 64, or more."""
    return few if size <= 8 else some if size <= 64 else many
