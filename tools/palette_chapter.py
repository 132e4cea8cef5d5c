"""The claims of the sample chapter of Palette Programming: growth of seeding, colour spaces, and its recipe.

``python tools/palette_chapter.py KODAK [--out FILE]`` measures three things on every second picture: the CPU
time of greedy k-means++ and of variance cut against the number of pixels and colours; the error of k-means in
four colour spaces; and the chapter's recipe beside its own alternatives and this package. Rows of
scikit-learn need ``pip install scikit-learn``. :mod:`colorcnn.reporting.verdicts.chapter` draws the verdicts.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before the libraries start their threads
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["NUMBA_NUM_THREADS"] = "1"

import numpy as np
import torch
from color_difference import ciede2000
from measuring import measure_folder
from PIL import Image
from tqdm import tqdm

from colorcnn.errors import ColorCNNError
from colorcnn.evaluation.metrics import ssim
from colorcnn.images import find_images, flatten, read_image
from colorcnn.quantizers import QUANTIZERS
from colorcnn.quantizers.boxes import variance_cut
from colorcnn.quantizers.histogram import Histogram
from colorcnn.quantizers.k_means import KMeans
from colorcnn.quantizers.seeding import plus_plus
from colorcnn.quantizers.spaces import SPACES, enter, leave
from colorcnn.records import Clock, Record

Result = tuple[np.ndarray, np.ndarray]
Run = Callable[[np.ndarray, int], Result]

OUT = Path("experiments/results/palette_chapter.json")
SEED = 123
"""The chapter's."""
SIDES = ((100, 149), (200, 298), (400, 596))
"""Short and long side of the pictures of the growth; the second is the chapter's Mona Lisa."""
GROWTH_COLORS = (16, 32, 64, 128, 256)
GROWTH_PICTURES = 2
SPACE_COLORS = (4, 16, 64, 256)
PEER_COLORS = (16, 64)
SHOWN = SIDES[1]


def read_pictures(folder: Path) -> list[np.ndarray]:
    """Read every second picture of a folder, (H, W, 3) uint8.

    Args:
        folder: the pictures.

    Raises:
        ColorCNNError: the folder has fewer than four pictures.
    """
    files = find_images(folder)
    if len(files) < 4:
        raise ColorCNNError(f"{folder} has {len(files)} pictures: name a folder of at least 4.")
    return [np.asarray(flatten(read_image(path))) for path in files[1::2]]


def resized(pixels: np.ndarray, sides: tuple[int, int]) -> np.ndarray:
    """Return a picture with the given short and long side.

    Args:
        pixels: (H, W, 3) uint8.
        sides: short and long side.
    """
    width, height = sides if pixels.shape[0] > pixels.shape[1] else sides[::-1]
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


def _unit(pixels: np.ndarray) -> np.ndarray:
    """Return pixels as the chapter does, (n, 3) float64 in [0, 1]."""
    rows: np.ndarray = pixels.reshape(-1, 3) / 255
    return rows


