"""Colour spaces in which a palette can be designed."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from colorcnn.errors import unknown_name

# sRGB to CIE XYZ for D65, IEC 61966-2-1, with rows scaled so that white is (1, 1, 1), as CIELAB needs.
_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_TO_XYZ = _XYZ / _XYZ.sum(axis=1, keepdims=True)
_FROM_XYZ = np.linalg.inv(_TO_XYZ)
# B. Ottosson, A perceptual color space for image processing, 2020.
_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
_FROM_LMS, _FROM_OKLAB = np.linalg.inv(_TO_LMS), np.linalg.inv(_TO_OKLAB)
_DELTA = 6 / 29


def _linear(values: np.ndarray) -> np.ndarray:
    """Convert sRGB values 0..255 to linear light 0..1."""
    values = np.asarray(values, dtype=np.float64) / 255
    return np.where(values <= 0.04045, values / 12.92, ((np.maximum(values, 0) + 0.055) / 1.055) ** 2.4)


def _gamma(light: np.ndarray) -> np.ndarray:
    light = np.clip(light, 0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def _to_cielab(values: np.ndarray) -> np.ndarray:
    xyz = _TO_XYZ @ _linear(values)
    f = np.where(xyz > _DELTA**3, np.cbrt(xyz), xyz / (3 * _DELTA**2) + 4 / 29)
    return np.stack([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def _from_cielab(lab: np.ndarray) -> np.ndarray:
    y = (lab[0].astype(np.float64) + 16) / 116
    f = np.stack([y + lab[1] / 500, y, y - lab[2] / 200])
    return _gamma(_FROM_XYZ @ np.where(f > _DELTA, f**3, 3 * _DELTA**2 * (f - 4 / 29)))


class Space(NamedTuple):
    """A colour space: functions from and to sRGB, both (3, n) to (3, n); sRGB values are in 0..255."""

    enter: Callable[[np.ndarray], np.ndarray]
    leave: Callable[[np.ndarray], np.ndarray]


# Linear light and Oklab are scaled to about the range 0..255 of the others, so that tolerances fit all.
SPACES: dict[str, Space] = {
    "srgb": Space(lambda values: values, lambda values: values),
    "linear": Space(
        lambda values: 255 * _linear(values), lambda light: _gamma(light.astype(np.float64) / 255)
    ),
    "oklab": Space(
        lambda values: 255 * (_TO_OKLAB @ np.cbrt(_TO_LMS @ _linear(values))),
        lambda lab: _gamma(_FROM_LMS @ (_FROM_OKLAB @ (lab.astype(np.float64) / 255)) ** 3),
    ),
    "cielab": Space(_to_cielab, _from_cielab),
}


def check_space(space: str) -> str:
    """Return ``space``; raise UsageError if it is unknown."""
    if space not in SPACES:
        raise unknown_name("colour space", space, SPACES)
    return space


def enter(values: np.ndarray, space: str) -> np.ndarray:
    """Convert sRGB to the coordinates of a space, (3, n) float32.

    Args:
        values: (3, n) in 0..255.
        space: name of the colour space.
    """
    return np.ascontiguousarray(SPACES[space].enter(values), dtype=np.float32)


def leave(coordinates: np.ndarray, space: str) -> np.ndarray:
    """Convert coordinates to the nearest 8-bit sRGB colours, (n, 3) uint8.

    Args:
        coordinates: (3, n).
        space: name of the colour space.
    """
    values = SPACES[space].leave(coordinates)
    rounded: np.ndarray = np.floor(np.clip(values, 0, 255) + 0.5).astype(np.uint8)
    return rounded.T.copy()
