"""Kill commands with ``kill -9`` at random moments, repeat them, and compare with an uninterrupted run.

``python tools/kill_test.py`` kills each of five commands four times, prints a table and writes
kill_test.json. A command passes if the same command, given again, ends with status 0 and leaves the same
files. Compared are the bytes of all files, but of times: records without dates and durations, checkpoints by
their weights and steps. A figure or a page that shows times need only be there. Logs of TensorBoard and files
of the runs themselves (locks, states) are left out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from fuzz_cases import prepare

_ATTEMPTS = 3
_TIMES = re.compile(r"seconds|date|time|per_second|speed|git|command")
_LEFT_OUT = re.compile(r"events\.out|\.lock$|/locks/|state\.json$|progress")
_SHOW_TIMES = ("out/figure.png", "out/report.html")  # of evaluate: the date and the speed
_FIT = {
    "kind": "fit",
    "model": {
        "class_path": "ClassifierTask",
        "init_args": {"network": "resnet9", "network_kwargs": {"width": 4}, "learning_rate": 0.05},
    },
    "data": {
        "class_path": "PhotoDigits",
        "init_args": {"train_size": 96, "validation_size": 32, "test_size": 32, "batch_size": 32},
    },
    "trainer": {"max_epochs": 4, "accelerator": "cpu"},
}
_EXPERIMENT = {
    "kind": "experiment",
    "title": "Two stages",
    "sizes": {
        "cpu": {
            "time": "a minute",
            "stages": [
                {"name": "judge", "kind": "fit", "config": _FIT},
                {
                    **{
                        "name": "accuracy",
                        "kind": "evaluate",
                        "data": _FIT["data"],
                        "classifier": "${judge}",
                    },
                    **{"colors": [2, 4], "methods": {"median-cut": "median-cut"}},
                },
            ],
        }
    },
}
COMMANDS: dict[str, list[str]] = {
    "quantize": [
        *("quantize", "images", "--colors", "4", "--method", "wu"),
        *("--out-dir", "out", "--skip-existing"),
    ],
    "dcq build": ["dcq", "build", "data", "-o", "out", "--jobs", "1"],
    "fit": ["fit", "--config", "fit.yaml", "--name", "out"],
    "evaluate": [
        *("evaluate", "data", "--classifier", "checkpoints/toy-net", "--methods", "median-cut,wu"),
        *("--colors", "2,4", "-o", "out"),
    ],
    "reproduce": ["reproduce", "experiment.yaml", "-o", "out", "--results", "out/results"],
}
"""The commands, run in a folder of small inputs; each writes below ``out`` or ``runs/out``."""


def prepare_inputs(home: Path) -> None:
    """Make the inputs of all commands in an empty folder."""
    prepare(home)
    shutil.rmtree(home / "images")
    shutil.rmtree(home / "store")
    (home / "images").mkdir()
    for number in range(40):
        shutil.copy(home / "good.png", home / "images" / f"{number:02d}.png")
    (home / "fit.yaml").write_text(yaml.safe_dump(_FIT))
    (home / "experiment.yaml").write_text(yaml.safe_dump(_EXPERIMENT))


def start(argv: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """Start a command in a group of processes of its own.

    Args:
        argv: its arguments.
        folder: where it runs.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLORCNN_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "colorcnn", *argv]
    log = (folder / "log.txt").open("ab")
    with log:
        return subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )


def contents(folder: Path) -> dict[str, str]:
    """Return the digest of each result below a folder, times left out.

    Args:
        folder: where a command ran.
    """
    found = {}
    for root in (folder / "out", folder / "runs"):
        for path in sorted(root.rglob("*")):
            name = str(path.relative_to(folder))
            if path.is_file() and not _LEFT_OUT.search(name):
                found[name] = hashlib.sha256(_without_times(path)).hexdigest()
    return found


def _without_times(path: Path) -> bytes:
    if path.suffix == ".json":
        return json.dumps(_timeless(json.loads(path.read_text())), sort_keys=True).encode()
    if path.suffix == ".jsonl":
        lines = [_timeless(json.loads(line)) for line in path.read_text().splitlines()]
        return json.dumps(lines, sort_keys=True).encode()
    if path.suffix == ".ckpt":
        import torch

        content = torch.load(path, weights_only=True, map_location="cpu")
        weights = b"".join(value.numpy().tobytes() for _, value in sorted(content["state_dict"].items()))
        return weights + str(content["global_step"]).encode()
    return path.read_bytes()


def _timeless(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _timeless(item) for key, item in value.items() if not _TIMES.search(key)}
    return [_timeless(item) for item in value] if isinstance(value, list) else value


