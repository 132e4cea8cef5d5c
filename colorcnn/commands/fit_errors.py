"""Clear messages for errors of a training, and filters for Lightning's own messages."""

from __future__ import annotations

import argparse
import contextlib
import errno
import inspect
import logging
import re
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from jsonargparse.typing import import_object

from colorcnn.commands.config_classes import denied_import
from colorcnn.commands.fit_arguments import COMMON, OWN, PLACES, resuming_command
from colorcnn.errors import ColorCNNError, UsageError, did_you_mean, quoted, shortened, similar_name
from colorcnn.reproduce.yaml_file import read_yaml

_NOISE = (  # messages of Lightning that are of no use to the user
    ".*does not have many workers.*",
    ".*Checkpoint directory .* exists and is not empty.*",
    ".*Experiment logs directory .* exists and is not empty.*",
    ".*LightningCLI's args parameter.*",
    ".*isinstance.treespec, LeafSpec.*",
    ".*smaller than the logging interval.*",
    ".*You have overridden `on_(before|after)_batch_transfer`.*",
    ".*module.s. in eval mode.*",  # the frozen classifiers
)
_UNKNOWN = re.compile(
    r"does not accept option '([^']+)'|unrecognized arguments: --([^\s=]+)"
    r"|class_path '([^']+)':\s*Option '([^']+)' is not accepted"
)
"""The parser's messages for an unknown option: in a file, on the command line, and of a class."""
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LAYOUT = ("Does not validate", "Subtypes:", "Errors:", "Given value type", "Expected a <class 'NoneType'>")
"""Beginnings of the lines around the line with the problem in the parser's messages."""


def explained(error: Exception, argv: Sequence[str], last: Path) -> Exception:
    """Return a clear error if the user can fix the problem, else the error itself.

    Args:
        error: the error of a training.
        argv: the sub-command and its options.
        last: the last checkpoint of the run.
    """
    full = next((cause for cause in _causes(error) if getattr(cause, "errno", None) in _DISK_FULL), None)
    if isinstance(full, OSError):
        return ColorCNNError(
            f"The disk is full ({full.strerror}), {kept(argv, last, 'free some space and ')}."
        )
    # The parser wraps our own error when a class could not be built.
    ours = next((cause for cause in _causes(error) if isinstance(cause, ColorCNNError)), None)
    if ours is not None and "Original Traceback" in str(ours):  # from a process that loads data
        kind = UsageError if isinstance(ours, UsageError) else ColorCNNError
        ours = kind(str(ours).strip().splitlines()[-1].partition(": ")[2])
    ours = denied_import(str(error)) or ours
    if isinstance(error, MemoryError):
        ours = ColorCNNError(
            f"There is not enough memory ({shortened(str(error))}): train on less at a time."
        )
    if ours is None and (isinstance(error, argparse.ArgumentError) or str(error).startswith(_LAYOUT)):
        ours = _unknown_option(str(error), argv) or UsageError(
            f"{_essence(str(error))}: see `colorcnn {argv[0]} --help`."
        )
    return ours or error


def kept(argv: Sequence[str], last: Path, first: str = "") -> str:
    """Return the state of a training that ended early, and the cure.

    Args:
        argv: the sub-command and its options.
        last: the last checkpoint of the run.
        first: words before the advice.
    """
    if last.exists():
        return f"{last} is complete: {first}resume with --ckpt_path last (`{resuming_command(argv)}`)"
    return f"no checkpoint was written yet: {first}start again"


def quiet_lightning() -> None:
    """Filter Lightning's advice, and TensorBoard's traceback on a full disk."""
    for message in _NOISE:
        warnings.filterwarnings("ignore", message)
    # Lightning advertises other packages.
    logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(
        lambda record: "Tip:" not in record.getMessage()
    )
    usual = threading.excepthook

    def quiet_when_full(raised: threading.ExceptHookArgs) -> None:
        """Drop the error of TensorBoard's thread, because the main thread raises the same error."""
        if getattr(raised.exc_value, "errno", None) not in _DISK_FULL:
            usual(raised)

    threading.excepthook = quiet_when_full


def _unknown_option(message: str, argv: Sequence[str]) -> UsageError | None:
    """Return our error for an option that the parser does not know, or None if the message is another one."""
    found = _UNKNOWN.search(message)
    if found is None:
        return None
    option, class_path = found[1] or found[2] or found[4], found[3]
    section, _, name = option.partition(".")
    if class_path is not None:
        name, known = option, _options_of(class_path)
    elif section == "trainer":
        known = _options_of("colorcnn.tasks.trainer.Trainer")
    else:
        name, known = section, {word.lstrip("-") for word in (*COMMON, *PLACES, *OWN[argv[0]])}
    file = _file_with(option.rpartition(".")[2], argv)
    return UsageError(
        f"{f'{file} has' if file else 'There is'} the unknown option {quoted(option)}"
        f"{did_you_mean(similar_name(shortened(name), known))}",
        f"see `colorcnn {argv[0]} --help`",
        code="unknown-option",
        name=option,
    )


def _options_of(class_path: str) -> set[str]:
    """Return the names of the options of a class and of its base classes."""
    cls = import_object(class_path)
    found: set[str] = set()
    for base in cls.__mro__ if inspect.isclass(cls) else (cls,):
        with contextlib.suppress(ValueError, TypeError):  # a class of C may tell no options
            found |= inspect.signature(base).parameters.keys()
    return found


def _file_with(key: str, argv: Sequence[str]) -> Path | None:
    """Return the configuration that has a key at any depth, or None."""
    files = [Path(after) for word, after in pairwise(argv) if word in ("--config", "-c")]
    return next((file for file in files if file.is_file() and _has(read_yaml(file), key)), None)


def _has(content: Any, key: str) -> bool:
    if isinstance(content, Mapping):
        return key in content or any(_has(value, key) for value in content.values())
    return isinstance(content, list) and any(_has(value, key) for value in content)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _essence(message: str) -> str:
    """Shorten a parser's message to one line, without lists of types and long values."""
    lines = [line.strip().removeprefix("- ") for line in message.splitlines()]
    relevant = [line for line in lines if line and not line.startswith(_LAYOUT)]
    short = [line for line in relevant if not line.startswith("Given value:") or "(" not in line]
    return shortened(" ".join(short).rstrip(".:"), 200)
