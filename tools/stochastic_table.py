"""The table of Stochastic Quantization: every variant, with published and with tuned rates, beside k-means.

``python tools/stochastic_table.py KODAK [--out FILE]`` crops each picture to 438 x 500 pixels, the smallest
size of the paper. It chooses the learning rate of each optimiser on every second picture and measures on the
others, with as many rates tried for each. The mosaics of 1, 6 and 12 pictures stand for the paper's three
resolutions. Errors are those of palettes of bytes. :mod:`colorcnn.reporting.verdicts.stochastic` draws the
verdicts from the record.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measuring import measure_folder
from tqdm import tqdm

from colorcnn.errors import ColorCNNError
from colorcnn.evaluation.statistics import ratio_interval
from colorcnn.images import find_images, flatten, read_image
from colorcnn.quantizers.descent import objective
from colorcnn.quantizers.histogram import Histogram
from colorcnn.quantizers.k_means import KMeans
from colorcnn.quantizers.stochastic import FAITHFUL, METHODS, Stochastic
from colorcnn.records import Clock, Record
from colorcnn.reporting.published import STOCHASTIC

OUT = Path("experiments/results/stochastic_table.json")
WIDTH, HEIGHT = 438, 500
COLORS = (4, 36)
"""Numbers of colours of the comparison of the variants."""
SEEDS = (42, 0)
"""The first is the paper's; rates are chosen with it alone."""
FASTER = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
SLOWER = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
SLOWEST = (0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01)
RATES: dict[str, tuple[float, ...]] = {
    "sgd": FASTER,
    "momentum": SLOWER,
    "nesterov": SLOWER,
    "adagrad": FASTER,
    "rmsprop": SLOWEST,
    "adam": SLOWEST,
}
"""Six rates for each optimiser, placed where its error on one of the tuning pictures was lowest."""
EARLY = 10
"""The error is also measured after one pixel in ten."""
MOSAICS = ((1, 1), (2, 3), (3, 4))
"""Columns and rows of pictures, for the three resolutions of the paper's table."""

Outcome = dict[str, float]


def read_crops(folder: Path) -> list[np.ndarray]:
    """Read the pictures of a folder, each cropped at its centre to at most 438 x 500 pixels.

    Args:
        folder: the pictures, at least four.

    Raises:
        ColorCNNError: the folder has too few pictures, or small ones of several sizes.
    """
    files = find_images(folder)
    if len(files) < 4:
        raise ColorCNNError(f"{folder} has {len(files)} pictures: name a folder of at least 4.")
    crops = [_crop(np.asarray(flatten(read_image(path)))) for path in files]
    if len({crop.shape for crop in crops}) > 1:
        raise ColorCNNError(f"{folder} has pictures below {WIDTH} x {HEIGHT} pixels: leave them out.")
    return crops


