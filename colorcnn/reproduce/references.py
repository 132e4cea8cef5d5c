"""References in experiment files: ``${name}`` stands for a variable or for the output of an earlier stage."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_REFERENCE = re.compile(r"\$\{([^${}]+)\}")


def substitute(value: Any, replace: Callable[[str], Any]) -> Any:
    """Replace every ``${name}`` in strings, also in strings inside lists and mappings.

    Args:
        value: a value of YAML's types.
        replace: returns the replacement of a name. If ``${name}`` is the whole string, the replacement
            keeps its type. Otherwise it is inserted as text.
    """
    if isinstance(value, Mapping):
        return {substitute(key, replace): substitute(item, replace) for key, item in value.items()}
    if isinstance(value, list):
        return [substitute(item, replace) for item in value]
    if not isinstance(value, str):
        return value
    whole = _REFERENCE.fullmatch(value)
    if whole:
        return replace(whole[1])
    text = _REFERENCE.sub(lambda match: str(replace(match[1])), value)
    return text if text == value else substitute(text, replace)  # in ${a-${b}}, b decides the name


def references(value: Any) -> list[str]:
    """Return the names of all references in a value, in order."""
    found: list[str] = []

    def note(name: str) -> str:
        found.append(name)
        return name

    substitute(value, note)
    return found


def producer(reference: str, stages: Mapping[str, Any]) -> str | None:
    """Return the name of the stage that a reference points to, or None.

    Args:
        reference: ``name``, or ``name.part`` for one of several outputs.
        stages: a mapping with the names of the stages as keys.
    """
    for name in (reference, reference.rpartition(".")[0]):
        if name in stages:
            return name
    return None
