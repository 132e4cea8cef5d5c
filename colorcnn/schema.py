"""Validation of files from outside against a schema, with one sentence for each error.

A schema is a dataclass, a ``TypedDict`` or a ``msgspec.Struct``; ``Annotated`` fields have ranges. Other code
relies on it and checks nothing again. Sizes are limited, because a short file can claim a huge size:
:data:`MOST_BYTES`, :data:`DEEPEST` and :data:`MOST_PIXELS`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from colorcnn.errors import ColorCNNError, shortened

MOST_BYTES = 256 << 20
"""Maximum size of a JSON file."""

DEEPEST = 64
"""Maximum depth of nested lists and objects in a file."""

MOST_PIXELS = 1 << 28
"""Maximum number of pixels of one image in a header."""

Natural = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Side = Annotated[int, msgspec.Meta(ge=1, le=65_535)]
"""A side of an image, in pixels."""

T = TypeVar("T")
_KEY = re.compile(r"\s*-? at `\$?\.?(.*)`$")


def read_file(path: Path, cure: str, most: int = MOST_BYTES) -> bytes:
    """Read a file of limited size.

    Args:
        path: path of the file.
        cure: advice for the error message.
        most: maximum size in bytes.

    Raises:
        FileNotFoundError: the file does not exist; the caller raises a suitable error.
        ColorCNNError: the file cannot be read, is too large, or is not a regular file.
    """
    try:
        if (size := path.stat().st_size) > most:
            raise ColorCNNError(f"{path} has {size:,} bytes, more than {most:,}: {cure}.")
        if not path.is_file():
            raise ColorCNNError(f"{path} is not a file: {cure}.")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(str(path)) from error
    except (OSError, ValueError) as error:  # a name with a null byte is a ValueError
        reason = getattr(error, "strerror", None) or str(error)
        raise ColorCNNError(f"{shortened(str(path), 200)} could not be read ({reason}): {cure}.") from error


def parse_json(data: bytes, source: object, cure: str) -> dict[str, Any]:
    """Parse a JSON object of limited depth.

    Args:
        data: the text, UTF-8.
        source: the file's name for the error message.
        cure: advice for the error message.

    Raises:
        ColorCNNError: the text is not valid JSON, not an object, or nested too deeply.
    """
    try:
        content = msgspec.json.decode(data)
    except RecursionError as error:
        raise _too_deep(source, cure) from error
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise ColorCNNError(f"{source} is not valid JSON ({shortened(str(error))}): {cure}.") from error
    if not isinstance(content, dict):
        raise ColorCNNError(f"{source} is not a JSON object: {cure}.")
    check_depth(content, source, cure)
    return content


def convert(content: Any, kind: type[T], source: object, cure: str) -> T:
    """Check plain values against a schema.

    Args:
        content: values from JSON, YAML or a checkpoint.
        kind: the schema.
        source: the file's name for the error message.
        cure: advice for the error message.

    Returns:
        An object of the schema.

    Raises:
        ColorCNNError: a value does not fit the schema.
    """
    try:
        return msgspec.convert(content, kind)
    except RecursionError as error:
        raise _too_deep(source, cure) from error
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        raise ColorCNNError(f"{source} is invalid ({_problem(str(error))}): {cure}.") from error


def check_depth(content: Any, source: object, cure: str) -> None:
    """Raise an error for values that are nested deeper than :data:`DEEPEST`.

    Args:
        content: lists and mappings of values.
        source: the file's name for the error message.
        cure: advice for the error message.

    Raises:
        ColorCNNError: the values are nested too deeply.
    """
    level = [content]
    for _ in range(DEEPEST):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner += [item for item in value.values() if isinstance(item, dict | list)]
            elif isinstance(value, list):
                inner += [item for item in value if isinstance(item, dict | list)]
        if not inner:
            return
        level = inner
    raise _too_deep(source, cure)


def _too_deep(source: object, cure: str) -> ColorCNNError:
    return ColorCNNError(f"{source} is nested more than {DEEPEST} levels deep: {cure}.")


def _problem(message: str) -> str:
    """Put the key first: ``kwargs.depth: expected int, got str``."""
    key = _KEY.search(message)
    text = shortened(message[: key.start()] if key else message, 120)
    text = (text[:1].lower() + text[1:]).replace("`", "").rstrip(".")
    return f"{shortened(key[1])}: {text}" if key and key[1] else text
