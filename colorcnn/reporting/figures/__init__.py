"""Figures of records, one file a kind of picture."""