def _points(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    points = np.ascontiguousarray(pixels.reshape(-1, 3).T, np.float32)
    return points, np.ones(points.shape[1], np.float32)


def _unique(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    histogram = Histogram(pixels)
    return np.ascontiguousarray(histogram.colors.T, np.float32), histogram.counts.astype(np.float32)


def _greedy(points: np.ndarray, weights: np.ndarray, colors: int) -> np.ndarray:
    trials = 2 + int(np.log(colors))  # as many as scikit-learn
    centers = np.empty((3, colors), np.float32)
    plus_plus(points, weights, centers, 0, 2.0, trials, np.random.default_rng(SEED).random((colors, trials)))
    return centers


def _sklearn_seeding(pixels: np.ndarray, colors: int, trials: int | None) -> np.ndarray:
    from sklearn.cluster import kmeans_plusplus

    return kmeans_plusplus(_unit(pixels), colors, random_state=SEED, n_local_trials=trials)[0]


SEEDINGS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "scikit-learn, greedy k-means++": lambda pixels, colors: _sklearn_seeding(pixels, colors, None),
    "scikit-learn, k-means++ with one trial": lambda pixels, colors: _sklearn_seeding(pixels, colors, 1),
    "greedy k-means++": lambda pixels, colors: _greedy(*_points(pixels), colors),
    "greedy k-means++, unique colours": lambda pixels, colors: _greedy(*_unique(pixels), colors),
    "variance cut": lambda pixels, colors: variance_cut(*_points(pixels), colors),
    "variance cut, unique colours": lambda pixels, colors: variance_cut(*_unique(pixels), colors),
}
"""Name -> call that returns the first colours of an image."""


def recipe(pixels: np.ndarray, colors: int, *, space: str = "srgb", **options: Any) -> Result:
    """Quantize as the chapter does: scikit-learn's k-means on all pixels, then palette of bytes.

    Args:
        pixels: (H, W, 3) uint8.
        colors: K.
        space: colour space of the distances.
        **options: arguments of scikit-learn's KMeans that differ from the chapter's.
    """
    from sklearn.cluster import KMeans as SklearnKMeans

    chosen = {"init": "k-means++", "n_init": 1, "max_iter": 100, "tol": 1e-4, "random_state": SEED, **options}
    values = pixels.reshape(-1, 3).T
    points = _unit(pixels) if space == "srgb" else enter(values, space).T.astype(np.float64) / 255
    model = SklearnKMeans(colors, algorithm="lloyd", **chosen)
    labels = model.fit_predict(points).reshape(pixels.shape[:2])
    return labels, leave(255 * model.cluster_centers_.T, space)


def _recipe_unique(pixels: np.ndarray, colors: int) -> Result:
    from sklearn.cluster import KMeans as SklearnKMeans

    histogram = Histogram(pixels)
    model = SklearnKMeans(colors, n_init=1, max_iter=100, random_state=SEED)
    labels = model.fit_predict(_unit(histogram.colors), sample_weight=histogram.counts.astype(np.float64))
    return histogram.per_pixel(labels.astype(np.uint8)), leave(255 * model.cluster_centers_.T, "srgb")


def _mini_batch(pixels: np.ndarray, colors: int) -> Result:
    from sklearn.cluster import MiniBatchKMeans

    model = MiniBatchKMeans(colors, n_init=1, random_state=SEED)
    labels = model.fit_predict(_unit(pixels)).reshape(pixels.shape[:2])
    return labels, leave(255 * model.cluster_centers_.T, "srgb")


def _one_trial(pixels: np.ndarray, colors: int) -> Result:
    return recipe(pixels, colors, init=_sklearn_seeding(pixels, colors, 1))


def _cut(pixels: np.ndarray, colors: int) -> Result:
    seeds = variance_cut(*_unique(pixels), colors).T.astype(np.float64) / 255
    return recipe(pixels, colors, init=seeds)


PEERS: dict[str, Run] = {
    "the chapter's recipe": recipe,
    "recipe, variance cut as its start": _cut,
    "recipe, unique colours": _recipe_unique,
    "recipe, k-means++ with one trial": _one_trial,
    "recipe, ten random starts": lambda pixels, colors: recipe(pixels, colors, init="random", n_init=10),
    "scikit-learn, mini-batch": _mini_batch,
    "recipe in Oklab": lambda pixels, colors: recipe(pixels, colors, space="oklab"),
    "recipe in CIELAB": lambda pixels, colors: recipe(pixels, colors, space="cielab"),
    "variance-cut": QUANTIZERS["variance-cut"]().quantize_pixels,
    "k-means": KMeans().quantize_pixels,
    "k-means in Oklab": KMeans(space="oklab").quantize_pixels,
    "k-means best": KMeans(quality="best").quantize_pixels,
    "k-means best in Oklab": KMeans(quality="best", space="oklab").quantize_pixels,
}
"""Name -> call that returns indices and palette. Those of scikit-learn are named so, or recipes."""

_OWN = ("greedy k-means++", "variance", "k-means")


def available(calls: Mapping[str, Any]) -> dict[str, Any]:
    """Return the calls whose library is installed.

    Args:
        calls: :data:`SEEDINGS` or :data:`PEERS`.
    """
    there = importlib.util.find_spec("sklearn") is not None
    return {name: call for name, call in calls.items() if there or name.startswith(_OWN)}


def errors(pixels: np.ndarray, result: Result) -> dict[str, float]:
    """Return the errors of a quantized picture.

    Args:
        pixels: (H, W, 3) uint8.
        result: indices (H, W) and palette (K, 3) uint8.

    Returns:
        The mean squared error in levels of 255, the mean CIEDE2000, and the mean distance in Oklab, in
        hundredths.
    """
    indices, palette = result
    rendered = palette[indices]
    square = float(((rendered.astype(np.float64) - pixels) ** 2).mean())
    codes = (pixels.reshape(-1, 3).astype(np.int64) << np.array([24, 16, 8])).sum(axis=1)
    pairs, counts = np.unique(codes | indices.reshape(-1).astype(np.int64), return_counts=True)
    before = np.stack([pairs >> 24, pairs >> 16 & 255, pairs >> 8 & 255])
    after = palette[pairs & 255].T.astype(np.int64)
    difference = ciede2000(*(enter(colors, "cielab") for colors in (before, after)))
    apart = np.linalg.norm(enter(before, "oklab") - enter(after, "oklab"), axis=0) / 255
    means = [float(np.average(values, weights=counts)) for values in (difference, apart)]
    return {"mse": square, "ciede2000": means[0], "oklab": 100 * means[1]}


def similarity(pixels: np.ndarray, result: Result) -> float:
    """Return the structural similarity of a quantized picture to its original.

    Args:
        pixels: (H, W, 3) uint8.
        result: indices and palette.
    """
    indices, palette = result
    batches = [torch.from_numpy(each).permute(2, 0, 1)[None] for each in (palette[indices], pixels.copy())]
    return float(ssim(*batches)[0])


def clocked(run: Callable[..., Any], *arguments: Any, repeats: int = 1) -> tuple[Any, float]:
    """Return the result of a call and its CPU seconds, the least of some repeats.

    Args:
        run: the function.
        *arguments: its arguments.
        repeats: number of calls.
    """
    least = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        result = run(*arguments)
        least = min(least, time.process_time() - start)
    return result, least


def growth(pictures: Sequence[np.ndarray], bar: tqdm[Any]) -> dict[str, Any]:
    """Measure the time of every seeding, and how it grows.

    Args:
        pictures: the pictures.
        bar: progress.

    Returns:
        By name: ``rows`` of pixels, colours and seconds (the mean over the pictures), and the exponents of
        pixels and colours, fitted to the logarithms.
    """
    found = {}
    for name, seeding in available(SEEDINGS).items():
        rows = []
        for sides in SIDES:
            for colors in GROWTH_COLORS:
                sized = [resized(pixels, sides) for pixels in pictures]
                seconds = [clocked(seeding, pixels, colors, repeats=2)[1] for pixels in sized]
                row = {"pixels": sides[0] * sides[1], "colors": colors, "seconds": float(np.mean(seconds))}
                rows.append(row)
                bar.update()
        found[name] = {"rows": rows, **exponents(rows)}
    return found


def exponents(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Fit seconds = c * pixels**a * colours**b, and return a and b.

    Args:
        rows: pixels, colours and seconds.
    """
    pixels, colors, seconds = (np.log([row[key] for row in rows]) for key in ("pixels", "colors", "seconds"))
    slopes = np.linalg.lstsq(np.stack([np.ones_like(pixels), pixels, colors], axis=1), seconds, rcond=None)[0]
    return {"pixels": float(slopes[1]), "colors": float(slopes[2])}


def spaces(pictures: Sequence[np.ndarray], bar: tqdm[Any]) -> list[dict[str, Any]]:
    """Measure k-means in every colour space, on pictures of full size.

    Args:
        pictures: the pictures.
        bar: progress.

    Returns:
        Rows with the space, the number of colours and a list of each error over the pictures.
    """
    rows = []
    for space in SPACES:
        quantizer = KMeans(space=space)
        for colors in SPACE_COLORS:
            row: dict[str, Any] = {"space": space, "colors": colors}
            for pixels in pictures:
                result, seconds = clocked(quantizer.quantize_pixels, pixels, colors)
                found = {**errors(pixels, result), "ssim": similarity(pixels, result), "seconds": seconds}
                for key, value in found.items():
                    row.setdefault(key, []).append(value)
            rows.append(row)
            bar.update()
    return rows


def peers(pictures: Sequence[np.ndarray], bar: tqdm[Any]) -> list[dict[str, Any]]:
    """Measure the chapter's recipe, its alternatives and this package, on pictures of the chapter's size.

    Args:
        pictures: the pictures.
        bar: progress.

    Returns:
        Rows with the name, the number of colours and a list of each error over the pictures.
    """
    sized = [resized(pixels, SHOWN) for pixels in pictures]
    rows = []
    for name, run in available(PEERS).items():
        for colors in PEER_COLORS:
            row: dict[str, Any] = {"name": name, "colors": colors}
            for pixels in sized:
                result, seconds = clocked(run, pixels, colors)
                for key, value in {**errors(pixels, result), "seconds": seconds}.items():
                    row.setdefault(key, []).append(value)
            rows.append(row)
            bar.update()
    return rows


def measured(pictures: Sequence[np.ndarray]) -> dict[str, Any]:
    """Return the metrics of the record.

    Args:
        pictures: the pictures.
    """
    small = resized(pictures[0], (20, 30))
    for call in [*available(SEEDINGS).values(), *available(PEERS).values()]:
        call(small, 4)  # compiled and loaded before the clock runs
    for space in SPACES:
        KMeans(space=space).quantize_pixels(small, 20)
    steps = len(available(SEEDINGS)) * len(SIDES) * len(GROWTH_COLORS)
    steps += len(SPACES) * len(SPACE_COLORS) + len(available(PEERS)) * len(PEER_COLORS)
    with tqdm(total=steps, desc="rows", disable=None) as bar:
        parts = {
            "growth": growth(pictures[:GROWTH_PICTURES], bar),
            "spaces": spaces(pictures, bar),
            "peers": peers(pictures, bar),
        }
    return {"palette_chapter": parts}


def recorded(folder: Path, clock: Clock) -> Record:
    """Return the record of all measurements, on one thread.

    Args:
        folder: the pictures.
        clock: runs since the start.
    """
    torch.set_num_threads(1)
    pictures = read_pictures(folder)
    return clock.record(
        "python tools/palette_chapter.py KODAK",
        n=len(pictures),
        metrics=measured(pictures),
        config={
            "growth_pictures": min(GROWTH_PICTURES, len(pictures)),
            "growth_sides": [list(sides) for sides in SIDES],
            "peer_sides": list(SHOWN),
            "threads": 1,
        },
        seeds={"scikit-learn": SEED, "greedy k-means++": SEED, "k-means": 0},
        libraries=_libraries(),
    )


def main(argv: list[str] | None = None) -> int:
    """Measure, and write the record."""
    return measure_folder(argv, "palette_chapter", __doc__, OUT, recorded)


def _libraries() -> dict[str, str]:
    names = {"numba": "numba", "numpy": "numpy", "scikit-learn": "sklearn"}
    return {name: version(name) for name, module in names.items() if importlib.util.find_spec(module)}


if __name__ == "__main__":
    sys.exit(main())
