"""Figures of records, one file per kind of figure."""
