"""Quality against time of every quantizer, ours and its peers, in one run; how far each target was met.

``python tools/benchmark_quantizers.py KODAK_FOLDER`` quantizes kodim01.png .. kodim24.png to 2 .. 256 colours
with each, on one thread, and writes results.json (a record) and figure.svg into --out-dir. Peers come with
``pip install colorcnn[bench]``; those that are missing are named and left out. The best palette known for
each picture is searched for once and kept (--cache). Times are CPU times: compare their ratios in one run.
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_variable] = "1"  # before the libraries start their threads

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from best_palettes import BestPalettes, default_cache
from PIL import Image
from quantizer_peers import PEERS, Run, installed
from tqdm import tqdm

from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.files import write_atomically
from colorcnn.quantizers import QUANTIZERS
from colorcnn.quantizers.stochastic import Stochastic
from colorcnn.records import Clock

SIZES = (2, 4, 8, 16, 32, 64, 256)
JUDGED = ("01", "03", "05", "08", "13", "15", "20", "23")
"""The images of the specification's tables, on which targets are judged."""
ANCHOR = "Pillow MEDIANCUT"
AUTHORS = {4: 0.01200, 36: 0.001650}
"""MSE of the SQ authors' program on the mosaic."""
MEGAPIXELS = 50


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; returns 0 whether or not targets are met, 1 where the pictures are missing."""
    options = _parse(argv)
    clock = Clock()
    try:
        pictures = _load(options.folder, options.images)
        best = BestPalettes(options.cache)
        runs = _choose(options.methods)
        table = _measure(pictures, options.colors, runs, best, options.repeats)
        judgements = _judge(table, pictures, options.colors, best)
        if options.sq:
            judgements += _judge_stochastic(_mosaic(options.folder), best)
        if options.large:
            judgements += _judge_large(options.folder)
        print(_report(table, options.colors, best, pictures), *judgements, sep="\n")
        metrics = {"table": table, "targets": judgements}
        record = clock.record(
            "tools/benchmark_quantizers.py",
            n=len(pictures),
            metrics=metrics,
            config={"colors": options.colors},
        )
        record.write(options.out_dir / "results.json")
        write_atomically(options.out_dir / "figure.svg", _draw(table, options.colors, best, pictures))
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
    add("--no-sq", dest="sq", action="store_false", help="leave out Stochastic Quantization on the mosaic")
    add("--no-large", dest="large", action="store_false", help="leave out the image of 50 megapixels")
    add("--peak-of", nargs=2, metavar=("METHOD", "MEGAPIXELS"), help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.peak_of:
        _print_peak(options.folder, options.peak_of[0], int(options.peak_of[1]))
        raise SystemExit(0)
    options.colors = [int(word) for word in options.colors.split(",")]
    return options


def _load(folder: Path, images: str) -> dict[str, np.ndarray]:
    numbers = [f"{number:02}" for number in range(1, 25)]
    wanted = {"all": numbers, "judged": list(JUDGED)}.get(images) or images.split(",")
    return {number: _read(folder, number) for number in wanted}


def _read(folder: Path, number: str) -> np.ndarray:
    path = folder / f"kodim{number}.png"
    if not path.is_file():
        raise ColorCNNError(f"{path} does not exist: name the folder of the Kodak images.")
    return np.array(Image.open(path).convert("RGB"))


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
    pictures: dict[str, np.ndarray], sizes: list[int], runs: dict[str, Run], best: BestPalettes, repeats: int
) -> dict[str, Any]:
    """By method, size and picture: MSE and CPU seconds."""
    table: dict[str, Any] = {name: {str(size): {} for size in sizes} for name in runs}
    some = next(iter(pictures.values()))[:64, :64].copy()
    for run in runs.values():  # compile and load before the clock runs
        for size in (2, 40):
            run(some, size)
    with tqdm(total=len(pictures) * len(sizes) * len(runs), unit="run", disable=None) as bar:
        for number, pixels in pictures.items():
            for size in sizes:
                for name, run in runs.items():
                    seconds, (indices, palette) = _time(run, pixels, size, repeats)
                    error = float(((palette[indices].astype(np.float64) - pixels) ** 2).mean())
                    table[name][str(size)][number] = {"mse": error, "seconds": seconds}
                    best.offer(pixels, size, palette)
                    bar.update()
    return table


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


class _Judge:
    """Compares numbers with targets and says by how much one is missed."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def at_most(self, what: str, value: float, limit: float, unit: str = "") -> None:
        """Note whether a value lies within its limit."""
        met = value <= limit
        verdict = "met   " if met else f"MISSED by {value - limit:.3g}{unit}"
        self.lines.append(f"{verdict} {what}: {value:.4g}{unit}, at most {limit:.4g}{unit}")


