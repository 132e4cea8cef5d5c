"""Run `colorcnn` in another process, and halt it at a known point, where a test interrupts it.

The other process runs this file: it puts a wrapper around a function, and then calls the command line.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

TESTS = Path(__file__).resolve().parent


def halt(
    argv: Sequence[Any], ready: Path, function: str, named: str = "", **options: Any
) -> subprocess.Popen:
    """Start `colorcnn`, and return its process when it has halted.

    Args:
        argv: arguments of `colorcnn`.
        ready: a file that is created when the process halts.
        function: full name of a function. The process halts after its first call.
        named: halt after its first call with an argument, a text or a path, that contains this.
        options: of the process.
    """
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **options.pop("env", {})}
    command = [sys.executable, __file__, str(ready), function, named, *map(str, argv)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, **options)
    while not ready.exists():
        assert process.poll() is None, f"it ended before it came to {function}: {process.communicate()[1]}"
        time.sleep(0.01)
    return process


def _main(ready: str, function: str, named: str, *argv: str) -> int:
    owner, _, name = function.rpartition(".")
    holder = resolve_name(owner)
    original = getattr(holder, name)

    def halting(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if not named or any(named in str(each) for each in args if isinstance(each, str | Path)):
            Path(ready).touch()
            while True:
                time.sleep(1)  # until the test sends a signal
        return result

    setattr(holder, name, halting)
    from colorcnn.cli import main

    return main(list(argv))


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
