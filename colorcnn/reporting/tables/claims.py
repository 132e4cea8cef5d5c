"""Markdown table of the claims of a publication, with verdicts."""

from __future__ import annotations

from colorcnn.records import Record
from colorcnn.reporting.markup import Table
from colorcnn.reporting.verdicts import claims_of


def claims_table(record: Record) -> str:
    """Return the claims of a publication with published and measured numbers and verdicts."""
    note = f"n = {record.n} images; {record.origin}."
    return Table(["claim", "published", "measured here", "verdict"], claims_of(record), [note]).markdown()