def _judge(
    table: dict[str, Any], pictures: dict[str, np.ndarray], sizes: list[int], best: BestPalettes
) -> list[str]:
    """Compare each method with its targets on those judged images that were measured."""
    judge = _Judge()
    judged = {number: pictures[number] for number in JUDGED if number in pictures}
    for size in sizes if judged else ():
        known = {number: best.best(pixels, size) for number, pixels in judged.items()}
        cells = {name: [by_size[str(size)][number] for number in judged] for name, by_size in table.items()}
        error = {name: float(np.mean([cell["mse"] for cell in row])) for name, row in cells.items()}
        used = {name: float(np.mean([cell["seconds"] for cell in row])) for name, row in cells.items()}
        above = {
            name: 100 * (value / float(np.mean(list(known.values()))) - 1) for name, value in error.items()
        }
        if "k-means" in table:
            name = f"k-means, {size} colours"
            judge.at_most(f"{name}, above the best known", above["k-means"], _by(size, 1.0, 1.5, 2.0), " %")
            ratios = [cell["mse"] / mse for cell, mse in zip(cells["k-means"], known.values())]
            judge.at_most(f"{name}, worst image", 100 * (max(ratios) - 1), 4.0, " %")
            share = used["k-means"] / used[ANCHOR]
            judge.at_most(f"{name}, CPU of MEDIANCUT's", share, _by(size, 0.2, 0.35, 0.7), "x")
        if "k-means fast" in table:
            name = f"k-means fast, {size} colours"
            if "imagequant" in table:
                share = error["k-means fast"] / error["imagequant"]
                judge.at_most(f"{name}, MSE of imagequant's", share, 1.0, "x")
            share = used["k-means fast"] / used[ANCHOR]
            judge.at_most(f"{name}, CPU of MEDIANCUT's", share, _by(size, 0.15, 0.15, 0.4), "x")
        if "k-means best" in table:
            name = f"k-means best, {size} colours"
            judge.at_most(f"{name}, above the best known", above["k-means best"], 0.5, " %")
            if "scikit-learn, unique" in table:
                ten = float(np.mean([best.best_of_ten(pixels, size) for pixels in judged.values()]))
                judge.at_most(
                    f"{name}, MSE of ten restarts' of scikit-learn", error["k-means best"] / ten, 1.0, "x"
                )
            judge.at_most(
                f"{name}, slowest image", max(c["seconds"] for c in cells["k-means best"]), 1.0, " s"
            )
    return judge.lines


def _by(size: int, few: float, some: float, many: float) -> float:
    """The limit for up to 8 colours, up to 64, or more."""
    return few if size <= 8 else some if size <= 64 else many


def _mosaic(folder: Path) -> np.ndarray:
    """The stand-in for the paper's picture: six photographs, 1200 wide and 1206 high."""
    rows = [
        np.hstack([_read(folder, number) for number in pair])
        for pair in (("03", "23"), ("15", "05"), ("08", "20"))
    ]
    return np.vstack(rows)[:1206, :1200].copy()


def _judge_stochastic(pixels: np.ndarray, best: BestPalettes) -> list[str]:
    judge = _Judge()
    seeds = range(5)
    for size, anchor in AUTHORS.items():
        error, seconds = best.published(pixels, size)
        times, errors, faithful = [], [], []
        for seed in seeds:
            used, (indices, palette) = _time(Stochastic(seed=seed).quantize_pixels, pixels, size, 3)
            times.append(used)
            errors.append(float(((palette[indices] / 255 - pixels / 255) ** 2).mean()))
            faithful.append(Stochastic(preset="faithful", seed=seed).fit(pixels, size, checkpoints=2).mse)
        name = f"stochastic on the mosaic, {size} colours"
        judge.at_most(f"{name}, MSE of the published algorithm's", float(np.mean(errors)) / error, 1.0, "x")
        share = 1000 * float(np.mean(times)) / seconds
        judge.at_most(f"{name}, CPU in thousandths of the published algorithm's", share, 1.0)
        spread = f"{min(faithful):.6f} to {max(faithful):.6f} in {len(seeds)} seeds"
        away = 100 * abs(float(np.mean(faithful)) / anchor - 1)
        judge.at_most(f"{name}, faithful ({spread}) from the authors' {anchor}", away, 2.0, " %")
    return judge.lines


