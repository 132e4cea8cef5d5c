"""Measuring what a quantizer keeps of an image: recognition, error and bits."""
