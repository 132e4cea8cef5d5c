"""Time and memory of a training step, of its data and of an evaluation, beside a plain reference.

``python tools/benchmark_training.py`` runs both sides in turn, in one process, on the paper's networks and on
light ones, with 2, 16 and 64 colours. ``--quick`` does so at tiny sizes within a minute, to see that it runs.
It writes results.json (a record) and figure.png into --out-dir. The reference is training_reference.py.
Times are CPU milliseconds of one thread for each image; on a GPU they are milliseconds on the clock. Compare
their ratios within one run.
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before the libraries start their threads

import argparse
import shlex
import statistics
import sys
from pathlib import Path
from typing import Any

import torch
from training_sides import NETWORKS, Ours, Reference, Setting, Side
from training_targets import TARGETS, draw, judge, report

from colorcnn.data import PhotoDigits
from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.files import write_atomically
from colorcnn.records import Clock
from colorcnn.tasks.trainer import native_precision

EVALUATED = (2, 4, 8, 16, 32, 64)


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; returns 0 whether or not targets are met."""
    options = _parse(argv)
    clock = Clock()
    try:
        _check(options)
        torch.set_num_threads(options.threads)
        cells, evaluations = measure(options)
        targets = judge(cells, evaluations)
        record = clock.record(
            shlex.join(["python", "tools/benchmark_training.py", *(sys.argv[1:] if argv is None else argv)]),
            n=options.batch,
            metrics={"steps": cells, "evaluations": evaluations, "targets": targets},
            config={name: value for name, value in vars(options).items() if name != "out_dir"},
            seeds={"seed": options.seed},
            device=options.device,
        )
        record.write(options.out_dir / "results.json")
        write_atomically(options.out_dir / "figure.png", draw(cells))
        print(report(cells, evaluations), *(f"{name}: {line}" for name, line in targets.items()), sep="\n")
    except ColorCNNError as error:
        print(f"benchmark: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--networks", default=",".join(NETWORKS), help="some of: %(default)s")
    add("--colors", default="2,4,16,64", help="numbers of colours (default: %(default)s)")
    add("--batch", type=int, default=128, help="images in a batch (default: %(default)s)")
    add("--repeats", type=int, default=5, help="steps of which the median counts (default: %(default)s)")
    add("--threads", type=int, default=1, help="of a CPU (default: %(default)s)")
    add("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    add("--seed", type=int, default=0, help="of the weights and of what is drawn (default: %(default)s)")
    add("--quick", action="store_true", help="tiny networks, 8 images, one repeat: a rehearsal")
    add("--out-dir", type=Path, default=Path("runs/benchmark-training"), help="default: %(default)s")
    options = parser.parse_args(argv)
    options.networks = options.networks.split(",")
    options.colors = [int(word) for word in options.colors.split(",")]
    if options.quick:
        options.batch, options.repeats, options.networks = 8, 1, ["tiny"]
    return options


def _check(options: argparse.Namespace) -> None:
    for name in options.networks:
        if name not in NETWORKS and name != "tiny":
            raise UsageError(f"Unknown networks {name!r}: choose from {', '.join(NETWORKS)}.")
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        raise UsageError("There is no CUDA device here: measure with --device cpu.")
    for size in options.colors:
        if size < 2 or 256 % size:
            raise UsageError(
                f"{size} colours: the reference pools 256 channels; choose a power of two, 2..256."
            )


def measure(options: argparse.Namespace) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Run the sides in turn, step by step.

    Args:
        options: of the command line.

    Returns:
        One cell for networks, number of colours and side; and one for networks and side, of the evaluation.
    """
    data = PhotoDigits(train_size=2 * options.batch, validation_size=1, test_size=1)
    precision = native_precision(options.device)
    cells, evaluations = [], []
    for network in options.networks:
        setting = Setting(network, options.batch, options.device, options.seed, tuple(options.colors))
        sides: list[Side] = [Ours(setting, data, precision), Reference(setting, data)]
        if precision != "32-true":
            sides.append(Ours(setting, data, "32-true"))
        for size in options.colors:
            _say(f"{network} networks, {size} colours")
            found = _steps(sides, size, options.repeats)
            cells += [{"networks": network, "colors": size, **cell} for cell in found]
        _say(f"{network} networks, evaluation with {len(EVALUATED)} numbers of colours")
        evaluations += [{"networks": network, **cell} for cell in _evaluate(sides, options.repeats)]
    return cells, evaluations


def _steps(sides: list[Side], size: int, repeats: int) -> list[dict[str, Any]]:
    for side in sides:  # the first step compiles, allocates and chooses algorithms
        side.step(size)
    peaks = [side.peak_memory(size) for side in sides]
    laps: list[list[dict[str, float]]] = [[] for _ in sides]
    for _ in range(repeats):
        for side, lap in zip(sides, laps):
            lap.append(side.step(size))
    return [
        {"side": side.name, "milliseconds": _medians(lap), "peak_mib": round(peak, 1)}
        for side, lap, peak in zip(sides, laps, peaks)
    ]


def _medians(laps: list[dict[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for lap in laps for name in lap)
    return {name: round(statistics.median(lap.get(name, 0.0) for lap in laps), 4) for name in names}


def _evaluate(sides: list[Side], repeats: int) -> list[dict[str, Any]]:
    for side in sides:
        side.evaluate(EVALUATED)
    laps: list[list[float]] = [[] for _ in sides]
    for _ in range(repeats):
        for side, lap in zip(sides, laps):
            lap.append(side.evaluate(EVALUATED))
    return [
        {"side": side.name, "milliseconds": round(statistics.median(lap), 4)}
        for side, lap in zip(sides, laps)
    ]


def _say(text: str) -> None:
    print(f"benchmark: {text}", file=sys.stderr, flush=True)


__all__ = ["TARGETS", "main", "measure"]

if __name__ == "__main__":
    sys.exit(main())
