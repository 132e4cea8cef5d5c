"""Names and limits of attacks. This module imports nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence

from colorcnn.errors import UsageError, unknown_name

EPSILONS = (2, 4, 8)
STEPS = 10
QUERIES = 200
ATTACKS = ("fgsm", "pgd", "square")
PATHS = {"fgsm": ("adaptive", "soft"), "pgd": ("adaptive", "soft"), "square": ("adaptive",)}
"""Attack -> ways of it through a quantizer. ``soft`` is a gradient, which Square does not use."""


def split_attack(text: str, steps: int = STEPS, queries: int = QUERIES) -> tuple[str, str]:
    """Read ``fgsm``, ``pgd`` or ``square``, alone or with ``:adaptive``, or the first two with ``:soft``.

    Args:
        text: the attack.
        steps: number of PGD steps, at least 1.
        queries: number of queries of Square, at least 1.

    Returns:
        The name of the attack and its path, which may be empty.

    Raises:
        UsageError: the attack or its path is unknown, or there are no steps or queries.
    """
    name, colon, path = text.partition(":")
    if name not in ATTACKS:
        raise unknown_name("attack", name, ATTACKS)
    if colon and path not in PATHS[name]:
        raise unknown_name(f"path of {name}", path, PATHS[name])
    if steps < 1:
        raise UsageError(f"PGD is given {steps} steps: use at least 1.")
    if queries < 1:
        raise UsageError(f"Square is given {queries} queries: use at least 1.")
    return name, path


def check_epsilons(epsilons: Sequence[int]) -> list[int]:
    """Return the strengths of attacks in ascending order, with 0 (no attack) first.

    Args:
        epsilons: largest changes of a value, whole numbers because the pixels of a file are whole numbers.

    Raises:
        UsageError: the list is empty, or a value is not a whole number from 0 to 255.
    """
    for epsilon in epsilons:
        if not isinstance(epsilon, int) or not 0 <= epsilon <= 255:
            raise UsageError(f"An epsilon is {epsilon!r}: give whole numbers from 0 to 255.")
    if not epsilons:
        raise UsageError("There is no epsilon: give at least one whole number from 1 to 255.")
    return sorted({0, *epsilons})
