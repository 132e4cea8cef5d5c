"""Run the command line on thousands of damaged inputs, and count what a user must never see.

``python tools/fuzz.py --cases 20000`` prints a table and writes fuzz.json. A case is made of its number and
the seed alone: ``--only NUMBER`` repeats one, and shows its error. Cases run inside worker processes. For
each case the program counts:

- traceback: an exception left the command, or a traceback was printed;
- lost: a good input beside the damaged one has no output;
- slow: more than 5 seconds of processor time;
- fat: more than 1 GiB of memory above the start of the case;
- echo: a message that repeats more than 200 characters of a text file, or is longer than 1,000.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import multiprocessing
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from fuzz_cases import KINDS, copy_parts, kind_of, prepare

SECONDS = 5.0
"""Processor time of a case, at most."""

BYTES = 1 << 30
"""Memory of a case above its start, at most."""

_HARD_SECONDS = 60  # on the clock, for code that no signal interrupts
_ROOM = 6 << 30  # of address space above the start: the machine must survive
_LONGEST_LINE = 1_000
_LONGEST_QUOTATION = 200
_TEXTS = {".yaml", ".json", ".gpl", ".hex", ".pal"}


class Slow(BaseException):
    """The processor time of a case is used up."""


def run_case(number: int, seed: int, kind: str, intact: Path) -> dict[str, Any]:
    """Make a case in a folder of its own, run it in this process, and judge it.

    Args:
        number: of the case.
        seed: of the run.
        kind: a key of :data:`KINDS`.
        intact: the folder of intact inputs.

    Returns:
        The case, and the names of its failures.
    """
    draw = random.Random(f"{seed}-{number}")
    with tempfile.TemporaryDirectory(dir=intact.parent) as name:
        home = Path(name) / "home"
        copy_parts(kind, intact, home)
        argv, expected = KINDS[kind].make(draw, home)
        os.chdir(home)
        try:
            case = _run(argv)
        finally:
            os.chdir(intact)
        shown = case["output"] + "".join(case["error"])
        echoes = _echoes(case.pop("messages"), home)
        lost = [path for path in expected if not (home / path).exists()]
        harm = (home / "harm").exists()
    failures = {
        "traceback": bool(case["error"]) or "Traceback" in shown,
        "lost": bool(lost) and not case["error"] and case["status"] != 130,
        "slow": case["seconds"] > SECONDS,
        "fat": case["bytes"] > BYTES,
        "echo": echoes,
        "harm": harm,
    }
    command = [word.replace(str(home), "HOME")[:100] for word in argv]
    return {
        **case,
        "number": number,
        "kind": kind,
        "argv": command,
        "failures": [k for k, v in failures.items() if v],
    }


def _run(argv: list[str]) -> dict[str, Any]:
    from colorcnn.cli import main

    stdout, stderr = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="replace") for _ in range(2))
    before, start, error, status = _reset_peak(), time.process_time(), "", None
    signal.setitimer(signal.ITIMER_PROF, 2 * SECONDS)
    try:
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            status = main(list(argv))
    except Slow:
        error = ""
    except BaseException:  # whatever leaves the command is what is looked for
        error = traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    seconds = time.process_time() - start
    output, messages = "", ""
    for stream in (stdout, stderr):
        with contextlib.suppress(ValueError):  # closed
            stream.flush()
            messages = stream.buffer.getvalue().decode(errors="replace")  # type: ignore[attr-defined]
            output += messages
    peak = max(0, _memory("VmHWM") - before)
    return {
        "status": status,
        "seconds": round(seconds, 2),
        "bytes": peak,
        "error": error,
        "output": output[-4000:],
        "messages": messages,
    }


def _echoes(messages: str, home: Path) -> bool:
    """Tell whether a message repeats too much of a file, or of a command line."""
    lines = [line for line in messages.splitlines() if len(line) > _LONGEST_QUOTATION]
    files = [path for path in home.rglob("*") if path.suffix in _TEXTS and path.is_file()] if lines else []
    texts = [path.read_text(errors="replace") for path in files]
    step = _LONGEST_QUOTATION + 1
    return any(
        len(line) > _LONGEST_LINE
        or any(line[start : start + step] in text for start in range(len(line) - step + 1) for text in texts)
        for line in lines
    )


def _memory(field: str) -> int:
    """Return a size in bytes from /proc, or the peak of the process where there is none."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return 1024 * int(line.split()[1])
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _reset_peak() -> int:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def _work(pipe: Any, seed: int, kinds: list[str], intact: Path) -> None:
    """Run the cases whose numbers come through a pipe, and send each result back."""

    def stop(*_: object) -> None:
        raise Slow

    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # a case that reads standard input must not wait for it
    signal.signal(signal.SIGPROF, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (_memory("VmSize") + _ROOM, resource.RLIM_INFINITY))
    while (number := pipe.recv()) is not None:
        pipe.send(run_case(number, seed, kind_of(number, kinds), intact))


