"""A claim of a publication with its verdict."""

from __future__ import annotations

from typing import NamedTuple

MARGIN = 1.05
"""Two errors count as equal if the 95 % interval of their ratio is below this number."""


class Claim(NamedTuple):
    """A claim of a publication.

    Attributes:
        text: the claim in one sentence.
        published: the published numbers.
        measured: the measured numbers.
        verdict: confirmed, refuted or open, with a reason where one is needed.
    """

    text: str
    published: str
    measured: str
    verdict: str


def judged(confirmed: bool, refuted: bool) -> str:
    """Return the verdict.

    Args:
        confirmed: True if the measurement agrees with the claim.
        refuted: True if it contradicts the claim.
    """
    return "confirmed" if confirmed else "refuted" if refuted else "open"
