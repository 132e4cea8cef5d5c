"""Standard input, output and error of a command, also if one of them is closed."""

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
from typing import Any, NoReturn

from colorcnn.errors import UnknownName, UsageError, did_you_mean, quoted, shortened, similar_name
from colorcnn.parallel import parse_workers

TERMINATED = 143
"""Exit status of a command that SIGTERM ended, as a shell reports it."""


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived. The code that cleans up after Ctrl-C also cleans up after SIGTERM."""


@contextlib.contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Context in which SIGTERM raises :class:`Terminated` in the main thread, so that work is cleaned up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second SIGTERM must not interrupt the cleaning up
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def open_missing_streams() -> None:
    """Open replacements for closed standard streams.

    Without them, the next file that is opened would get their file descriptors, and messages would be written
    into it. Reading a closed input and writing to a closed output fail. Messages to a closed error stream are
    lost.
    """
    if sys.stdin is None:
        sys.stdin = _replacement(0, os.O_WRONLY, "r")
    if sys.stdout is None:
        sys.stdout = _replacement(1, os.O_RDONLY, "w")
    if sys.stderr is None:
        sys.stderr = _replacement(2, os.O_WRONLY, "w")


def _replacement(number: int, flags: int, mode: str) -> io.TextIOWrapper:
    try:
        os.fstat(number)
    except OSError:
        null = os.open(os.devnull, flags)
        if null != number:
            os.dup2(null, number)
            os.close(null)
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
    """Print a message on standard error. A closed or broken stream is ignored."""
    try:
        _write(f"colorcnn: {printable(message)}", sys.stderr)
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        _discard(sys.stderr)


def _discard(stream: Any) -> None:
    """Redirect a failed stream to the null device, so that the interpreter does not fail at exit."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        number = stream.fileno()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, number)
        os.close(null)


class Results:
    """Output of results. A failure is kept and raised after the work.

    On a terminal, control characters are escaped. A pipe gets names unchanged.
    """

    def __init__(self) -> None:
        self.failure: OSError | None = None

    def print(self, line: str) -> None:
        """Print one line, unless an earlier line failed."""
        if self.failure is not None:
            return
        stream = sys.stdout
        try:
            if isinstance(stream, io.TextIOWrapper):  # file names can be invalid text
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
    """A parser that keeps the lines of its texts, takes no shortened options, and escapes control characters.

    An error is one sentence without the usage, which has many lines and would hide it. An unknown option is
    told before a missing one, with the most similar option.

    Args:
        options: of :class:`argparse.ArgumentParser`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse arguments, as argparse does, after a look at the names of all options.

        Args:
            args: the arguments; by default those of the process.
            namespace: as for argparse.

        Raises:
            UsageError: an option is unknown.
        """
        given = sys.argv[1:] if args is None else list(args)
        if self._subparsers is None:
            self._check_names(given[: given.index("--")] if "--" in given else given)
        return super().parse_known_args(given, namespace)

    def _check_names(self, given: list[str]) -> None:
        known = [name for name in self._option_string_actions if name.startswith("--")]
        for word in given:
            name = word.partition("=")[0]
            if name.startswith("--") and name not in known:
                hint = did_you_mean(similar_name(shortened(name), known))
                raise UsageError(
                    f"Unknown option {quoted(name)}{hint}",
                    f"`{self.prog} --help` lists the options",
                    code="unknown-option",
                    name=name,
                )

    def error(self, message: str) -> NoReturn:
        """End the process with one sentence."""
        self.exit(2, f"{self.prog}: error: {message}; `{self.prog} --help` lists the options.\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        super()._print_message(printable(message), file)


def add_root_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--root`` and ``--download``, the place of data sets, which are the same in all commands."""
    add = parser.add_argument
    add("--root", metavar="DIR", help="the data root (default: $COLORCNN_DATA, else data)")
    add("--download", action="store_true", help="download the data set if it is missing")


def add_device_option(
    parser: argparse.ArgumentParser, default: str = "cpu", *, several: bool = False
) -> None:
    """Add ``--device``, which is the same in all commands.

    Args:
        parser: the parser of a command.
        default: the default device.
        several: True if the command uses all GPUs of the machine.
    """
    gpus = "cuda is all GPUs, cuda:1 the second alone" if several else "cuda:1 is the second GPU"
    parser.add_argument(
        "--device",
        default=default,
        action=_Device,
        metavar="auto|cpu|cuda|mps",
        help=f"device of the networks; auto is a GPU if there is one, {gpus} (default: {default})",
    )


def add_parallel_option(parser: argparse.ArgumentParser, work: str) -> None:
    """Add ``--parallel``, which is the same in all commands.

    Args:
        parser: the parser of a command.
        work: words for the work that the workers do.
    """
    parser.add_argument(
        "--parallel",
        action=_Workers,
        metavar="N|dask://HOST:PORT|ray",
        help=f"{work} in N processes, or by the workers of a Dask or Ray cluster (default: in threads)",
    )


def check_device(name: str) -> str:
    """Check the name of a device. torch is not asked if the device exists.

    Raises:
        UsageError: no device has this name.
    """
    if re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]{1,4})?", name, re.ASCII) is None:
        raise UnknownName("device", name, ("auto", "cpu", "cuda", "cuda:1", "mps"))
    return name


class _Device(argparse.Action):
    """Action that checks and stores the name of a device."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        setattr(namespace, self.dest, check_device(values))


class _Workers(argparse.Action):
    """Action that reads and stores a choice of workers."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        try:
            setattr(namespace, self.dest, parse_workers(values))
        except UsageError as error:
            error.problem = f"--parallel is {quoted(values)}"
            raise


def check_seed(seed: int) -> None:
    """Raise UsageError if NumPy's generators do not accept a seed."""
    if not 0 <= seed < 2**32:
        raise UsageError(f"--seed is {seed}: choose a whole number from 0 up, below 2**32.")
