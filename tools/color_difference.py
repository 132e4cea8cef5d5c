"""The colour difference CIEDE2000.

G. Sharma, W. Wu and E. Dalal, The CIEDE2000 color-difference formula, Color Research and Application, 2005.
"""

from __future__ import annotations

import numpy as np


def ciede2000(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the differences of pairs of colours; about 1 is just visible.

    Args:
        first: (3, n) CIELAB.
        second: (3, n) CIELAB.

    Returns:
        (n,) float64.
    """
    (l1, a1, b1), (l2, a2, b2) = first.astype(np.float64), second.astype(np.float64)
    mean_chroma = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    widened = 1.5 - 0.5 * _saturation(mean_chroma)
    c1, c2 = np.hypot(widened * a1, b1), np.hypot(widened * a2, b2)
    h1, h2 = (np.arctan2(b, widened * a) % (2 * np.pi) for a, b in ((a1, b1), (a2, b2)))
    grey = c1 * c2 == 0
    turn = h2 - h1
    turn = np.where(np.abs(turn) <= np.pi, turn, turn - 2 * np.pi * np.sign(turn))
    hue = 2 * np.sqrt(c1 * c2) * np.sin(np.where(grey, 0, turn) / 2)
    middle = (h1 + h2) / 2
    middle = np.where(np.abs(h1 - h2) > np.pi, middle - np.pi * np.sign(middle - np.pi), middle)
    middle = np.where(grey, h1 + h2, middle)
    light, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    scale_light = 1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    scale_chroma, scale_hue = 1 + 0.045 * chroma, 1 + 0.015 * chroma * _hue_weight(middle)
    blue = np.exp(-(((np.rad2deg(middle) - 275) / 25) ** 2))
    rotation = -2 * _saturation(chroma) * np.sin(np.deg2rad(60 * blue))
    dl, dc, dh = (l2 - l1) / scale_light, (c2 - c1) / scale_chroma, hue / scale_hue
    return np.sqrt(np.maximum(dl**2 + dc**2 + dh**2 + rotation * dc * dh, 0))


def _saturation(chroma: np.ndarray) -> np.ndarray:
    return np.sqrt(chroma**7 / (chroma**7 + 25.0**7))


def _hue_weight(hue: np.ndarray) -> np.ndarray:
    return (
        1
        - 0.17 * np.cos(hue - np.deg2rad(30))
        + 0.24 * np.cos(2 * hue)
        + 0.32 * np.cos(3 * hue + np.deg2rad(6))
        - 0.20 * np.cos(4 * hue - np.deg2rad(63))
    )
