"""Messages of the commands: the log on standard error, and cures of errors in terms of options."""

from __future__ import annotations

import logging
from collections.abc import Callable

from colorcnn.commands.console import say
from colorcnn.errors import Cure

_PREFIXES = {logging.WARNING: "warning: ", logging.ERROR: "error: "}

CURES: dict[str, Cure] = {
    "codec-mismatch": "pass the model that wrote it with --model",
    "codec-missing": "pass its checkpoint with --model",
    "file-exists": "choose another name, or overwrite it with --force",
    "record-of-other-work": "replace it with --force, or write elsewhere with --results",
    "too-many-pixels": "scale it down, or allow more with --max-pixels",
    "unfinished-build": "use the same options to resume, choose another folder, or start again with --force",
}
"""Code of an error -> its cure, for all commands; a module's own ``CURES`` come first."""


def data_cures(
    option: Callable[[str], str], root: str | None = None, originals: str | None = None
) -> dict[str, Cure]:
    """Return the cures of data sets' errors for a command with options for data sets.

    Args:
        option: function from a data set's option, such as ``image_size``, to the command's option.
        root: words for the folder of the data sets; by default the command's option ``root``.
        originals: words for the data set that copies were made from; by default the option ``originals``.
    """
    root = root or f"{option('root')} or COLORCNN_DATA"
    originals = originals or option("originals")

    def missing(can_download: bool, **_: object) -> str:
        download = option("download").removesuffix(" true")
        flag = f"{download} true" if "." in download else download
        return f"name the folder that holds it with {root}" + (
            f", or download it with {flag}" if can_download else ""
        )

    return {
        "missing-dataset": missing,
        "missing-folder": f"give its path, or name the folder that holds it with {root}",
        "unknown-dataset": "choose one of {known}, or a folder of images (the data root is set with "
        f"{root})",
        "sizes-differ": f"bring all to one size with {option('image_size')} {{size}}",
        "corrupt-images": f"repair or remove them, or leave them out with {option('on_corrupt')} skip",
        "wrong-originals": f"name its own data set with {originals}, and "
        f"repeat its {option('split_seed')} and {option('test_size')}",
        "missing-originals": f"name it with {originals}, or its place with COLORCNN_DATA",
    }


class _StandardError(logging.Handler):
    """Log handler that writes to the current ``sys.stderr``, above a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        say(_PREFIXES.get(record.levelno, "") + record.getMessage())


def set_up_messages() -> None:
    """Show the log of colorcnn on standard error, as ``colorcnn: MESSAGE``; a second call changes nothing."""
    log = logging.getLogger("colorcnn")
    if not any(isinstance(handler, _StandardError) for handler in log.handlers):
        log.addHandler(_StandardError())
        for name in ("colorcnn.commands", "colorcnn.notes"):  # the second is for notes on data sets
            logging.getLogger(name).setLevel(logging.INFO)
