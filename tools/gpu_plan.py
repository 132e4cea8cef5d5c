"""Plan of measurements for half an hour on a GPU, in pieces of at most ten minutes, the most useful first.

``python tools/gpu_plan.py list`` tells the pieces in order of worth and how far each is; ``run`` does the
next ones. A piece that its time cuts off resumes at the next call. Each leaves record.json in a folder of its
own below --folder. ``predict`` tells how long the paper's training takes on an H200, from counted operations.
COLORCNN_DATA names the folder that holds cifar10-jpeg. ``--quick`` rehearses on a CPU at tiny sizes.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from colorcnn.errors import ColorCNNError, UsageError, unknown_name
from colorcnn.files import write_atomically
from colorcnn.records import Clock

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS = ROOT / "experiments" / "colorcnn"
SIZES = "2,4,8,16,32,64"
GRACE = 60.0
"""Seconds that a process has to save its work after it was told to stop."""


@dataclass(frozen=True)
class Piece:
    """A command, and what it is worth running for.

    Args:
        name: of its folder.
        worth: one line for whoever decides.
        command: makes the command line in the folder of all pieces.
        needs: files without which it cannot start, below that folder.
        resumes: where it goes on is its own affair; a piece that does not starts anew.
        config: the configuration a training is of; the piece is left out where there is no such file.
        result: the file of numbers that it leaves, below the folder of all pieces.
    """

    name: str
    worth: str
    command: Callable[[Path], list[str]]
    needs: tuple[str, ...] = ()
    resumes: bool = True
    config: Path | None = None
    result: str | None = None


def pieces(quick: bool = False) -> list[Piece]:
    """Return the pieces in order of worth; tiny ones for a rehearsal with ``quick``."""
    device = "cpu" if quick else "cuda"
    benchmark = [sys.executable, str(ROOT / "tools" / "benchmark_training.py"), "--device", device]
    tests = ["tests/gpu"] if quick else ["tests/gpu", "tests/reproduce/stages"]
    found = [
        Piece("environment", "which GPU, which versions, how fast it multiplies", _environment),
        Piece(
            "tests",
            "does the package do on this GPU what it does on a CPU",
            lambda _: [sys.executable, "-m", "pytest", "-q", *(str(ROOT / test) for test in tests)],
            resumes=False,
        ),
        Piece(
            "benchmark",
            "time and memory of a training step beside the reference",
            lambda folder: [
                *benchmark,
                "--out-dir",
                str(folder / "benchmark"),
                *(["--quick"] if quick else []),
            ],
            resumes=False,
            result="benchmark/results.json",
        ),
    ]
    return [*found, *(_tiny_trainings() if quick else _trainings())]


def _trainings() -> list[Piece]:
    judge, data = "cifar10-jpeg_resnet18", ("cifar10-jpeg", "0")
    last = f"runs/{judge}/checkpoints/last.ckpt"
    flagship = EXPERIMENTS / "cifar10-jpeg_resnet18_palette-attention.yaml"
    paper = EXPERIMENTS / "cifar10_resnet18_colorcnn-plus.yaml"
    made = [
        _training(judge, "the paper's classifier", EXPERIMENTS / "cifar10_resnet18.yaml", data),
        _training("flagship", "our recipe at the paper's size", flagship, data, judge=last),
        _training("paper", "ColorCNN+ as the paper trains it, 300 epochs", paper, data, judge=last),
    ]
    for name, method in (("flagship", "palette-attention"), ("paper", "colorcnn-plus")):
        made.append(_evaluation(name, method, last, "cifar10-jpeg"))
    return made


def _tiny_trainings() -> list[Piece]:
    conf = ROOT / "tests" / "conf"
    last = "runs/judge/checkpoints/last.ckpt"
    return [
        _training("judge", "a classifier in seconds", conf / "classifier.yaml"),
        _training("plus", "ColorCNN+ in seconds", conf / "colorcnn-plus.yaml", judge=last),
        _evaluation("plus", "colorcnn-plus", last, "photo-digits", "2,16", ("--limit", "32"), "cpu"),
    ]


def _training(
    name: str, worth: str, config: Path, data: tuple[str, str] | None = None, judge: str | None = None
) -> Piece:
    def command(folder: Path) -> list[str]:
        words = [sys.executable, "-m", "colorcnn", "fit", "--config", str(config), "--name", name]
        if data is not None:
            words += ["--data", "ImageFolder", "--data.init_args.path", data[0]]
            words += ["--data.init_args.val_size", data[1], "--data.init_args.batch_size", "128"]
        if judge is not None:
            words += ["--model.init_args.classifiers", f"[{judge}]"]
        if (folder / "runs" / name / "checkpoints" / "last.ckpt").exists():
            words += ["--ckpt_path", "last"]
        elif (folder / "runs" / name).exists():
            words += ["--force", "true"]  # cut off before the first epoch was saved
        return words

    needs = () if judge is None else (judge,)
    return Piece(name, worth, command, needs, config=config, result=f"runs/{name}/scores.jsonl")


def _evaluation(
    name: str,
    method: str,
    judge: str,
    data: str,
    sizes: str = SIZES,
    more: Sequence[str] = (),
    device: str = "cuda",
) -> Piece:
    last = f"runs/{name}/checkpoints/last.ckpt"

    def command(folder: Path) -> list[str]:
        methods = f"{method}:{last},median-cut,octree"
        words = [sys.executable, "-m", "colorcnn", "evaluate", data, "--classifier", judge]
        words += ["--methods", methods, "--colors", sizes, "--device", device, "--force", *more]
        return [*words, "--out", str(folder / f"evaluate-{name}" / "results")]

    result = f"evaluate-{name}/results/results.json"
    return Piece(f"evaluate-{name}", f"test accuracy of {name}", command, (judge, last), result=result)


def _environment(folder: Path) -> list[str]:
    del folder
    return [sys.executable, str(Path(__file__).with_name("gpu_environment.py"))]


def run_piece(piece: Piece, folder: Path, seconds: float) -> bool:
    """Run a piece for a time at most; returns whether it is done.

    Args:
        piece: what to run.
        folder: of all pieces.
        seconds: after which it is told to stop, and ends within another minute.
    """
    home, clock = folder / piece.name, Clock()
    home.mkdir(parents=True, exist_ok=True)
    command = piece.command(folder)
    with (home / "output.log").open("a") as log:
        log.write(f"$ {' '.join(command)}\n")
        log.flush()
        status = _run(command, folder, log, seconds)
    state = _state(folder, piece)
    state["seconds"] = round(state["seconds"] + clock.elapsed()[0], 1)
    state["runs"] += 1
    state["status"] = "done" if status == 0 else "cut off" if status is None else f"failed ({status})"
    write_atomically(home / "state.json", json.dumps(state, indent=1).encode())
    record = clock.record(
        " ".join(["python", "tools/gpu_plan.py", "run", "--only", piece.name]),
        n=1,
        metrics={**state, "result": _result(folder, piece)},
    )
    record.write(home / "record.json")
    return status == 0


def _run(command: list[str], folder: Path, log: Any, seconds: float) -> int | None:
    """The exit status, or None where the time was over."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)  # a training saves nothing half
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return None
    except BaseException:
        process.kill()
        process.wait()
        raise