def _large(folder: Path, megapixels: int) -> np.ndarray:
    """A large picture: the mosaic repeated, a level or two of noise in each copy."""
    tile = _mosaic(folder)
    side = int((megapixels * 1e6) ** 0.5)
    picture = np.tile(tile, (-(-side // tile.shape[0]), -(-side // tile.shape[1]), 1))[:side, :side].copy()
    random = np.random.default_rng(0)
    for row in picture:  # in pieces, as the peak of memory is what is measured
        np.clip(
            row.astype(np.int16) + random.integers(-2, 3, row.shape, np.int16),
            0,
            255,
            out=row,
            casting="unsafe",
        )
    return picture


def _print_peak(folder: Path, method: str, megapixels: int) -> None:
    """In a process of its own: bytes a pixel above the decoded picture at the peak, and CPU seconds."""
    pixels = _large(folder, megapixels)
    quantizer = QUANTIZERS[method]()
    quantizer.quantize_pixels(pixels[:300, :300].copy(), 16)
    quantizer.quantize_pixels(pixels[:2100, :2100].copy(), 16)  # the way of large pictures is compiled, too
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    start = time.process_time()
    quantizer.quantize_pixels(pixels, 256)
    seconds = time.process_time() - start
    peak = (_status("VmHWM") - before) / (pixels.size / 3)
    print(json.dumps({"bytes": peak, "seconds": seconds}))


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def _judge_large(folder: Path) -> list[str]:
    judge = _Judge()
    for method in ("wu", "variance-cut", "k-means", "stochastic"):
        found = {}
        for megapixels in (MEGAPIXELS // 5, MEGAPIXELS):
            command = [sys.executable, __file__, str(folder), "--peak-of", method, str(megapixels)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[megapixels] = json.loads(done.stdout)
        large, small = found[MEGAPIXELS], found[MEGAPIXELS // 5]
        name = f"{method}, {MEGAPIXELS} megapixels, 256 colours"
        judge.at_most(f"{name}, peak memory above the picture", large["bytes"], 6.0, " bytes a pixel")
        judge.at_most(
            f"{name}, CPU of a fifth of it, five times", large["seconds"] / (5 * small["seconds"]), 1.0, "x"
        )
    return judge.lines


def _means(
    table: dict[str, Any], size: int, best: BestPalettes, pictures: dict[str, np.ndarray]
) -> dict[str, tuple[float, float]]:
    """By method: percent of mean MSE above the mean of the best known, and mean CPU milliseconds."""
    known = np.mean([best.best(pixels, size) for pixels in pictures.values()])
    found = {}
    for name, sizes in table.items():
        cells = [sizes[str(size)][number] for number in pictures]
        above = 100 * (np.mean([cell["mse"] for cell in cells]) / known - 1)
        found[name] = float(above), 1000 * float(np.mean([cell["seconds"] for cell in cells]))
    return found


def _report(
    table: dict[str, Any], sizes: list[int], best: BestPalettes, pictures: dict[str, np.ndarray]
) -> str:
    columns = {size: _means(table, size, best, pictures) for size in sizes}
    width = max(map(len, table))
    lines = [f"% above the best known / CPU ms, {len(pictures)} images"]
    lines.append(" " * width + "".join(f"{size:>15}" for size in sizes))
    for name in table:
        cells = (f"{columns[size][name][0]:.1f}/{columns[size][name][1]:.1f}" for size in sizes)
        lines.append(f"{name:{width}}" + "".join(f"{cell:>15}" for cell in cells))
    return "\n".join([*lines, ""])


def _draw(
    table: dict[str, Any], sizes: list[int], best: BestPalettes, pictures: dict[str, np.ndarray]
) -> bytes:
    """Quality against time, a panel for each number of colours."""
    import io

    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    columns = min(4, len(sizes))
    rows = -(-len(sizes) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(4.2 * columns, 3.8 * rows), squeeze=False)
    hues = plt.get_cmap("tab20").colors
    for place, axis in enumerate(axes.flat):
        if place >= len(sizes):
            axis.axis("off")
            continue
        for shade, (name, (above, ms)) in enumerate(_means(table, sizes[place], best, pictures).items()):
            ours = name.split()[0] in QUANTIZERS
            marker = "o" if ours else "x"
            axis.scatter(ms, max(above, 0.01), color=hues[shade % 20], marker=marker, label=name, zorder=3)
        axis.set(xscale="log", yscale="log", title=f"{sizes[place]} colours")
        axis.set(xlabel="CPU ms an image", ylabel="MSE, % above the best known")
        axis.grid(True, which="major", color="#e3e6ea")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)
    figure.tight_layout(rect=(0, 0.12 / rows, 1, 1))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(figure)
    return buffer.getvalue()


if __name__ == "__main__":
    sys.exit(main())
