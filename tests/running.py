"""Run `colorcnn` or other work in another process, and halt it at a known point, where a test interrupts it.

The processes are forked from a server that imports the libraries once, since importing them takes longer than
most of these tests.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["colorcnn.commands.lightning", "colorcnn.tasks.callbacks"])


class Running:
    """A process that does some work, such as :class:`subprocess.Popen`.

    Args:
        work: a function of a module. It may end with :class:`SystemExit`.
        arguments: its arguments, which can be pickled.
        cwd: the working folder.
        env: variables of the environment, beside those of this process.
    """

    def __init__(
        self,
        work: Callable[..., Any],
        *arguments: Any,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        number, name = tempfile.mkstemp(suffix=".stderr")
        os.close(number)
        self._told = Path(name)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **(env or {})}
        here = str(cwd or Path.cwd())
        self._process = _SERVER.Process(target=_be, args=(work, arguments, here, environment, name))
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """The exit status; negative: the signal that ended it; None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self._process.pid, number)

    def told(self) -> str:
        """Wait for the end, and return what it wrote to standard error."""
        self._process.join(timeout=300)
        assert self.returncode is not None, "it did not end within five minutes"
        try:
            return self._told.read_text()
        finally:
            self._told.unlink()


def run(argv: Sequence[Any], **options: Any) -> Running:
    """Start `colorcnn`.

    Args:
        argv: arguments of `colorcnn`.
        options: options of :class:`Running`.
    """
    return Running(_command, [str(word) for word in argv], **options)


def halt(argv: Sequence[Any], ready: Path, function: str, named: str = "", **options: Any) -> Running:
    """Start `colorcnn`, and return its process when it has halted.

    Args:
        argv: arguments of `colorcnn`.
        ready: a file that is created when the process halts.
        function: full name of a function. The process halts after its first call.
        named: halt after its first call with an argument, a text or a path, that contains this.
        options: options of :class:`Running`.
    """
    process = Running(_command, [str(word) for word in argv], (function, named, str(ready)), **options)
    while not ready.exists():
        assert process.returncode is None, f"it ended before it came to {function}: {process.told()}"
        time.sleep(0.01)
    return process


def _be(
    work: Callable[..., Any],
    arguments: Sequence[Any],
    folder: str,
    environment: Mapping[str, str],
    told: str,
) -> None:
    """Be the process."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in ((1, os.devnull), (2, told)):
        with open(path, "ab") as stream:
            os.dup2(stream.fileno(), number)
    work(*arguments)


def _command(argv: list[str], halted: tuple[str, str, str] | None = None) -> None:
    if halted is not None:
        _halt_after(*halted)
    from colorcnn.cli import main

    raise SystemExit(main(argv))


def _halt_after(function: str, named: str, ready: str) -> None:
    """Put a wrapper around a function that halts this process after a call."""
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