def _result(folder: Path, piece: Piece) -> Any:
    """The numbers a piece has left so far, or the last lines that it said."""
    path = folder / (piece.result or "-")
    if path.suffix == ".jsonl" and path.exists():
        lines = path.read_text().splitlines()
        return {"epochs": len(lines), "last": json.loads(lines[-1])} if lines else None
    if path.exists():
        return json.loads(path.read_text())["metrics"]
    return (folder / piece.name / "output.log").read_text().splitlines()[-12:]


def _state(folder: Path, piece: Piece) -> dict[str, Any]:
    path = folder / piece.name / "state.json"
    return json.loads(path.read_text()) if path.exists() else {"status": "to do", "seconds": 0.0, "runs": 0}


def _obstacle(piece: Piece, folder: Path) -> str | None:
    """A reason why a piece cannot start now."""
    if piece.config is not None and not piece.config.exists():
        return f"there is no {piece.config.name}"
    missing = [name for name in piece.needs if not (folder / name).exists()]
    return f"needs {missing[0]}" if missing else None


def list_pieces(plan: Sequence[Piece], folder: Path) -> str:
    """One line for each piece: how far it is, its name and its worth."""
    lines = []
    for piece in plan:
        state = _state(folder, piece)
        obstacle = None if state["status"] == "done" else _obstacle(piece, folder)
        status = obstacle or state["status"]
        lines.append(f"{piece.name:24}{status:12} {state['seconds']:7.0f} s  {piece.worth}")
    return "\n".join(lines)


def run_plan(plan: Sequence[Piece], folder: Path, minutes: float, piece_minutes: float) -> list[str]:
    """Run the pieces that are not done, in order, while there is time; returns the names of those done now.

    Args:
        plan: the pieces.
        folder: of all pieces.
        minutes: for all together.
        piece_minutes: for one call of a piece.
    """
    end, done = time.monotonic() + 60 * minutes, []
    for piece in plan:
        left = end - time.monotonic() - GRACE
        if left <= 0 or _state(folder, piece)["status"] == "done" or _obstacle(piece, folder):
            continue
        print(f"{piece.name}: {piece.worth}", flush=True)
        if run_piece(piece, folder, min(left, 60 * piece_minutes - GRACE)):
            done.append(piece.name)
    return done


def main(argv: list[str] | None = None) -> int:
    """Tell, run or predict."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("action", choices=("list", "run", "predict"))
    add(
        "--folder",
        type=Path,
        default=Path("runs/gpu"),
        help="where pieces keep their work (default: %(default)s)",
    )
    add("--minutes", type=float, default=30, help="for all pieces together (default: %(default)s)")
    add("--piece-minutes", type=float, default=10, help="for one piece at a time (default: %(default)s)")
    add("--only", metavar="NAME", help="run this piece alone")
    add("--quick", action="store_true", help="rehearse on a CPU at tiny sizes")
    options = parser.parse_args(argv)
    try:
        plan = pieces(options.quick)
        if options.only is not None:
            names = [piece.name for piece in plan]
            if options.only not in names:
                raise unknown_name("piece", options.only, names)
            plan = [piece for piece in plan if piece.name == options.only]
        if min(options.minutes, options.piece_minutes) * 60 <= GRACE:
            raise UsageError(f"Give more than {GRACE / 60:g} minute: a piece needs that to save its work.")
        folder = options.folder.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        if options.action == "predict":
            from gpu_prediction import predict

            clock = Clock()
            metrics = {"gpu_prediction": predict()}
            clock.record("python tools/gpu_plan.py predict", n=0, metrics=metrics).write(
                folder / "prediction.json"
            )
            print(json.dumps(metrics, indent=1))
            return 0
        if options.action == "run":
            run_plan(plan, folder, options.minutes, options.piece_minutes)
        print(list_pieces(plan, folder))
    except ColorCNNError as error:
        print(f"gpu_plan: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
