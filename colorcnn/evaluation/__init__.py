"""Measure quantizers: recognition, error and bits."""
