"""Options in experiment files: checks of their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from colorcnn.errors import UsageError


def check_options(
    content: Mapping[str, Any], allowed: Sequence[str], required: Sequence[str], where: str
) -> None:
    """Refuse options that do not exist, and required options that are missing.

    Args:
        content: the options.
        allowed: names of all options.
        required: names of the options that must be given.
        where: the place in the file, for the message.

    Raises:
        UsageError: an option is unknown or missing. The message names it.
    """
    if not isinstance(content, Mapping):
        raise UsageError(f"{where}: there is {content!r} in place of a mapping with {', '.join(required)}.")
    for key in content:
        if key not in allowed:
            raise UsageError(f"{where}: there is no option {key!r}; choose among {', '.join(allowed)}.")
    for key in required:
        if content.get(key) is None:
            raise UsageError(f"{where}: {key} is missing; give it.")
