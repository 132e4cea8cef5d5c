"""Quality against time of every quantizer, ours and its peers, in one run; how far each target was met.

``python tools/benchmark_quantizers.py KODAK_FOLDER`` quantizes kodim01.png .. kodim24.png to 2 .. 256 colours
with each, on one thread, and writes results.json (a record) and figure.png into --out-dir. Peers come with
``pip install colorcnn[bench]``; those that are missing are named and left out. Stopped, it goes on after the
last picture that was finished. The best palette known for each picture is searched for once and kept
(--cache; --prepare does nothing else). Times are CPU times: compare their ratios in one run.
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_variable] = "1"  # before the libraries start their threads

import argparse
import hashlib
import importlib.util
import json
import shlex
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from best_palettes import BestPalettes, default_cache
from large_pictures import AUTHORS, KINDS, METHODS, judge_large, judge_stochastic, read_kodak
from quantizer_peers import PEERS, Run, installed
from quantizer_targets import ANCHOR, JUDGED, SIZES, judge_table, line
from tqdm import tqdm

import colorcnn.quantizers
from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.files import write_atomically
from colorcnn.records import Clock
from colorcnn.reporting.markup import Table

PACKAGES = {
    "imagequant": "imagequant",
    "numba": "numba",
    "numpy": "numpy",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "scikit-learn": "sklearn",
}
"""Distributions whose version could change a result, and their modules."""


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; returns 0 whether or not targets are met, 1 where the pictures are missing."""
    options = _parse(argv)
    clock = Clock()
    try:
        pictures = {number: read_kodak(options.folder, number) for number in _numbers(options.images)}
        best = BestPalettes(options.cache)
        if options.prepare:
            _prepare(pictures, options.colors, best)
            return 0
        progress = Progress(options.out_dir / "progress.json", _settings(options))
        began_with = len(progress.done)
        _measure(pictures, options, _choose(options.methods), best, progress)
        _run_large(options, progress)
        cells = {number: progress.done[number] for number in pictures}
        targets = judge_table(cells, pictures, best).targets
        for part in progress.done.values():
            targets += part.get("targets", [])
        summary = summarise(cells, pictures, best)
        record = clock.record(
            shlex.join(["python", "tools/benchmark_quantizers.py", *map(_relative, argv or sys.argv[1:])]),
            n=len(pictures),
            metrics={"quantizers": summary, "sizes": options.colors, "targets": targets, "pictures": cells},
            config={**progress.settings, "parts_done_before": began_with},
        )
        record.write(options.out_dir / "results.json")
        write_atomically(options.out_dir / "figure.png", _draw(summary, options.colors))
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
    add("folder", type=Path, help="the folder of kodim01.png .. kodim24.png")
    add("--images", default="all", help="numbers such as 01,23, all, or judged (default: all)")
    add("--colors", default=",".join(map(str, SIZES)), help="numbers of colours (default: %(default)s)")
    add("--methods", default="all", help=f"some of: {'; '.join(PEERS)} (separated by ;, default: all)")
    add("--repeats", type=int, default=3, help="runs of which the fastest counts (default: 3; slow ones: 1)")
    add("--out-dir", type=Path, default=Path("runs/benchmark"), help="default: %(default)s")
    add("--cache", type=Path, default=default_cache(), help="what is known so far (default: %(default)s)")
    add("--prepare", action="store_true", help="search for the best palettes known and stop")
    add("--no-sq", dest="sq", action="store_false", help="leave out Stochastic Quantization on the mosaic")
    add("--no-large", dest="large", action="store_false", help="leave out the images of 50 megapixels")
    options = parser.parse_args(argv)
    options.colors = [int(word) for word in options.colors.split(",")]
    return options


def _numbers(images: str) -> list[str]:
    every = [f"{number:02}" for number in range(1, 25)]
    return {"all": every, "judged": list(JUDGED)}.get(images) or images.split(",")


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
        "packages": {name: version(name) for name in PACKAGES if importlib.util.find_spec(PACKAGES[name])},
        "sources": digest.hexdigest()[:16],
    }


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
    for number, pixels in pictures.items():
        searches = [best.best, best.best_of_ten] if number in JUDGED else [best.best]
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
    """Note by picture, method and number of colours the MSE and the CPU seconds."""
    left = [number for number in pictures if number not in progress.done]
    some = next(iter(pictures.values()))[:64, :64].copy()
    for run in runs.values() if left else ():  # compile and load before the clock runs
        for size in (2, 12, 40):
            run(some, size)
    with tqdm(total=len(left) * len(options.colors) * len(runs), unit="run", disable=None) as bar:
        for number in left:
            pixels = pictures[number]
            cells: dict[str, Any] = {name: {} for name in runs}
            for size in options.colors:
                for name, run in runs.items():
                    bar.set_postfix_str(f"kodim{number}, {size} colours, {name}")
                    seconds, (indices, palette) = _time(run, pixels, size, options.repeats)
                    error = float(((palette[indices].astype(np.float64) - pixels) ** 2).mean())
                    cells[name][str(size)] = {"mse": round(error, 5), "seconds": round(seconds, 5)}
                    best.offer(pixels, size, palette)
                    bar.update()
            progress.finish(number, cells)


