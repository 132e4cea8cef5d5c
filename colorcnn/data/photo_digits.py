"""PhotoDigits: real handwritten digits in a semi-transparent colour on real photographs, 32x32 RGB.

A digit is about as bright as its background and differs in hue. The background has strong contrasts. A person
sees the digit at once, but a palette of two colours with small error often shows only the photograph.

The digits are the 1,797 of scikit-learn's ``load_digits`` (E. Alpaydin and C. Kaynak, Optical Recognition of
Handwritten Digits, UCI, 1998). The backgrounds are crops of the two photographs of ``load_sample_images``.
Train, val and test share no digit and no pixel of a photograph. Nothing is downloaded.

Two more data sets are made in the same way: :func:`photo_digit_masks` has the class of every pixel, and
:func:`photo_digit_scenes` has one to three digits on a photograph of 64x64 pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

SIZE = 32
_BAND = 64  # width of the vertical bands of the photographs; every band belongs to one split
_BANDS = {"train": (0, 1, 3, 5, 6, 8, 9), "val": (4,), "test": (2, 7)}
_DIGITS = {"train": (0.0, 0.7), "val": (0.7, 0.8), "test": (0.8, 1.0)}
_TRIES = 4  # candidate positions for each crop
_LUMINANCE = np.array([0.299, 0.587, 0.114])
_BRIGHTER = (-40, 40)  # range of the difference in brightness between digit and background, of 255
_ALPHA = (0.7, 0.9)  # range of a stroke's opacity


def photo_digits(
    seed: int = 0, train: int = 8000, val: int = 1000, test: int = 2000
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Build the data set.

    Args:
        seed: seed of the data set; equal seeds give equal arrays.
        train: number of training images.
        val: number of validation images.
        test: number of test images.

    Returns:
        For each of "train", "val" and "test": uint8 (n, 32, 32, 3) images and int64 (n,) labels, 0..9.
    """
    parts = _one_digit_each(seed, {"train": train, "val": val, "test": test})
    return {name: (images, labels) for name, images, labels, _ in parts}


