"""Ways to dither: index maps that spread the rounding error over the pixels beside it."""

from __future__ import annotations

import functools

import numpy as np

from colorcnn.quantizers.diffusion import diffuse, follow, plan, void_and_cluster
from colorcnn.quantizers.histogram import Histogram
from colorcnn.quantizers.spaces import enter

LEVELS = 16
"""Steps between two colours in ordered dithering."""

_STRIP = 1 << 18  # pixels whose coordinates are in memory at once
_MASK_SIDE = 64


def floyd_steinberg(
    pixels: np.ndarray, palette: np.ndarray, *, space: str = "srgb", serpentine: bool = False
) -> np.ndarray:
    """Error diffusion by R. Floyd and L. Steinberg (1976), to the exactly nearest colour at every pixel.

    Args:
        pixels: (H, W, 3) uint8.
        palette: (n, 3) uint8, 1 <= n <= 256.
        space: where errors and distances are measured.
        serpentine: run through every second row from right to left, which breaks up the worm-like patterns.

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

    Each colour is given 16 palette colours whose mean comes nearest to it (T. Knoll, US patent 6606166, 1999,
    expired), and the matrix says which of them a pixel takes: so it works with palettes of any spacing.

    Args:
        pixels: as for :func:`floyd_steinberg`.
        palette: as for :func:`floyd_steinberg`.
        space: as for :func:`floyd_steinberg`.
    """
    return _ordered(pixels, palette, space, _bayer())


def blue_noise(pixels: np.ndarray, palette: np.ndarray, *, space: str = "srgb") -> np.ndarray:
    """Dither as :func:`ordered`, with 64 x 64 blue noise, which shows no pattern (R. Ulichney, 1993).

    Args:
        pixels: as for :func:`floyd_steinberg`.
        palette: as for :func:`floyd_steinberg`.
        space: as for :func:`floyd_steinberg`.
    """
    return _ordered(pixels, palette, space, _blue_noise())


def _strips(height: int, width: int) -> list[tuple[int, int]]:
    """Top and bottom of parts of an image; a part begins at an even row."""
    rows = max(2, _STRIP // width & ~1)
    return [(top, min(top + rows, height)) for top in range(0, height, rows)]


@functools.cache
def _range(space: str) -> tuple[np.ndarray, np.ndarray]:
    """The least and largest coordinates of 8-bit colours; each lies on an edge of the cube, near enough."""
    steps = np.linspace(0, 255, 18)
    grid = enter(np.stack(np.meshgrid(steps, steps, steps)).reshape(3, -1), space)
    return grid.min(axis=1), grid.max(axis=1)


@functools.cache
def _bayer() -> np.ndarray:
    """Bayer's 8 x 8 matrix in :data:`LEVELS` steps."""
    matrix = np.zeros((1, 1), dtype=np.int64)
    for _ in range(3):
        matrix = np.block([[4 * matrix, 4 * matrix + 2], [4 * matrix + 3, 4 * matrix + 1]])
    return (matrix * LEVELS // matrix.size).astype(np.uint8)


@functools.cache
def _blue_noise() -> np.ndarray:
    """A 64 x 64 matrix of blue noise in :data:`LEVELS` steps."""
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
        follow(histogram.places(), plans, thresholds, top, indices[top:bottom])
    return indices
