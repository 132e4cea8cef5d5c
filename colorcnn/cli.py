"""The command ``colorcnn``: calls the module of a sub-command, and prints errors as one sentence.

Nothing heavy is imported here, so that ``colorcnn --help`` is fast.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
import warnings
from collections.abc import Iterator
from typing import NamedTuple

from colorcnn.commands.console import (
    TERMINATED,
    Terminated,
    open_missing_streams,
    printable,
    say,
    sigterm_interrupts,
)
from colorcnn.commands.messages import CURES, set_up_messages
from colorcnn.errors import ColorCNNError, UnknownName, cures, shortened
from colorcnn.version import __version__


class Command(NamedTuple):
    """A sub-command: its module has ``main(argv) -> int``."""

    module: str
    help: str
    passes_name: bool = False
    """True to pass the sub-command's own name as the first argument."""


COMMANDS = {
    "demo": Command("colorcnn.commands.demo", "train and compare methods on a built-in data set, in minutes"),
    "quantize": Command("colorcnn.commands.quantize", "reduce images to a few colours, as indexed PNG files"),
    "evaluate": Command("colorcnn.commands.evaluate", "measure a classifier's accuracy on quantized images"),
    "explore": Command("colorcnn.commands.explore", "compare images in few colours on a local page"),
    "report": Command("colorcnn.commands.report", "make one HTML page of tables and figures from records"),
    "reproduce": Command("colorcnn.commands.reproduce", "run a published experiment, and write its record"),
    "dcq": Command("colorcnn.commands.dcq", "compress a training set to few colours, in a store"),
    "compress": Command("colorcnn.commands.compress", "compress an image with a learned codec", True),
    "decompress": Command("colorcnn.commands.compress", "decompress such a file to a PNG image", True),
    "init": Command("colorcnn.commands.init", "write YAML files for training on a folder of images"),
    "publish": Command("colorcnn.commands.publish", "make a checkpoint folder from a run"),
    "export": Command("colorcnn.commands.export", "write a network as a graph for ONNX Runtime or PyTorch"),
    "fit": Command("colorcnn.commands.training", "train a network from a YAML file", True),
    "validate": Command("colorcnn.commands.training", "score a checkpoint on the validation split", True),
    "test": Command("colorcnn.commands.training", "score a checkpoint on the test split", True),
    "predict": Command("colorcnn.commands.training", "apply a checkpoint to images", True),
}

INTERRUPTED = 130  # exit status of a command that SIGINT ended, as shells report it
BROKEN_PIPE = 141  # exit status of a command that SIGPIPE ended


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the arguments; by default those of the process.

    Returns:
        The exit status: 0 for success, 1 if the work failed, 2 for an invalid request, 130 if interrupted,
        141 for a closed pipe, 143 if terminated.
    """
    open_missing_streams()
    set_up_messages()
    try:
        with _plain_warnings(), sigterm_interrupts():
            try:
                status = _dispatch(sys.argv[1:] if argv is None else argv)
            except SystemExit as stop:  # argparse raises it after --help or for a wrong option
                status = stop.code if isinstance(stop.code, int) else int(bool(stop.code))
        sys.stdout.flush()
    except ColorCNNError as error:
        say(f"error: {error}")
        return error.exit_code
    except (
        ModuleNotFoundError
    ) as error:  # such as PyTorch, where colorcnn was installed without its libraries
        library = (error.name or "colorcnn").partition(".")[0]
        if library == "colorcnn":
            raise
        say(f"error: {library} is not installed: install colorcnn with its libraries, pip install colorcnn.")
        return ColorCNNError.exit_code
    except KeyboardInterrupt as stop:
        ended = isinstance(stop, Terminated)
        say("terminated" if ended else "interrupted")
        return TERMINATED if ended else INTERRUPTED
    except BrokenPipeError:  # the reader of our output has ended
        _abandon_output()
        return BROKEN_PIPE
    except OSError as error:  # such as a full disk behind a redirection
        _abandon_output()
        what = f"{shortened(str(error.filename), 200)} could" if error.filename else "The output could"
        reason = error.strerror or str(error)
        say(
            f"error: {what} not be read or written ({reason}): "
            "check the path, its access rights and the free space."
        )
        return ColorCNNError.exit_code
    return status


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show warnings without their line of code, which does not help a user."""
    usual = warnings.formatwarning
    warnings.formatwarning = lambda message, *_: printable(f"colorcnn: warning: {message}\n")
    try:
        yield
    finally:
        warnings.formatwarning = usual


def _abandon_output() -> None:
    """Redirect standard output to the null device, so that the interpreter's final flush does not fail."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _dispatch(argv: list[str]) -> int:
    parser = _parser()
    if not argv:
        parser.print_help(sys.stderr)
        return 2
    if argv[0].startswith("-"):
        parser.parse_args(argv[:1])  # always ends the process, after --help and --version or with an error
    name, rest = argv[0], argv[1:]
    if name not in COMMANDS:
        raise UnknownName("command", name, COMMANDS)
    command = COMMANDS[name]
    module = importlib.import_module(command.module)
    with cures({**CURES, **getattr(module, "CURES", {})}):
        return module.main([name, *rest] if command.passes_name else rest)


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {command.help}" for name, command in COMMANDS.items()]
    parser = argparse.ArgumentParser(
        prog="colorcnn",
        usage="colorcnn COMMAND [OPTION ...]",
        description="Learn which few colours an image needs so that a frozen network still recognises it.",
        epilog="commands:\n"
        + "\n".join(lines)
        + "\n\n`colorcnn COMMAND --help` describes each, with examples.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"colorcnn {__version__}")
    return parser