def photo_digit_masks(
    seed: int = 0, train: int = 8000, val: int = 1000, test: int = 2000
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Build the images of :func:`photo_digits` with the class of every pixel.

    Args:
        seed: seed of the data set; with equal seeds the images are those of :func:`photo_digits`.
        train: number of training images.
        val: number of validation images.
        test: number of test images.

    Returns:
        For each of "train", "val" and "test": uint8 (n, 32, 32, 3) images and uint8 (n, 32, 32) masks: 0 for
        the photograph, 1..10 for pixels that the digits 0..9 cover by at least a half.
    """
    result = {}
    for name, images, labels, strokes in _one_digit_each(seed, {"train": train, "val": val, "test": test}):
        result[name] = images, np.where(strokes >= 0.5, labels[:, None, None] + 1, 0).astype(np.uint8)
    return result


def photo_digit_scenes(
    seed: int = 0, train: int = 8000, val: int = 1000, test: int = 2000
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Build photographs with one to three digits, each in another quarter.

    Args:
        seed: seed of the data set; equal seeds give equal arrays.
        train: number of training images.
        val: number of validation images.
        test: number of test images.

    Returns:
        For each of "train", "val" and "test": uint8 (n, 64, 64, 3) images and float32 (n, 10) labels: 1 for
        every digit in the image.
    """
    result = {}
    for part in _parts(seed, {"train": train, "val": val, "test": test}):
        random, count = part.random, part.count
        crops = _crops(part.photos, _BANDS[part.name], count, random, 2 * SIZE)
        shown = random.randint(1, 4, size=(count, 1)) > random.rand(count, 4).argsort(axis=1)
        which = part.choose(count * 4).reshape(count, 4)
        strokes = _resample(part.strokes[which.ravel()], random) * shown.reshape(-1, 1, 1)
        quarters = crops.reshape(count, 2, SIZE, 2, SIZE, 3).swapaxes(2, 3).reshape(-1, SIZE, SIZE, 3)
        drawn = _draw(strokes, quarters, random).reshape(count, 2, 2, SIZE, SIZE, 3).swapaxes(2, 3)
        labels = np.zeros((count, 10), np.float32)
        rows, positions = np.nonzero(shown)
        labels[rows, part.labels[which[rows, positions]]] = 1
        result[part.name] = np.ascontiguousarray(drawn).reshape(crops.shape), labels
    return result


def _one_digit_each(
    seed: int, counts: dict[str, int]
) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield each split's name, images, labels (n,) and strokes (n, 32, 32) in [0, 1]."""
    for part in _parts(seed, counts):
        which = part.choose(part.count)
        crops = _crops(part.photos, _BANDS[part.name], part.count, part.random)
        strokes = _resample(part.strokes[which], part.random)
        yield part.name, _draw(strokes, crops, part.random), part.labels[which], strokes


@dataclass(frozen=True)
class _Part:
    """Digits, photographs and random numbers of one split."""

    name: str
    count: int
    digits: np.ndarray  # positions among all strokes
    strokes: np.ndarray  # (N, 8, 8) in [0, 1], of all splits
    labels: np.ndarray  # (N,) int64
    photos: np.ndarray
    random: np.random.RandomState

    def choose(self, count: int) -> np.ndarray:
        """Draw digits of this split, (count,) positions."""
        return self.random.choice(self.digits, count)


def _parts(seed: int, counts: dict[str, int]) -> Iterator[_Part]:
    from sklearn.datasets import load_digits, load_sample_images

    digits, labels = load_digits(return_X_y=True)
    strokes = digits.reshape(-1, 8, 8) / 16
    photos = np.stack(load_sample_images().images)
    shuffled = np.random.RandomState(seed).permutation(len(labels))
    for number, (name, count) in enumerate(counts.items()):
        first, last = (round(part * len(labels)) for part in _DIGITS[name])
        random = np.random.RandomState((seed, number))
        yield _Part(name, count, shuffled[first:last], strokes, labels.astype(np.int64), photos, random)


def _crops(
    photos: np.ndarray,
    bands: tuple[int, ...],
    count: int,
    random: np.random.RandomState,
    size: int = SIZE,
) -> np.ndarray:
    """Return crops (count, size, size, 3) of high contrast of photographs (P, H, W, 3), inside the bands."""
    contrast = _contrast(photos @ _LUMINANCE, size)
    shape = (count, _TRIES)
    photo = random.randint(len(photos), size=shape)
    top = random.randint(photos.shape[1] - size + 1, size=shape)
    left = random.choice(bands, shape) * _BAND + random.randint(_BAND - size + 1, size=shape)
    best = contrast[photo, top, left].argmax(axis=1)
    photo, top, left = (values[np.arange(count), best][:, None, None] for values in (photo, top, left))
    return photos[photo, top + np.arange(size)[:, None], left + np.arange(size)]


def _contrast(luminance: np.ndarray, size: int) -> np.ndarray:
    """Return the variance of every square window of photographs (P, H, W), at its upper left pixel."""

    def window_mean(values: np.ndarray) -> np.ndarray:
        sums = np.pad(values, ((0, 0), (1, 0), (1, 0))).cumsum(1).cumsum(2)
        far, near = slice(size, None), slice(None, -size)
        boxes = sums[:, far, far] - sums[:, far, near] - sums[:, near, far] + sums[:, near, near]
        return boxes / size**2

    return window_mean(luminance**2) - window_mean(luminance) ** 2


def _resample(strokes: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    """Enlarge strokes (n, 8, 8) to (n, 32, 32) with random size and position, by cubic convolution."""
    count = len(strokes)
    scale = random.uniform(2.8, 4.0, size=(count, 1))  # pixels per cell: the digit is 22 to 32 pixels high
    slack = SIZE - 8 * scale

    def weights() -> np.ndarray:
        origin = slack * random.uniform(0, 1, size=(count, 1))
        position = (np.arange(SIZE) + 0.5 - origin) / scale - 0.5
        return _cubic(position[:, :, None] - np.arange(8))

    return np.clip(weights() @ strokes @ weights().transpose(0, 2, 1), 0, 1)


def _cubic(distance: np.ndarray) -> np.ndarray:
    """Return R. Keys's interpolation kernel (1981), a = -1/2."""
    x = np.abs(distance)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _draw(strokes: np.ndarray, crops: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    """Blend each stroke (n, 32, 32) in a random colour into its crop (n, 32, 32, 3)."""
    count = len(strokes)
    hue = random.uniform(size=(count, 3))
    low, high = hue.min(1, keepdims=True), hue.max(1, keepdims=True)
    color = 255 * (hue - low) / (high - low)
    brightness = (crops @ _LUMINANCE).mean(axis=(1, 2)) + random.uniform(*_BRIGHTER, size=count)
    color = np.clip(color + (brightness - color @ _LUMINANCE)[:, None], 0, 255)
    alpha = random.uniform(*_ALPHA, size=(count, 1, 1, 1)) * strokes[..., None]
    return np.floor((1 - alpha) * crops + alpha * color[:, None, None] + 0.5).astype(np.uint8)