def _crop(pixels: np.ndarray) -> np.ndarray:
    top, left = (max(0, (have - most) // 2) for have, most in zip(pixels.shape, (HEIGHT, WIDTH)))
    return pixels[top : top + HEIGHT, left : left + WIDTH].copy()


def scored(pixels: np.ndarray, palette: np.ndarray) -> Outcome:
    """Return the errors of a palette of bytes.

    Args:
        pixels: (H, W, 3) uint8.
        palette: (K, 3) uint8.

    Returns:
        In the unit cube: the mean squared error of a channel, F, which is the mean distance to the power of
        three, and the mean distance, which is the paper's transport of a pixel.
    """
    histogram = Histogram(pixels)
    points, elements = (
        np.ascontiguousarray(rows.T, np.float32) / 255 for rows in (histogram.colors, palette)
    )
    power, distance, square = objective(points, histogram.counts.astype(np.float32), elements, FAITHFUL.r)
    return {"mse": float(square / 3), "objective": float(power), "distance": float(distance)}


def descended(pixels: np.ndarray, colors: int, optimizer: str, rate: float, seed: int) -> Outcome:
    """Run the published algorithm, and return errors, CPU seconds, and F after a tenth of the pixels.

    Args:
        pixels: (H, W, 3) uint8.
        colors: K.
        optimizer: a name in :data:`METHODS`.
        rate: the learning rate.
        seed: seed of the order of the pixels and of the first colours.
    """
    settings = dataclasses.replace(FAITHFUL, optimizer=optimizer, learning_rate=rate)
    quantizer = Stochastic(settings=settings, seed=seed)
    fit = quantizer.fit(pixels, colors, checkpoints=EARLY)
    return {**scored(pixels, quantizer.palette(fit)), "early": float(fit.trajectory[1][1])}


def timed(pixels: np.ndarray, colors: int, quantizer: Stochastic | KMeans) -> Outcome:
    """Return the errors of a quantizer with its CPU seconds.

    Args:
        pixels: (H, W, 3) uint8.
        colors: K.
        quantizer: the quantizer.
    """
    start = time.process_time()
    _, palette = quantizer.quantize_pixels(pixels, colors)
    return {"seconds": time.process_time() - start, **scored(pixels, palette)}


def tune(crops: Sequence[np.ndarray], colors: int, bar: tqdm[Any]) -> dict[str, dict[str, Any]]:
    """Choose the learning rates of every optimiser.

    Args:
        crops: the tuning pictures.
        colors: K.
        bar: progress.

    Returns:
        By optimiser: the rate of the lowest F at the end, the rate of the lowest F after a tenth of the
        pixels, and the geometric means of F for all rates.
    """
    found = {}
    for optimizer in METHODS:
        curve = {}
        for rate in RATES[optimizer]:
            runs = [descended(pixels, colors, optimizer, rate, SEEDS[0]) for pixels in crops]
            curve[rate] = {key: _geometric([run[key] for run in runs]) for key in ("objective", "early")}
            bar.update()
        best = {key: min(curve, key=lambda rate: curve[rate][key]) for key in ("objective", "early")}
        found[optimizer] = {"rate": best["objective"], "early_rate": best["early"], "curve": curve}
    return found


def _geometric(values: Sequence[float]) -> float:
    return float(np.exp(np.mean(np.log(np.maximum(values, 1e-12)))))


def judge(
    crops: Sequence[np.ndarray], colors: int, tuned: Mapping[str, Mapping[str, Any]], bar: tqdm[Any]
) -> list[dict[str, Any]]:
    """Measure every variant with the published and the tuned rate, and the quantizers for use.

    Args:
        crops: the pictures that no rate was chosen on.
        colors: K.
        tuned: the result of :func:`tune`.
        bar: progress.

    Returns:
        One row a variant, with the means over pictures and seeds. ``ratio`` and ``early_ratio`` are F of
        plain SGD with its tuned rate over F of the variant with its own: mean and 95 % interval.
    """
    rows = [_variant(crops, colors, name, tuned[name], bar) for name in METHODS]
    plain = next(row for row in rows if row["name"] == "sgd")
    for row in rows:
        for key, ratio in (("tuned", "ratio"), ("early", "early_ratio")):
            row[ratio] = ratio_interval(np.array(plain["logs"][key]) - np.array(row["logs"][key]))
    for row in rows:
        del row["logs"]
    for name, quantizer in (("stochastic", Stochastic()), ("k-means", KMeans())):
        runs = [timed(pixels, colors, quantizer) for pixels in crops]
        rows.append({"name": name, "colors": colors, "tuned": _means(runs)})
        bar.update()
    return rows


def _variant(
    crops: Sequence[np.ndarray], colors: int, name: str, tuned: Mapping[str, Any], bar: tqdm[Any]
) -> dict[str, Any]:
    rates = {"published": FAITHFUL.learning_rate, "tuned": tuned["rate"], "early": tuned["early_rate"]}
    runs = {}
    for rate in sorted(set(rates.values())):
        runs[rate] = [[descended(each, colors, name, rate, seed) for seed in SEEDS] for each in crops]
        bar.update()
    row: dict[str, Any] = {"name": name, "colors": colors, "rates": rates, "logs": {}}
    row["tuning"] = {
        key: min(each[key] for each in tuned["curve"].values()) for key in ("objective", "early")
    }
    for key, rate in rates.items():
        row[key] = _means([run for each in runs[rate] for run in each])
        what = "early" if key == "early" else "objective"
        row["logs"][key] = [
            float(np.mean(np.log([max(run[what], 1e-12) for run in each]))) for each in runs[rate]
        ]
    return row


def _means(runs: Sequence[Outcome]) -> Outcome:
    return {key: float(np.mean([run[key] for run in runs])) for key in runs[0]}


def cells(
    crops: Sequence[np.ndarray], tuned: Mapping[int, Mapping[str, Any]], bar: tqdm[Any]
) -> list[dict[str, Any]]:
    """Measure the cells of the paper's table on mosaics.

    Args:
        crops: the pictures; the cells of one picture are the means over the pictures of the next mosaic.
        tuned: number of colours -> result of :func:`tune`.
        bar: progress.
    """
    rows = []
    for place, (columns, height) in enumerate(MOSAICS):
        count = columns * height
        if count > len(crops):
            break
        following = int(np.prod(MOSAICS[1])) if place == 0 else count
        pictures = [mosaic(crops[at : at + count], columns) for at in range(0, following, count)]
        for colors in STOCHASTIC["colors"]:
            cell = {"pictures": count, "pixels": pictures[0].size // 3, "colors": colors}
            methods: dict[str, Stochastic | KMeans] = {"published": _faithful(FAITHFUL.learning_rate)}
            if colors in tuned:
                methods["tuned"] = _faithful(tuned[colors]["sgd"]["rate"])
            methods |= {"stochastic": Stochastic(), "k-means": KMeans()}
            for name, quantizer in methods.items():
                cell[name] = _means([timed(pixels, colors, quantizer) for pixels in pictures])
            rows.append(cell)
            bar.update()
    return rows


def _faithful(rate: float) -> Stochastic:
    return Stochastic(settings=dataclasses.replace(FAITHFUL, learning_rate=rate), seed=SEEDS[0])


def mosaic(crops: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Join pictures of one size to one picture.

    Args:
        crops: the pictures.
        columns: pictures in a row.
    """
    rows = [np.hstack(crops[at : at + columns]) for at in range(0, len(crops), columns)]
    return np.vstack(rows)


def measured(crops: Sequence[np.ndarray]) -> dict[str, Any]:
    """Return the metrics of the record.

    Args:
        crops: the pictures; rates are chosen on the first, third and so on.
    """
    tuning, judging = crops[::2], crops[1::2]
    steps = len(COLORS) * (sum(map(len, RATES.values())) + 3 * len(METHODS)) + 15
    warm = crops[0][:40, :40].copy()
    for quantizer in (_faithful(FAITHFUL.learning_rate), Stochastic(), KMeans()):
        quantizer.quantize_pixels(warm, 4)  # compiled and loaded before the clock runs
    with tqdm(total=steps, desc="runs", disable=None) as bar:
        tuned = {colors: tune(tuning, colors, bar) for colors in COLORS}
        variants = [row for colors in COLORS for row in judge(judging, colors, tuned[colors], bar)]
        table = cells(judging, tuned, bar)
    parts = {"tuned": tuned, "variants": variants, "cells": table, "published": STOCHASTIC}
    return {"stochastic": parts}


def recorded(folder: Path, clock: Clock) -> Record:
    """Return the record of all measurements.

    Args:
        folder: the pictures.
        clock: runs since the start.
    """
    crops = read_crops(folder)
    return clock.record(
        "python tools/stochastic_table.py KODAK",
        n=len(crops) // 2,
        metrics=measured(crops),
        config={"crop": [WIDTH, HEIGHT], "tuning_pictures": -(-len(crops) // 2)},
        seeds={"published": SEEDS[0], "second": SEEDS[1]},
    )


def main(argv: list[str] | None = None) -> int:
    """Measure, and write the record."""
    return measure_folder(argv, "stochastic_table", __doc__, OUT, recorded)


if __name__ == "__main__":
    sys.exit(main())