def run_trial(argv: list[str], folder: Path, seconds: float) -> dict[str, Any]:
    """Kill a command, repeat it, and tell how it ended.

    Args:
        argv: its arguments.
        folder: of its inputs.
        seconds: from its start until it is killed.

    Returns:
        ``killed``: it was still running; ``status``: of the last attempt; ``attempts``: how many it took;
        ``last``: its last message; ``files``: see :func:`contents`.
    """
    process = start(argv, folder)
    killed = False
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        killed = True
    status, attempts, words = process.wait(), 0, list(argv)
    while killed and status != 0 and attempts < _ATTEMPTS:
        attempts += 1
        status = start(words, folder).wait()
        if status == 2 and "--ckpt_path" in _last(folder) and "--ckpt_path" not in words:
            words += ["--ckpt_path", "last"]  # what the message of fit says
            status = start(words, folder).wait()
    found = {"killed": killed, "status": status, "attempts": attempts}
    return {**found, "last": _last(folder), "files": contents(folder)}


def _last(folder: Path) -> str:
    lines = (folder / "log.txt").read_text(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else ""


def test_command(name: str, inputs: Path, kills: int, draw: random.Random) -> dict[str, Any]:
    """Run a command once without interruption, then kill it several times.

    Args:
        name: a key of :data:`COMMANDS`.
        inputs: the folder of inputs.
        kills: how often it is killed.
        draw: gives the moments.

    Returns:
        How many trials gave the same files, and for the others what differs.
    """
    folder = inputs.parent / "work"  # of one name for all runs: some files hold their path
    seen: dict[str, set[str]] = {}
    seconds = 0.0
    for _ in range(2):  # the first run may compile
        shutil.copytree(inputs, folder)
        begun = time.monotonic()
        status = start(COMMANDS[name], folder).wait()
        seconds, found = time.monotonic() - begun, contents(folder)
        if status != 0 or not found:
            raise SystemExit(f"{name} ended with status {status}: {_last(folder)}")
        for each, value in found.items():
            seen.setdefault(each, set()).add(value)
        shutil.rmtree(folder)
    trials: list[dict[str, Any]] = []
    while len(trials) < kills:
        shutil.copytree(inputs, folder)
        moment = draw.uniform(0.1, 1.0) * seconds
        trial = run_trial(COMMANDS[name], folder, moment)
        files = trial.pop("files")
        unlike = {
            each for each, value in files.items() if len(seen.get(each, ())) == 1 and value not in seen[each]
        }
        trial["differing"] = sorted(unlike | (seen.keys() ^ files.keys()))
        if trial["killed"]:  # else it was faster than before
            trials.append({"seconds": round(moment, 2), **trial})
        shutil.rmtree(folder)
    same = sum(trial["status"] == 0 and not trial["differing"] for trial in trials)
    timed = sorted(each for each, values in seen.items() if len(values) > 1 or each in _SHOW_TIMES)
    result = {"command": name, "seconds": round(seconds, 1), "files": len(seen), "only_present": timed}
    return {**result, "kills": len(trials), "same": same, "trials": trials}


def main(argv: list[str] | None = None) -> int:
    """Run the program; returns 1 where a command left other files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=4, metavar="N", help="of each command (default: 4)")
    parser.add_argument(
        "--commands", nargs="+", choices=COMMANDS, default=list(COMMANDS), help="default: all"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the moments (default: 0)")
    parser.add_argument("-o", "--out", type=Path, default=Path("kill_test.json"), metavar="FILE")
    options = parser.parse_args(argv)
    draw, results = random.Random(options.seed), []
    print("| command | seconds | files | with times | kills | same files |\n|---|--:|--:|--:|--:|--:|")
    for name in options.commands:
        with tempfile.TemporaryDirectory(prefix="kill-") as folder:
            inputs = Path(folder) / "inputs"
            inputs.mkdir()
            prepare_inputs(inputs)
            result = test_command(name, inputs, options.kills, draw)
        results.append(result)
        row = [*(result[key] for key in ("command", "seconds", "files")), len(result["only_present"])]
        row.append(result["kills"])
        print(f"| {' | '.join(map(str, row))} | {result['same']} of {options.kills} |", flush=True)
        options.out.write_text(json.dumps({"seed": options.seed, "commands": results}, indent=1) + "\n")
        for trial in result["trials"]:
            if trial["status"] != 0 or trial["differing"]:
                print(f"  {trial}", file=sys.stderr, flush=True)
    return int(any(result["same"] < options.kills for result in results))


if __name__ == "__main__":
    sys.exit(main())
