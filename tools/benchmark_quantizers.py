"""Quality against time of every quantizer, ours and its peers, in one run; how far each target was met.

``python tools/benchmark_quantizers.py FOLDER`` quantizes the pictures of a folder, such as Kodak's or CQ100,
to 2 .. 256 colours with each, on one thread, and writes results.json (a record) and figure.png into
--out-dir. Errors are MSE and DSSIM. Peers come with ``pip install colorcnn[bench]``; those that are missing
are named and left out. Stopped, it goes on after the last picture that was finished. The best palette known
for each picture is searched for once and kept (--cache; --prepare does nothing else). Times are CPU times,
with several threads times on the clock: compare their ratios in one run. The mosaic of Stochastic
Quantization and the images of 50 megapixels are made of Kodak's photographs, and left out of other folders.
"""

from __future__ import annotations

import argparse
import os

_early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
_early.add_argument("--threads", type=int, default=1)
THREADS = _early.parse_known_args()[0].threads
for _variable in (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"),
    *("RAYON_NUM_THREADS", "VIPS_CONCURRENCY"),
):
    os.environ[_variable] = str(THREADS)  # before the libraries start their threads

import hashlib
import importlib.util
import json
import math
import shlex
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from best_palettes import RESTARTS, BestPalettes, default_cache
from large_pictures import AUTHORS, KINDS, METHODS, judge_large, judge_stochastic
from quantizer_figure import draw
from quantizer_peers import PEERS, POWERS_OF_TWO, Run, installed
from quantizer_targets import ANCHOR, JUDGED, SIZES, judge_table, judged, line
from tqdm import tqdm

import colorcnn.quantizers
from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.evaluation.metrics import ssim
from colorcnn.files import write_atomically
from colorcnn.images import find_images, flatten, read_image
from colorcnn.records import Clock
from colorcnn.reporting.markup import Table

PACKAGES = {
    "imagequant": "imagequant",
    "numba": "numba",
    "numpy": "numpy",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "pyvips": "pyvips",
    "scikit-learn": "sklearn",
}
"""Distributions whose version could change a result, and their modules."""


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; returns 0 whether or not targets are met, 1 where the pictures are missing."""
    options = _parse(argv)
    clock = Clock()
    try:
        pictures = read_pictures(options.folder, options.images)
        best = BestPalettes(options.cache, options.restarts)
        if options.prepare:
            _prepare(pictures, options.colors, best)
            return 0
        progress = Progress(options.out_dir / "progress.json", _settings(options))
        began_with = len(progress.done)
        _measure(pictures, options, _choose(options.methods), best, progress)
        if any(name.startswith("kodim") for name in pictures):
            _run_large(options, progress)
        cells = {name: progress.done[name] for name in pictures}
        targets = judge_table(cells, pictures, best).targets if options.threads == 1 else []
        for part in progress.done.values():
            targets += part.get("targets", [])
        summary = summarise(cells, pictures, best)
        record = clock.record(
            shlex.join(["python", "tools/benchmark_quantizers.py", *map(_relative, argv or sys.argv[1:])]),
            n=len(pictures),
            metrics={
                "quantizers": summary,
                "sizes": options.colors,
                "threads": options.threads,
                "targets": targets,
                "pictures": cells,
            },
            config={**progress.settings, "parts_done_before": began_with},
            libraries=_versions(),
        )
        record.write(options.out_dir / "results.json")
        write_atomically(options.out_dir / "figure.png", draw(summary, options.colors))
        print(_report(summary, options.colors, len(pictures)), *map(line, targets), sep="\n")
    except ColorCNNError as error:
        print(f"benchmark: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("folder", type=Path, help="the folder of the pictures")
    add(
        "--images",
        default="all",
        help="names such as kodim01,kodim23; a number of pictures, spread evenly over the folder; judged for "
        "those of Kodak that targets are judged on; or all (default: all)",
    )
    add("--threads", type=int, default=1, help="of each library (default: 1)")
    add("--colors", default=",".join(map(str, SIZES)), help="numbers of colours (default: %(default)s)")
    add("--methods", default="all", help=f"some of: {'; '.join(PEERS)} (separated by ;, default: all)")
    add("--repeats", type=int, default=3, help="runs of which the fastest counts (default: 3; slow ones: 1)")
    add("--restarts", type=int, default=RESTARTS, help="searches for a best palette (default: %(default)s)")
    add("--out-dir", type=Path, default=Path("runs/benchmark"), help="default: %(default)s")
    add("--cache", type=Path, default=default_cache(), help="what is known so far (default: %(default)s)")
    add("--prepare", action="store_true", help="search for the best palettes known and stop")
    add("--no-sq", dest="sq", action="store_false", help="leave out Stochastic Quantization on the mosaic")
    add("--no-large", dest="large", action="store_false", help="leave out the images of 50 megapixels")
    options = parser.parse_args(argv)
    options.colors = [int(word) for word in options.colors.split(",")]
    return options


def read_pictures(folder: Path, images: str) -> dict[str, np.ndarray]:
    """Read pictures, without transparency.

    Args:
        folder: their folder.
        images: as --images has it.

    Returns:
        (H, W, 3) uint8 by the name of the file without its ending.
    """
    files = {path.stem: path for path in find_images(folder)}
    names = list(files)
    if images.isdecimal() and images not in files:
        names = [names[place * len(names) // int(images)] for place in range(min(int(images), len(names)))]
    elif images != "all":
        names = list(JUDGED) if images == "judged" else images.split(",")
    missing = next((name for name in names if name not in files), None)
    if missing is not None or not names:
        what = f"no picture {missing}" if missing is not None else "no pictures"
        raise ColorCNNError(f"{folder} has {what}: name the folder, and pictures that are there.")
    return {name: np.asarray(flatten(read_image(files[name]))) for name in names}


def _relative(word: str) -> str:
    """A word of the command line without the folders of the machine it was typed on."""
    return Path(word).name if Path(word).is_absolute() else word


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return the conditions of a measurement: parts of two runs go together only if they are the same."""
    digest = hashlib.sha256()
    for folder in (Path(colorcnn.quantizers.__file__).parent, Path(__file__).parent):
        for path in sorted(folder.glob("*.py")):
            digest.update(path.read_bytes())
    return {
        "colors": options.colors,
        "methods": options.methods,
        "repeats": options.repeats,
        "restarts": options.restarts,
        "threads": options.threads,
        "packages": _versions(),
        "sources": digest.hexdigest()[:16],
    }


