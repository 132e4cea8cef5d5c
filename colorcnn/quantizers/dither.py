"""Dithering methods, which distribute the rounding error over neighbouring pixels."""

from __future__ import annotations

import functools

import numpy as np

from colorcnn.quantizers.diffusion import diffuse, follow, plan, void_and_cluster
from colorcnn.quantizers.histogram import Histogram
from colorcnn.quantizers.spaces import enter

LEVELS = 16
"""Number of threshold levels in ordered dithering."""

_STRIP = 1 << 18  # pixels whose coordinates are in memory together
_MASK_SIDE = 64


def floyd_steinberg(
    pixels: np.ndarray, palette: np.ndarray, *, space: str = "srgb", serpentine: bool = False
) -> np.ndarray:
    """Dither by the error diffusion of R. Floyd and L. Steinberg (1976), with the exact nearest colours.

    Args:
        pixels: (H, W, 3) uint8.
        palette: (n, 3) uint8, 1 <= n <= 256.
        space: colour space of errors and distances.
        serpentine: True to process every second row from right to left, which reduces worm-like patterns.

    Returns:
        (H, W) uint8 indices into ``palette``.
    """
    height, width = pixels.shape[:2]
    centers = enter(palette.T, space)
    low, high = _range(space)
    carry = np.zeros((width + 2, 3), np.float32)
    indices = np.empty((height, width), np.uint8)
    for top, bottom in _strips(height, width):
        rows = enter(pixels[top:bottom].reshape(-1, 3).T, space).T.reshape(-1, width, 3).copy()
        diffuse(rows, centers, low, high, serpentine, carry, top & 1, indices[top:bottom])
    return indices


def ordered(pixels: np.ndarray, palette: np.ndarray, *, space: str = "srgb") -> np.ndarray:
    """Dither with B. Bayer's 8 x 8 matrix (1973).

    Each colour gets 16 palette colours whose mean approximates it (T. Knoll, US patent 6606166, 1999,
    expired). The matrix chooses one of them for each pixel. So it works with palettes of any spacing.

    Args:
        pixels: (H, W, 3) uint8.
        palette: (n, 3) uint8, 1 <= n <= 256.
        space: colour space of errors and distances.
    """
    return _ordered(pixels, palette, space, _bayer())


def blue_noise(pixels: np.ndarray, palette: np.ndarray, *, space: str = "srgb") -> np.ndarray:
    """Dither like :func:`ordered`, with 64 x 64 blue noise, which has no visible pattern (R. Ulichney, 1993).

    Args:
        pixels: (H, W, 3) uint8.
        palette: (n, 3) uint8, 1 <= n <= 256.
        space: colour space of errors and distances.
    """
    return _ordered(pixels, palette, space, _blue_noise())


def _strips(height: int, width: int) -> list[tuple[int, int]]:
    """Return top and bottom of the strips of an image; each begins at an even row."""
    rows = max(2, _STRIP // width & ~1)
    return [(top, min(top + rows, height)) for top in range(0, height, rows)]


@functools.cache
def _range(space: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the smallest and largest coordinates of 8-bit colours, from a sample of the cube."""
    steps = np.linspace(0, 255, 18)
    grid = enter(np.stack(np.meshgrid(steps, steps, steps)).reshape(3, -1), space)
    return grid.min(axis=1), grid.max(axis=1)


@functools.cache
def _bayer() -> np.ndarray:
    """Return Bayer's 8 x 8 matrix with :data:`LEVELS` levels."""
    matrix = np.zeros((1, 1), dtype=np.int64)
    for _ in range(3):
        matrix = np.block([[4 * matrix, 4 * matrix + 2], [4 * matrix + 3, 4 * matrix + 1]])
    return (matrix * LEVELS // matrix.size).astype(np.uint8)


@functools.cache
def _blue_noise() -> np.ndarray:
    """Return a 64 x 64 matrix of blue noise with :data:`LEVELS` levels."""
    steps: np.ndarray = void_and_cluster(_MASK_SIDE, 0) * LEVELS // _MASK_SIDE**2
    return steps.astype(np.uint8)


def _ordered(pixels: np.ndarray, palette: np.ndarray, space: str, thresholds: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    centers = enter(palette.T, space)
    lightness = enter(palette.T, "cielab")[0]
    order = np.argsort(np.argsort(lightness, kind="stable"), kind="stable")
    indices = np.empty((height, width), np.uint8)
    for top, bottom in _strips(height, width):
        histogram = Histogram(pixels[top:bottom])
        plans = np.empty((len(histogram), LEVELS), np.uint8)
        plan(enter(histogram.colors.T, space), centers, order, plans)
        follow(histogram.positions(), plans, thresholds, top, indices[top:bottom])
    return indices