class _Worker:
    """A process that runs cases, replaced when a case ends or blocks it."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.number: int | None = None
        self.start()

    def start(self) -> None:
        self.pipe, other = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("fork").Process(
            target=_work, args=(other, *self.arguments)
        )
        self.process.start()
        other.close()

    def give(self, number: int) -> None:
        self.number, self.since = number, time.monotonic()
        self.pipe.send(number)

    def take(self) -> dict[str, Any] | None:
        """Return the result if there is one; a case that ended or blocked the process is slow, or ended."""
        blocked = time.monotonic() - self.since > _HARD_SECONDS
        try:
            if self.pipe.poll(0 if blocked else 0.05):
                return self.pipe.recv()
        except EOFError:
            blocked = True
        if not blocked:
            return None
        self.process.kill()
        self.process.join()
        kinds = self.arguments[1]
        code = self.process.exitcode
        self.start()
        failure = "slow" if time.monotonic() - self.since > _HARD_SECONDS else "traceback"
        case = {"number": self.number, "kind": kind_of(self.number or 0, kinds), "failures": [failure]}
        ended = {"status": code, "seconds": math.nan, "bytes": 0, "error": "the process ended"}
        return {**case, **ended, "argv": [], "output": ""}

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self.pipe.send(None)
        self.process.join(5)
        self.process.kill()


def fuzz(
    cases: int, seed: int, kinds: list[str], workers: int, seconds: float = math.inf
) -> list[dict[str, Any]]:
    """Run cases, and return what came of each.

    Args:
        cases: how many.
        seed: of all that is drawn.
        kinds: keys of :data:`KINDS`.
        workers: processes.
        seconds: time on the clock, after which no new case is begun.
    """
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        intact = Path(name) / "intact"
        intact.mkdir()
        os.environ["COLORCNN_CACHE"] = str(Path(name) / "cache")
        before = os.getcwd()
        prepare(intact)
        warm_up(intact)
        end = time.monotonic() + seconds
        crew = [_Worker(seed, kinds, intact) for _ in range(workers)]
        todo, busy, found = iter(range(cases)), 0, []
        try:
            for worker in crew:
                if (number := next(todo, None)) is not None:
                    worker.give(number)
                    busy += 1
            while busy:
                for worker in crew:
                    if worker.number is None or (result := worker.take()) is None:
                        continue
                    found.append(result)
                    number = next(todo, None) if time.monotonic() < end else None
                    worker.number = None
                    if number is None:
                        busy -= 1
                    else:
                        worker.give(number)
        finally:
            for worker in crew:
                worker.end()
            os.chdir(before)
    return sorted(found, key=lambda case: case["number"])


def warm_up(intact: Path) -> None:
    """Run commands that compile code: a case must not pay for that.

    Args:
        intact: the folder of intact inputs.
    """
    from colorcnn.cli import main

    picture, data = str(intact / "good.png"), str(intact / "data")
    quantize = ["quantize", picture, "--colors", "4", "-o", os.devnull, "--method"]
    commands = [
        ["dcq", "build", data, "-o", str(intact.parent / "warm"), "--jobs", "1", "--clusters", "2"],
        ["dcq", "build", data, "-o", str(intact.parent / "large"), "--jobs", "1", "--image-size", "256"],
        *([*quantize, method] for method in ("wu", "k-means", "variance-cut", "stochastic")),
        *([*quantize, "wu", "--dither", dither] for dither in ("floyd-steinberg", "ordered")),
        [*quantize, "k-means", "--space", "oklab", "--quality", "best"],
        [*quantize, "k-means", "--keep", "#ff0000"],
    ]
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        for argv in commands:
            main(argv)


def table(found: list[dict[str, Any]]) -> str:
    """Write the counts of failures by kind, as Markdown."""
    names = ("traceback", "lost", "slow", "fat", "echo", "harm")
    lines = [
        f"| input | cases | {' | '.join(names)} | slowest (s) | most memory (MiB) |",
        f"|---|{'--:|' * (len(names) + 3)}",
    ]
    for kind in (*KINDS, "all"):
        cases = [case for case in found if kind in (case["kind"], "all")]
        if not cases:
            continue
        counts = Counter(failure for case in cases for failure in case["failures"])
        times = [case["seconds"] for case in cases if not math.isnan(case["seconds"])]
        row = [kind, len(cases), *(counts[name] for name in names)]
        row += [f"{max(times, default=0):.1f}", max(case["bytes"] for case in cases) >> 20]
        lines.append(f"| {' | '.join(map(str, row))} |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Run the program; returns 1 where a case failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=20_000, metavar="N", help="how many (default: 20000)")
    parser.add_argument(
        "--seconds", type=float, default=math.inf, metavar="S", help="begin no case later (default: no limit)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of all that is drawn (default: 0)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="default: all")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes (default: 2)")
    parser.add_argument("--only", type=int, metavar="NUMBER", help="repeat this case of --kinds, and show it")
    parser.add_argument(
        "-o", "--out", type=Path, default=Path("fuzz.json"), metavar="FILE", help="default: fuzz.json"
    )
    options = parser.parse_args(argv)
    if options.only is not None:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
            intact = Path(name) / "intact"
            intact.mkdir()
            os.environ["COLORCNN_CACHE"] = str(Path(name) / "cache")
            prepare(intact)
            warm_up(intact)
            case = run_case(options.only, options.seed, kind_of(options.only, options.kinds), intact)
            print(*case["argv"], case["output"], case["error"], case["failures"], sep="\n")
            os.chdir("/")
        return int(bool(case["failures"]))
    start = time.monotonic()
    found = fuzz(options.cases, options.seed, options.kinds, options.workers, options.seconds)
    print(table(found))
    failed = [case for case in found if case["failures"]]
    for case in failed[:50]:
        last = (case["error"] or case["output"]).strip().splitlines()[-1:] or [""]
        print(f"{case['number']} {case['kind']} {','.join(case['failures'])}: {last[0][:160]}")
    summary = {"seed": options.seed, "cases": len(found), "wall_seconds": round(time.monotonic() - start, 1)}
    options.out.write_text(json.dumps({**summary, "failed": failed}, indent=1) + "\n")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
