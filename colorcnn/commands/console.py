"""Standard input, output and error of a command: messages, results, and what to do where one is closed."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

from colorcnn.errors import UnknownName, UsageError

TERMINATED = 143
"""Exit status of a command that SIGTERM ended, as a shell reports it."""


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived. Whatever cleans up after Ctrl-C cleans up after this, too."""


@contextlib.contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM raise :class:`Terminated` in the main thread, so that work is cleaned up before the end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not interrupt the cleaning up
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def open_missing_streams() -> None:
    """Give closed standard streams a place to go.

    Otherwise the next file that is opened would get their numbers, and messages would be written into it.
    Reading a closed input and writing to a closed output fail as they should; messages vanish.
    """
    if sys.stdin is None:
        sys.stdin = _stand_in(0, os.O_WRONLY, "r")
    if sys.stdout is None:
        sys.stdout = _stand_in(1, os.O_RDONLY, "w")
    if sys.stderr is None:
        sys.stderr = _stand_in(2, os.O_WRONLY, "w")


def _stand_in(number: int, flags: int, mode: str) -> io.TextIOWrapper:
    try:
        os.fstat(number)
    except OSError:
        place = os.open(os.devnull, flags)
        if place != number:
            os.dup2(place, number)
            os.close(place)
    raw = io.FileIO(number, mode, closefd=False)
    buffer: Any = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
    return io.TextIOWrapper(buffer, errors="backslashreplace" if mode == "w" else None)


def printable(text: str) -> str:
    """Replace control characters, such as the ESC that a file's name may hold, by escapes like ``\\x1b``."""
    return "".join(
        letter if letter in "\n\t" or not (letter < " " or "\x7f" <= letter < "\xa0") else _escaped(letter)
        for letter in text
    )


def _escaped(letter: str) -> str:
    return f"\\x{ord(letter):02x}"


def say(message: str) -> None:
    """Print a message on standard error; one that nobody can receive is no reason to stop working."""
    try:
        _write(f"colorcnn: {printable(message)}", sys.stderr)
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        _discard(sys.stderr)


def _discard(stream: Any) -> None:
    """Let a stream that failed lead nowhere, so that the interpreter does not fail again at its end."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        number = stream.fileno()
        place = os.open(os.devnull, os.O_WRONLY)
        os.dup2(place, number)
        os.close(place)


class Results:
    """Prints results on standard output. A failure is kept, so that the work is done before it is told.

    On a terminal control characters are escaped. A pipe gets names as they are.
    """

    def __init__(self) -> None:
        self.failure: OSError | None = None

    def print(self, line: str) -> None:
        """Print one line, unless an earlier one failed."""
        if self.failure is not None:
            return
        stream = sys.stdout
        try:
            if isinstance(stream, io.TextIOWrapper):  # a file's name need not be valid text
                stream.reconfigure(errors="surrogateescape")
            _write(printable(line) if stream.isatty() else line, stream)
            stream.flush()
        except ValueError as error:  # the stream was closed by a caller
            self.failure = OSError(9, f"Standard output is closed: {error}")
        except OSError as error:
            self.failure = error

    def write(self, data: bytes) -> None:
        """Write a file's content."""
        try:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except OSError as error:
            self.failure = error

    def finish(self) -> None:
        """Raise the failure, if there was one."""
        if self.failure is not None:
            raise self.failure


def _write(line: str, stream: Any) -> None:
    """Write a line above the progress bars, if there are any."""
    if "tqdm" in sys.modules:
        from tqdm import tqdm

        with tqdm.external_write_mode(file=stream):
            stream.write(line + "\n")
    else:
        stream.write(line + "\n")


class Parser(argparse.ArgumentParser):
    """A parser whose messages hold no control characters."""

    def _print_message(self, message: str, file: Any = None) -> None:
        super()._print_message(printable(message), file)


def add_device_option(parser: argparse.ArgumentParser, default: str = "cpu") -> None:
    """Add ``--device``, alike in all commands.

    Args:
        parser: of a command.
        default: the device without the option.
    """
    parser.add_argument(
        "--device",
        default=default,
        action=_Device,
        metavar="auto|cpu|cuda|mps",
        help=f"where networks compute; auto takes a GPU where there is one, cuda:1 is the second (default: "
        f"{default})",
    )


def check_device(name: str) -> str:
    """Check the name of a device, without asking torch whether this machine has it.

    Raises:
        UsageError: no device has this name.
    """
    if re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]{1,4})?", name, re.ASCII) is None:
        raise UnknownName("device", name, ("auto", "cpu", "cuda", "cuda:1", "mps"))
    return name


class _Device(argparse.Action):
    """Keeps the name of a device, checked."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        setattr(namespace, self.dest, check_device(values))


def check_seed(seed: int) -> None:
    """Raise UsageError for a seed that NumPy's generators do not take."""
    if not 0 <= seed < 2**32:
        raise UsageError(f"--seed is {seed}: choose a whole number from 0 up, below 2**32.")
