"""PhotoDigits: real handwritten digits drawn with a see-through colour on real photographs, 32x32 RGB.

A digit is about as bright as its background and differs in hue, on a crop with strong contrasts of its own:
a person sees it at once, while a palette of two colours that follows the pixels often goes to the photograph.

The digits are the 1,797 of scikit-learn's ``load_digits`` (E. Alpaydin and C. Kaynak, Optical Recognition of
Handwritten Digits, UCI, 1998), the backgrounds crops of the two photographs of ``load_sample_images``. Train,
val and test share neither a digit nor a pixel of a photograph. Nothing is downloaded.
"""

from __future__ import annotations

import numpy as np

SIZE = 32
_BAND = 64  # each photograph is cut into vertical bands of this width, and every band belongs to one split
_BANDS = {"train": (0, 1, 3, 5, 6, 8, 9), "val": (4,), "test": (2, 7)}
_DIGITS = {"train": (0.0, 0.7), "val": (0.7, 0.8), "test": (0.8, 1.0)}
_TRIES = 4  # places looked at for one crop
_LUMINANCE = np.array([0.299, 0.587, 0.114])
_BRIGHTER = (-40, 40)  # how much brighter than its background's mean a colour is, of 255
_ALPHA = (0.7, 0.9)  # how opaque a stroke is


def photo_digits(
    seed: int = 0, train: int = 8000, val: int = 1000, test: int = 2000
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Build the data set.

    Args:
        seed: decides everything; the same arrays for the same seed.
        train: number of training images.
        val: number of validation images.
        test: number of test images.

    Returns:
        for each of "train", "val" and "test": uint8 (n, 32, 32, 3) images and int64 (n,) labels, 0..9.
    """
    from sklearn.datasets import load_digits, load_sample_images

    digits, labels = load_digits(return_X_y=True)
    strokes = digits.reshape(-1, 8, 8) / 16
    photos = np.stack(load_sample_images().images)
    shuffled = np.random.RandomState(seed).permutation(len(labels))
    result = {}
    for number, (name, count) in enumerate({"train": train, "val": val, "test": test}.items()):
        random = np.random.RandomState((seed, number))
        first, last = (round(part * len(labels)) for part in _DIGITS[name])
        which = random.choice(shuffled[first:last], count)
        crops = _crops(photos, _BANDS[name], count, random)
        result[name] = (
            _draw(_resample(strokes[which], random), crops, random),
            labels[which].astype(np.int64),
        )
    return result


def _crops(
    photos: np.ndarray, bands: tuple[int, ...], count: int, random: np.random.RandomState
) -> np.ndarray:
    """(count, 32, 32, 3) crops of (P, H, W, 3) photographs inside the bands: the liveliest of a few."""
    contrast = _contrast(photos @ _LUMINANCE)
    shape = (count, _TRIES)
    photo = random.randint(len(photos), size=shape)
    top = random.randint(photos.shape[1] - SIZE + 1, size=shape)
    left = random.choice(bands, shape) * _BAND + random.randint(_BAND - SIZE + 1, size=shape)
    best = contrast[photo, top, left].argmax(axis=1)
    photo, top, left = (values[np.arange(count), best][:, None, None] for values in (photo, top, left))
    return photos[photo, top + np.arange(SIZE)[:, None], left + np.arange(SIZE)]


def _contrast(luminance: np.ndarray) -> np.ndarray:
    """Variance inside every 32x32 window of (P, H, W) photographs, at the window's upper left pixel."""

    def window_mean(values: np.ndarray) -> np.ndarray:
        sums = np.pad(values, ((0, 0), (1, 0), (1, 0))).cumsum(1).cumsum(2)
        far, near = slice(SIZE, None), slice(None, -SIZE)
        boxes = sums[:, far, far] - sums[:, far, near] - sums[:, near, far] + sums[:, near, near]
        return boxes / SIZE**2

    return window_mean(luminance**2) - window_mean(luminance) ** 2


def _resample(strokes: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    """(n, 8, 8) strokes enlarged to (n, 32, 32), each at its own size and place, by cubic convolution."""
    count = len(strokes)
    scale = random.uniform(2.8, 4.0, size=(count, 1))  # pixels per cell: the digit is 22 to 32 pixels high
    slack = SIZE - 8 * scale

    def weights() -> np.ndarray:
        origin = slack * random.uniform(0, 1, size=(count, 1))
        position = (np.arange(SIZE) + 0.5 - origin) / scale - 0.5
        return _cubic(position[:, :, None] - np.arange(8))

    return np.clip(weights() @ strokes @ weights().transpose(0, 2, 1), 0, 1)


def _cubic(distance: np.ndarray) -> np.ndarray:
    """R. Keys's interpolation kernel (1981), a = -1/2."""
    x = np.abs(distance)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _draw(strokes: np.ndarray, crops: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    """Blend each stroke (n, 32, 32) in a colour of its own into its crop (n, 32, 32, 3)."""
    count = len(strokes)
    hue = random.uniform(size=(count, 3))
    low, high = hue.min(1, keepdims=True), hue.max(1, keepdims=True)
    color = 255 * (hue - low) / (high - low)
    brightness = (crops @ _LUMINANCE).mean(axis=(1, 2)) + random.uniform(*_BRIGHTER, size=count)
    color = np.clip(color + (brightness - color @ _LUMINANCE)[:, None], 0, 255)
    alpha = random.uniform(*_ALPHA, size=(count, 1, 1, 1)) * strokes[..., None]
    return np.floor((1 - alpha) * crops + alpha * color[:, None, None] + 0.5).astype(np.uint8)
