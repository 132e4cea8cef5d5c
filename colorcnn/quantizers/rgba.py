"""Palettes of colours with alpha, for PNG's ``tRNS`` chunk.

The error of a pixel is the mean of its errors on a black and on a white background. This is a squared
distance in four dimensions, so k-means minimises it.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

_MOST_POINTS = 1 << 16


def quantize_with_alpha(
    pixels: np.ndarray, num_colors: int, *, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Quantize an image to colours with alpha.

    Args:
        pixels: (H, W, 4) uint8, not premultiplied.
        num_colors: maximum number of colours, 1 to 256, including a transparent one.
        seed: seed of k-means++.

    Returns:
        (H, W) uint8 indices and an (n, 4) uint8 palette, the least opaque colour first.
    """
    codes = np.ascontiguousarray(pixels).view("<u4").reshape(-1)
    codes = np.where(pixels[..., 3].reshape(-1) == 0, 0, codes).astype("<u4")  # one transparent colour
    unique, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    colors = unique.view(np.uint8).reshape(-1, 4)
    palette = colors if len(colors) <= num_colors else _design(colors, counts, num_colors, seed)
    palette = np.unique(palette, axis=0)
    palette = palette[np.argsort(palette[:, 3], kind="stable")]
    nearest = _nearest(_points(colors), _points(palette))
    used = np.unique(nearest)
    rank = np.zeros(len(palette), np.uint8)
    rank[used] = np.arange(len(used))
    return rank[nearest][inverse].reshape(pixels.shape[:2]), palette[used]


def error_with_alpha(pixels: np.ndarray, shown: np.ndarray) -> float:
    """Return the mean squared error of a pixel, summed over its channels in [0, 1].

    Args:
        pixels: (..., 4) uint8, the image.
        shown: (..., 4) uint8, the quantized image.
    """
    difference = _points(pixels.reshape(-1, 4)) - _points(shown.reshape(-1, 4))
    return float(np.square(difference).sum(axis=1, dtype=np.float64).mean())


def png_with_alpha(indices: np.ndarray, palette: np.ndarray) -> bytes:
    """Encode an indexed image whose colours have an alpha.

    Args:
        indices: (H, W) uint8.
        palette: (n, 4) uint8, opaque colours last, because PNG lists alpha up to the last non-opaque colour.
    """
    picture = Image.fromarray(indices)
    picture.putpalette(palette[:, :3].tobytes(), "RGB")
    alpha = palette[:, 3].tobytes().rstrip(b"\xff")
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True, **({"transparency": alpha} if alpha else {}))
    return buffer.getvalue()


def _points(colors: np.ndarray) -> np.ndarray:
    """Map colours (n, 4) to points whose squared distances are errors on black and white backgrounds."""
    values = colors.astype(np.float32) / 255
    alpha = values[:, 3:]
    return np.concatenate([values[:, :3] * alpha - alpha / 2, alpha * np.sqrt(np.float32(0.75))], axis=1)


def _colors(points: np.ndarray) -> np.ndarray:
    """Invert :func:`_points`, rounded to bytes."""
    alpha = np.clip(points[:, 3:] / np.sqrt(0.75), 0, 1)
    colors = np.clip((points[:, :3] + alpha / 2) / np.maximum(alpha, 1e-6), 0, 1)
    rows = np.floor(np.concatenate([colors, alpha], axis=1) * 255 + 0.5).astype(np.uint8)
    return np.where(rows[:, 3:] == 0, 0, rows).astype(np.uint8)


def _design(colors: np.ndarray, counts: np.ndarray, num_colors: int, seed: int) -> np.ndarray:
    from sklearn.cluster import KMeans  # imported here, because it is slow

    points, weights = _points(colors), counts.astype(np.float64)
    if len(points) > _MOST_POINTS:  # a sample in proportion to the pixels
        chosen = np.random.RandomState(seed).choice(
            len(points), _MOST_POINTS, replace=False, p=weights / weights.sum()
        )
        points, weights = points[chosen], weights[chosen]
    found = KMeans(num_colors, n_init=1, max_iter=50, random_state=seed).fit(points, sample_weight=weights)
    return _colors(found.cluster_centers_)


def _nearest(points: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Return the nearest row of the palette for every point, in pieces that fit into memory."""
    squares = np.square(palette).sum(axis=1)
    return np.concatenate(
        [
            np.argmin(squares - 2 * piece @ palette.T, axis=1)
            for piece in np.array_split(points, 1 + len(points) // 65536)
        ]
    )
