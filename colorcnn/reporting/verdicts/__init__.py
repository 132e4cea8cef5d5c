"""Verdicts on the claims of publications, drawn from records by fixed rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from colorcnn.errors import ColorCNNError, shortened
from colorcnn.records import Record
from colorcnn.reporting.verdicts.chapter import chapter_claims
from colorcnn.reporting.verdicts.claim import Claim
from colorcnn.reporting.verdicts.stochastic import stochastic_claims

RULES: dict[str, Callable[[Mapping[str, Any]], list[Claim]]] = {
    "palette_chapter": chapter_claims,
    "stochastic": stochastic_claims,
}
"""Key of a record's metrics -> function that returns the claims."""


def claims_of(record: Record) -> list[Claim]:
    """Return the claims that a record decides.

    Raises:
        ColorCNNError: there are no claims about this kind of record.
    """
    for key, rule in RULES.items():
        if key in record.metrics:
            return rule(record.metrics[key])
    known = ", ".join(RULES)
    raise ColorCNNError(f"The record of {shortened(record.command)} decides no claims: use one of {known}.")
