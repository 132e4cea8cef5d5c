"""Conversion of colours, as users write them, to three bytes."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from PIL import ImageColor

from colorcnn.errors import UsageError, shortened

_SHOWN = 40  # characters of a wrong value that a message shows
_CURE = "give a name such as red, #rrggbb, three bytes, or three floats in [0, 1]"


def parse_color(color: Any) -> tuple[int, int, int]:
    """Convert one colour to three bytes.

    Args:
        color: a CSS colour, such as ``white``, ``#ff8800`` or ``rgb(255, 136, 0)``; or three numbers, see
            :func:`parse_colors`.

    Raises:
        UsageError: it is not a colour, or a part of it is out of range.
    """
    if not isinstance(color, str):
        red, green, blue = parse_colors([color])[0]
        return red, green, blue
    try:
        red, green, blue = ImageColor.getrgb(color)[:3]
        bytes((red, green, blue))
    except ValueError as error:
        shown = color if len(color) <= _SHOWN else f"{color[:_SHOWN]}..."
        raise UsageError(
            f"{shown!r} is not a colour: write a name such as white, or #rrggbb, or rgb(r, g, b) up to 255."
        ) from error
    return red, green, blue


def parse_colors(colors: Any) -> list[tuple[int, int, int]]:
    """Convert several colours to three bytes each.

    Args:
        colors: text such as ``"#000000,white"``, or a sequence or array. An element is a text, three whole
            numbers from 0 to 255, or three floats in [0, 1]. If one number is a float, all must be in [0, 1].

    Raises:
        UsageError: an element is not a colour or out of range, or bytes and floats are mixed.
    """
    if isinstance(colors, str):
        return [parse_color(word.strip()) for word in _split(colors)]
    rows = [_numbers(color) for color in _elements(colors)]
    numbers = [number for row in rows if not isinstance(row, str) for number in row]
    floats = any(not isinstance(number, Integral) for number in numbers)
    for number in numbers:
        if not 0 <= number <= (1 if floats else 255):
            mixed = floats and 1 < number <= 255 and isinstance(number, Integral)
            problem = "is mixed with floats" if mixed else f"is outside {'[0, 1]' if floats else '0..255'}"
            raise UsageError(f"A colour's part {number} {problem}: {_CURE}.")
    scale = 255 if floats else 1
    return [parse_color(row) if isinstance(row, str) else _rounded(row, scale) for row in rows]


def _rounded(row: list[Any], scale: int) -> tuple[int, int, int]:
    red, green, blue = (int(np.floor(float(number) * scale + 0.5)) for number in row)
    return red, green, blue


def _elements(values: Any) -> list[Any]:
    """Return the elements of a sequence, array or tensor."""
    try:
        return list(values.tolist() if hasattr(values, "tolist") else values)
    except TypeError as error:
        raise UsageError(f"{shortened(values)} is not a list of colours: {_CURE}.") from error


def _numbers(color: Any) -> str | list[Any]:
    if isinstance(color, str):
        return color
    row = _elements(color)
    if len(row) != 3 or not all(isinstance(part, Real) for part in row):
        raise UsageError(f"{shortened(color)} is not a colour: {_CURE}.")
    return row


def _split(text: str) -> list[str]:
    """Split a text at the commas outside brackets."""
    words, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            words.append("")
        else:
            words[-1] += letter
    return words