def _time(run: Run, pixels: np.ndarray, size: int, repeats: int) -> tuple[float, Any]:
    """CPU seconds of the fastest of some runs, and the result; what takes a second is run once."""
    seconds = np.inf
    for _ in range(repeats):
        start = time.process_time()
        result = run(pixels, size)
        seconds = min(seconds, time.process_time() - start)
        if seconds > 1:
            break
    return seconds, result


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
    """By method and number of colours: ``mse``, ``above`` and ``milliseconds``, means over the pictures.

    ``above`` is by how many percent the mean error exceeds that of the best palettes known.
    """
    methods = next(iter(cells.values()))
    summary: dict[str, Any] = {name: {} for name in methods}
    for size in next(iter(methods.values())):
        known = np.mean([best.best(pixels, int(size)) for pixels in pictures.values()])
        for name in methods:
            row = [cell[name][size] for cell in cells.values()]
            error = float(np.mean([cell["mse"] for cell in row]))
            summary[name][size] = {
                "mse": round(error, 4),
                "above": round(float(100 * (error / known - 1)), 3),
                "milliseconds": round(1000 * float(np.mean([cell["seconds"] for cell in row])), 2),
            }
    return summary


def _report(summary: dict[str, Any], sizes: list[int], count: int) -> str:
    rows = []
    for name, row in summary.items():
        cells = (f"{row[str(size)]['above']:.1f}/{row[str(size)]['milliseconds']:.1f}" for size in sizes)
        rows.append([name, *cells])
    title = f"% above the best known / CPU ms, {count} images"
    return f"{title}\n{Table(['method', *map(str, sizes)], rows).text()}\n"


_OURS = {
    "Pillow MEDIANCUT": "median-cut",
    "Pillow MAXCOVERAGE": "max-coverage",
    "Pillow FASTOCTREE": "octree",
}
"""Name in the table -> method of the package, whose look it has in all figures."""


def _draw(summary: dict[str, Any], sizes: list[int]) -> bytes:
    """Draw error against time in the style of the reports, a panel for each number of colours."""
    from colorcnn.reporting.figures.canvas import Margins, new_panels, to_png
    from colorcnn.reporting.figures.style import LIGHT, styles

    columns = min(4, len(sizes) + 1)
    rows = -(-(len(sizes) + 1) // columns)
    figure, panels = new_panels(columns, rows, False, (4.0, 3.6), Margins(0.75, 0.25, 0.45, 0.6))
    methods = {name: _OURS.get(name, name) for name in summary}
    looks = styles(methods.values())
    for axes, size in zip(panels.flat, sizes):
        for name, row in summary.items():
            look, cell = looks[methods[name]], row[str(size)]
            axes.plot(
                cell["milliseconds"], max(cell["above"], 0.01), look.marker, color=look.color, markersize=7,
                label=name, zorder=3,
            )  # fmt: skip
        axes.set(xscale="log", yscale="log")
        axes.set_title(f"{size} colours", loc="left", color=LIGHT.ink, fontsize=11)
        axes.set_xlabel("CPU ms an image", color=LIGHT.ink, fontsize=10)
        axes.set_ylabel("MSE, % above the best known", color=LIGHT.ink, fontsize=10)
        axes.grid(axis="y", color=LIGHT.grid, linewidth=0.8)
        axes.tick_params(which="both", colors=LIGHT.muted, labelsize=9)
        for side, spine in axes.spines.items():
            spine.set_visible(side == "bottom")
            spine.set_color(LIGHT.muted)
    for spare in panels.flat[len(sizes) :]:
        spare.axis("off")
    handles, labels = panels.flat[0].get_legend_handles_labels()
    panels.flat[len(sizes)].legend(handles, labels, loc="center left", frameon=False, labelcolor=LIGHT.ink)
    return to_png(figure)


if __name__ == "__main__":
    sys.exit(main())
