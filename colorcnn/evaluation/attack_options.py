"""Names and limits of attacks, which can be checked before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Sequence

from colorcnn.errors import UsageError, unknown_name

EPSILONS = (2, 4, 8)
STEPS = 10
ATTACKS = ("fgsm", "pgd")
PATHS = ("adaptive", "soft")


def split_attack(text: str, steps: int = STEPS) -> tuple[str, str]:
    """Read ``fgsm``, ``pgd``, or either followed by ``:adaptive`` or ``:soft``.

    Args:
        text: the attack.
        steps: number of PGD steps, at least 1.

    Returns:
        The name of the attack and its path, which may be empty.

    Raises:
        UsageError: the attack or its path is unknown, or there is no step.
    """
    name, colon, path = text.partition(":")
    if name not in ATTACKS:
        raise unknown_name("attack", name, ATTACKS)
    if colon and path not in PATHS:
        raise unknown_name(f"path of {name}", path, PATHS)
    if steps < 1:
        raise UsageError(f"PGD is given {steps} steps: take at least 1.")
    return name, path


def check_epsilons(epsilons: Sequence[int]) -> list[int]:
    """Return how much attacks may change a value, in ascending order, and 0 before them: no attack.

    Raises:
        UsageError: there is none, or one is no whole number of 255: the pixels of a file are whole numbers.
    """
    for epsilon in epsilons:
        if not isinstance(epsilon, int) or not 0 <= epsilon <= 255:
            raise UsageError(f"An epsilon is {epsilon!r}: give whole numbers of 255, from 0 to 255.")
    if not epsilons:
        raise UsageError("There is no epsilon: say how much an attack may change a value, of 255.")
    return sorted({0, *epsilons})