def _versions() -> dict[str, str]:
    found = {name: version(name) for name in PACKAGES if importlib.util.find_spec(PACKAGES[name])}
    if "pyvips" in found:
        import pyvips

        found["libvips"] = ".".join(str(pyvips.version(place)) for place in range(3))
    return found


class Progress:
    """A file of the parts of a run that are finished, so that it can be stopped.

    Args:
        path: the JSON file.
        settings: of this run.

    Attributes:
        done: by name of the part.

    Raises:
        UsageError: the file is of a run with other settings.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self.path, self.settings = path, settings
        self.done: dict[str, Any] = {}
        if path.exists():
            before = json.loads(path.read_text())
            if before["settings"] != settings:
                raise UsageError(
                    f"{path} is of a run with other settings or sources: delete it or give another --out-dir."
                )
            self.done = before["done"]

    def finish(self, name: str, result: Any) -> None:
        """Take note of a part."""
        self.done[name] = result
        write_atomically(self.path, json.dumps({"settings": self.settings, "done": self.done}).encode())


def _prepare(pictures: dict[str, np.ndarray], sizes: list[int], best: BestPalettes) -> None:
    steps: list[tuple[Callable[[np.ndarray, int], float], np.ndarray, int]] = []
    chosen = judged(pictures)
    for name, pixels in pictures.items():
        searches = [best.best, best.best_of_ten] if name in chosen else [best.best]
        steps += [(search, pixels, size) for search in searches for size in sizes]
    for search, pixels, size in tqdm(steps, unit="search", disable=None):
        search(pixels, size)


def _choose(methods: str) -> dict[str, Run]:
    runs, missing = installed()
    if missing:
        print(f"missing, left out: {', '.join(missing)}", file=sys.stderr)
    if methods == "all":
        return runs
    names = [ANCHOR, *(name for name in methods.split(";") if name != ANCHOR)]
    unknown = [name for name in names if name not in PEERS]
    if unknown:
        raise UsageError(f"Unknown method {unknown[0]!r}: choose from {'; '.join(PEERS)}.")
    return {name: runs[name] for name in names if name in runs}


def _measure(
    pictures: dict[str, np.ndarray],
    options: argparse.Namespace,
    runs: dict[str, Run],
    best: BestPalettes,
    progress: Progress,
) -> None:
    """Note by picture, method and number of colours the MSE, the DSSIM and the seconds."""
    left = [name for name in pictures if name not in progress.done]
    some = next(iter(pictures.values()))[:64, :64].copy()
    for run in runs.values() if left else ():  # compile and load before the clock runs
        for size in (2, 12, 40):
            run(some, size)
    with tqdm(total=len(left) * len(options.colors), unit="run", disable=None) as bar:
        for picture in left:
            pixels = pictures[picture]
            cells: dict[str, Any] = {name: {} for name in runs}
            for size in options.colors:
                bar.set_postfix_str(f"{picture}, {size} colours")
                left_out = () if size & (size - 1) == 0 else POWERS_OF_TWO
                able = {name: run for name, run in runs.items() if name not in left_out}
                first = picture == left[0] and size == options.colors[0]
                found = _by_turns(able, pixels, size, options, least=2 if first else 1)
                for name, (seconds, (indices, palette)) in found.items():
                    errors = _errors(palette[indices], pixels)
                    cells[name][str(size)] = {**errors, "seconds": round(seconds, 5)}
                    best.offer(pixels, size, palette)
                bar.update()
            progress.finish(picture, cells)


def _by_turns(
    runs: dict[str, Run], pixels: np.ndarray, size: int, options: argparse.Namespace, least: int
) -> dict[str, tuple[float, Any]]:
    """Seconds of the fastest run of each method, and its result; what takes a second is run ``least`` times.

    The methods take turns, so that other work of the machine slows all of them. A method's first picture
    needs two runs, because code for large pictures is compiled in the first.
    """
    clock = time.process_time if options.threads == 1 else time.perf_counter
    found: dict[str, tuple[float, Any]] = {}
    for turn in range(max(options.repeats, least)):
        for name, run in runs.items():
            fastest = found[name][0] if name in found else np.inf
            if turn >= least and fastest > 1:
                continue
            start = clock()
            result = run(pixels, size)
            found[name] = (min(fastest, clock() - start), result)
    return found


def _errors(rendered: np.ndarray, pixels: np.ndarray) -> dict[str, float]:
    """Return the MSE in 0..255, and the DSSIM: (1 - SSIM) / 2."""
    pair = (torch.from_numpy(each.copy()).permute(2, 0, 1)[None] for each in (rendered, pixels))
    error = float(((rendered.astype(np.float64) - pixels) ** 2).mean())
    return {"mse": round(error, 5), "dssim": round((1 - float(ssim(*pair))) / 2, 6)}


def _run_large(options: argparse.Namespace, progress: Progress) -> None:
    parts: dict[str, Callable[[], Any]] = {}
    if options.sq:
        for size in AUTHORS:
            parts[f"stochastic {size}"] = lambda size=size: judge_stochastic(options.folder, size)
    if options.large:
        for method in METHODS:
            for kind in KINDS:
                parts[f"{method} {kind}"] = lambda method=method, kind=kind: judge_large(
                    options.folder, method, kind
                )
    left = {name: part for name, part in parts.items() if name not in progress.done}
    for name in (bar := tqdm(left, unit="part", disable=None)):
        bar.set_postfix_str(name)
        progress.finish(name, {"targets": left[name]().targets})


def summarise(
    cells: dict[str, Any], pictures: dict[str, np.ndarray], best: BestPalettes
) -> dict[str, dict[str, dict[str, float]]]:
    """Means over the pictures, by method and number of colours.

    ``mse``, ``dssim`` and ``milliseconds``; ``above`` is by how many percent the mean error exceeds that of
    the best palettes known. ``dssim`` is left out where a picture is too small for it.
    """
    methods = next(iter(cells.values()))
    summary: dict[str, Any] = {name: {} for name in methods}
    for size in next(iter(methods.values())):
        known = np.mean([best.best(pixels, int(size)) for pixels in pictures.values()])
        for name in (name for name in methods if size in methods[name]):
            row = [cell[name][size] for cell in cells.values()]
            error, dssim, seconds = (
                float(np.mean([cell[key] for cell in row])) for key in ("mse", "dssim", "seconds")
            )
            summary[name][size] = {
                "mse": round(error, 4),
                "above": round(float(100 * (error / known - 1)), 3),
                **({} if math.isnan(dssim) else {"dssim": round(dssim, 6)}),
                "milliseconds": round(1000 * seconds, 2),
            }
    return summary


def _report(summary: dict[str, Any], sizes: list[int], count: int) -> str:
    rows = []
    for name, row in summary.items():
        cells = (
            f"{cell['above']:.1f}/{cell['milliseconds']:.1f}" if (cell := row.get(str(size))) else "–"
            for size in sizes
        )
        rows.append([name, *cells])
    title = f"% above the best known / ms, {count} images"
    return f"{title}\n{Table(['method', *map(str, sizes)], rows).text()}\n"


if __name__ == "__main__":
    sys.exit(main())
