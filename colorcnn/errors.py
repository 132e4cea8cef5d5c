"""Errors that a user can cause. A message is one sentence with the input, the problem and the cure."""

from __future__ import annotations

import difflib
import functools
import os
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path
from typing import Any

_LISTED = 60  # maximum number of names in one message

Cure = str | Callable[..., str]
"""Advice for an error: text with the error's parts in braces, or a function of the parts."""


class ColorCNNError(Exception):
    """The work of a valid request failed. The command prints the message and exits with 1.

    Args:
        problem: the whole sentence; with a cure, the sentence up to the colon.
        cure: advice in the words of a Python caller, without a full stop.
        code: stable name of the problem, for tests and commands.
        parts: named values of the sentence, such as ``path=...``.

    Attributes:
        code: stable name of the problem.
        parts: named values of the sentence.
    """

    exit_code = 1
    code = "failed"

    def __init__(self, problem: str, cure: str | None = None, *, code: str | None = None, **parts: Any):
        super().__init__(problem, *(() if cure is None else (cure,)))
        self.problem = problem
        self.cure = cure
        self.code = code or type(self).code
        self.parts = parts

    def __str__(self) -> str:
        return self.problem if self.cure is None else f"{self.problem}: {self.cure}."


class UsageError(ColorCNNError, ValueError):
    """An invalid request: an unknown name, a value out of range, or options that conflict. Exit code 2."""

    exit_code = 2
    code = "usage"


class FileExists(ColorCNNError):
    """A result would replace a file.

    Args:
        path: path of that file.
    """

    code = "file-exists"

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(
            f"{os.fspath(path)} exists already", "choose another name, or allow overwriting", path=path
        )
        self.args = (path,)
        self.path = Path(path)

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> FileExists:
        """Build the error for a file."""
        return cls(path)


class MissingDataset(UsageError):
    """A data set is not on the disk, or not complete.

    Args:
        name: name of the data set.
        root: the folder that was searched.
        can_download: True if colorcnn can download it.
        looked_for: possible names of its folder.
    """

    code = "missing-dataset"

    def __init__(
        self, name: str, root: str | os.PathLike[str], can_download: bool, looked_for: Iterable[str] = ()
    ) -> None:
        names = ", ".join(looked_for)
        problem = f"{name} is not in {os.fspath(root)}, or not complete"
        download = ", or download it with download=True" if can_download else ""
        super().__init__(
            f"{problem} (looked for {names})" if names else problem,
            f"set the folder that holds it with root or COLORCNN_DATA{download}",
            name=name,
            root=root,
            can_download=can_download,
        )
        self.args = (name, root, can_download, tuple(looked_for))


class UnknownName(UsageError):
    """A name is not registered; the message gives the most similar name, and lists all.

    Args:
        kind: word for the error message, such as ``"method"``.
        name: the unknown name.
        known: the registered names.
    """

    code = "unknown-name"

    def __init__(self, kind: str, name: object, known: Iterable[str]) -> None:
        names = sorted(known)
        similar = similar_name(shortened(name), names)
        super().__init__(
            f"Unknown {kind} {quoted(name)}{did_you_mean(similar)}",
            f"choose one of {', '.join(names[:_LISTED])}{', ...' if len(names) > _LISTED else ''}",
            kind=kind,
            name=name,
            known=names,
            similar=similar,
        )
        self.args = (kind, name, names)


unknown_name = UnknownName


def did_you_mean(similar: str | None) -> str:
    """Return the hint of a message for a result of :func:`similar_name`; empty for None."""
    return f" (did you mean {similar}?)" if similar else ""


def similar_name(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most similar to another one, or None.

    Args:
        name: the unknown name; case and punctuation are ignored.
        known: the known names.
    """
    return _similar_name(name, tuple(known))


@functools.lru_cache(maxsize=1024)  # an experiment asks of the same words for each of its stages
def _similar_name(name: str, known: tuple[str, ...]) -> str | None:
    plain = {_letters(one): one for one in known}
    found = difflib.get_close_matches(_letters(name), plain, n=1, cutoff=0.7)
    return plain[found[0]] if found else None


def _letters(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())


def check_at_least(minimum: int, **numbers: Any) -> None:
    """Check that numbers are whole and not too small; None is always allowed.

    Args:
        minimum: the smallest allowed number.
        numbers: name of the option -> number.

    Raises:
        UsageError: a number is not whole, or below ``minimum``.
    """
    for name, value in numbers.items():
        whole = isinstance(value, Integral) and not isinstance(value, bool)
        if value is not None and (not whole or value < minimum):
            raise UsageError(
                f"{name} is {quoted(value)}",
                f"choose a whole number from {minimum} up",
                code="out-of-range",
                name=name,
                value=value,
            )


def shortened(value: Any, length: int = 80) -> str:
    """Return a short text of a value for a message, in printable characters.

    Args:
        value: any value.
        length: maximum number of characters, at least 4.
    """
    # Python refuses to print a number of thousands of digits. A mapping of a million entries has a long text.
    try:
        text = value if isinstance(value, str) else reprlib.repr(value)
    except ValueError:
        text = type(value).__name__
    text = "".join(sign if sign.isprintable() else " " for sign in text[: 4 * length])
    return text if len(text) <= length else f"{text[: length - 3]}..."


def quoted(value: Any) -> str:
    """Return a short text of a value for a message, as Python's ``repr`` writes it.

    Args:
        value: any value.
    """
    return repr(shortened(value)) if isinstance(value, str) else shortened(value)


@contextmanager
def cures(by_code: Mapping[str, Cure]) -> Iterator[None]:
    """Replace the cures of errors within the context, so that a command can name its own options.

    Args:
        by_code: code of an error -> its cure.
    """
    try:
        yield
    except ColorCNNError as error:
        apply_cure(error, by_code)
        raise


@contextmanager
def named_by_option() -> Iterator[None]:
    """Give errors within the context exit code 2, because an option names a file that is missing or wrong."""
    try:
        yield
    except ColorCNNError as error:
        error.exit_code = UsageError.exit_code
        raise


def apply_cure(error: ColorCNNError, by_code: Mapping[str, Cure]) -> None:
    """Replace the cure of an error if there is one for its code.

    Args:
        error: the error, which is changed.
        by_code: code of an error -> its cure.
    """
    better = by_code.get(error.code)
    if better is not None and error.cure is not None:
        error.cure = better(**error.parts) if callable(better) else better.format(**error.parts)
