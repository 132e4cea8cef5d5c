"""Clear messages for errors of a training, and filters for Lightning's own messages."""

from __future__ import annotations

import argparse
import errno
import logging
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from colorcnn.commands.config_classes import denied_import
from colorcnn.commands.fit_arguments import resuming_command
from colorcnn.errors import ColorCNNError, UsageError, shortened

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
        ours = UsageError(f"{_essence(str(error))}: see `colorcnn {argv[0]} --help`.")
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
