"""Errors a user can cause. Their message is one sentence: the input, the problem, the cure."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from numbers import Integral
from typing import Any


class ColorCNNError(Exception):
    """Work that was asked for correctly and failed; the command line prints it and exits with 1."""

    exit_code = 1


class UsageError(ColorCNNError, ValueError):
    """A request that cannot be meant; the command line prints it and exits with 2."""

    exit_code = 2


def check_at_least(least: int, **numbers: Any) -> None:
    """Raise UsageError where a number is not whole, or below the least that can be meant; None is left alone.

    Args:
        least: that can be meant.
        numbers: by the names of their options.
    """
    for name, value in numbers.items():
        whole = isinstance(value, Integral) and not isinstance(value, bool)
        if value is not None and (not whole or value < least):
            raise UsageError(f"{name} is {value!r}: choose a whole number from {least} up.")


def shortened(value: Any, length: int = 80) -> str:
    """Write a value of a file or an option so that it fits into a sentence, in printable characters.

    Args:
        value: a string, or anything that has a text.
        length: the number of characters at most, from 4 up.
    """
    # A number of thousands of digits has no text, and a mapping of a million entries a long one.
    try:
        text = value if isinstance(value, str) else reprlib.repr(value)
    except ValueError:
        text = type(value).__name__
    text = "".join(sign if sign.isprintable() else " " for sign in text[: 4 * length])
    return text if len(text) <= length else f"{text[: length - 3]}..."


@contextmanager
def retold(*rules: tuple[str, str | Callable[[re.Match[str]], str]]) -> Iterator[None]:
    """Tell errors in the words of the command that was called, where they speak to another.

    Args:
        rules: regular expressions, and what to put in the place of what they match.
    """
    try:
        yield
    except ColorCNNError as error:
        told = str(error)
        for pattern, words in rules:
            told = re.sub(pattern, words, told)
        raise type(error)(told) from error


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Build the error for a name that is not registered; it lists those that are.

    Args:
        kind: what the name should have named, such as ``"quantizer"``.
        name: the name that was given.
        known: an iterable of the registered names.
    """
    names = ", ".join(sorted(known))
    return UsageError(f"Unknown {kind} {name!r}: choose one of {names}.")
