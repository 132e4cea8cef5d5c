"""Every quantizer of the benchmark as one call: pixels and colours wanted in, indices and palette out."""

from __future__ import annotations

import importlib.util
import io
import os
from collections.abc import Callable

import numpy as np
from PIL import Image
from quantizer_targets import ANCHOR

from colorcnn.quantizers import QUANTIZERS
from colorcnn.quantizers.designed import nearest
from colorcnn.quantizers.histogram import Histogram
from colorcnn.quantizers.k_means import KMeans

Result = tuple[np.ndarray, np.ndarray]
Run = Callable[[np.ndarray, int], Result]


def rounded(palette: np.ndarray) -> np.ndarray:
    """A palette of floats in 0..255 as bytes, as every indexed file has it."""
    return np.floor(np.clip(palette, 0, 255) + 0.5).astype(np.uint8)


def pillow(method: Image.Quantize) -> Run:
    """One of Pillow's methods, called as its users do."""

    def run(pixels: np.ndarray, colors: int) -> Result:
        picture = Image.fromarray(pixels).quantize(colors, method=method, dither=Image.Dither.NONE)
        rows = np.array(picture.getpalette("RGB"), np.uint8).reshape(-1, 3)
        return np.asarray(picture), np.pad(rows, ((0, 256 - len(rows)), (0, 0)))

    return run


def imagequant(pixels: np.ndarray, colors: int) -> Result:
    """The engine of pngquant, without dithering."""
    import imagequant

    height, width = pixels.shape[:2]
    rgba = np.dstack([pixels, np.full((height, width), 255, np.uint8)]).tobytes()
    data, rows = imagequant.quantize_raw_rgba_bytes(
        rgba, width, height, dithering_level=0.0, max_colors=colors
    )
    palette = np.array(rows, np.uint8).reshape(-1, 4)[:, :3]
    return np.frombuffer(data, np.uint8).reshape(height, width), palette


def sklearn_pixels(pixels: np.ndarray, colors: int) -> Result:
    """The recipe of books: scikit-learn's k-means on all pixels."""
    from sklearn.cluster import KMeans as SklearnKMeans

    model = SklearnKMeans(colors, n_init=1, max_iter=100, random_state=0)
    labels = model.fit_predict(pixels.reshape(-1, 3) / np.float32(255))
    return labels.reshape(pixels.shape[:2]), rounded(model.cluster_centers_ * 255)


def sklearn_unique(pixels: np.ndarray, colors: int, restarts: int = 1) -> Result:
    """scikit-learn's k-means on the different colours, each weighted by its pixels."""
    from sklearn.cluster import KMeans as SklearnKMeans

    codes = pixels.reshape(-1, 3).astype(np.int32) @ np.array([65536, 256, 1], np.int32)
    unique, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    points = np.stack([unique >> 16, unique >> 8 & 255, unique & 255], axis=1) / np.float32(255)
    model = SklearnKMeans(colors, n_init=restarts, max_iter=100, random_state=0)
    labels = model.fit_predict(points, sample_weight=counts.astype(np.float32))
    return labels[inverse].reshape(pixels.shape[:2]), rounded(model.cluster_centers_ * 255)


def sklearn_batches(pixels: np.ndarray, colors: int) -> Result:
    """scikit-learn's mini-batch k-means on all pixels."""
    from sklearn.cluster import MiniBatchKMeans

    model = MiniBatchKMeans(colors, n_init=1, random_state=0)
    labels = model.fit_predict(pixels.reshape(-1, 3) / np.float32(255))
    return labels.reshape(pixels.shape[:2]), rounded(model.cluster_centers_ * 255)


def opencv(pixels: np.ndarray, colors: int) -> Result:
    """OpenCV's k-means on all pixels, ten iterations from k-means++."""
    import cv2

    cv2.setNumThreads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    cv2.setRNGSeed(0)
    stop = (cv2.TERM_CRITERIA_MAX_ITER, 10, 0)
    values = pixels.reshape(-1, 3).astype(np.float32)
    _, labels, centers = cv2.kmeans(values, colors, None, stop, 1, cv2.KMEANS_PP_CENTERS)
    return labels.reshape(pixels.shape[:2]), rounded(centers)


def pyvips(pixels: np.ndarray, colors: int) -> Result:
    """The quantizer of libvips, without dithering: 2, 4, 8 .. 256 colours, as a file.

    The file is PNG without compression, or GIF where PNG has no indices of that many bits.
    """
    import pyvips

    bits = max(1, (colors - 1).bit_length())
    image = pyvips.Image.new_from_array(pixels)
    if bits in (1, 2, 4, 8):
        data = image.pngsave_buffer(palette=True, bitdepth=bits, Q=100, dither=0.0, compression=0)
    else:
        data = image.gifsave_buffer(bitdepth=bits, dither=0.0)
    with Image.open(io.BytesIO(data)) as picture:
        found = picture.quantize(256) if picture.mode != "P" else picture
        rows = np.array(found.getpalette("RGB"), np.uint8).reshape(-1, 3)
        return np.asarray(found), np.pad(rows, ((0, 256 - len(rows)), (0, 0)))


def published_sq(pixels: np.ndarray, colors: int) -> Result:
    """Stochastic Quantization as published: a step at each pixel, in random order, r = 3, rate 0.001."""
    random = np.random.RandomState(42)
    points = pixels.reshape(-1, 3) / 255
    elements = points[random.choice(len(points), size=1, replace=False)]
    for _ in range(1, colors):
        distance = np.sqrt(np.min([((points - row) ** 2).sum(axis=1) for row in elements], axis=0))
        shares = np.cumsum(distance / distance.sum())
        place = min(int(np.searchsorted(shares, random.rand())), len(points) - 1)
        elements = np.vstack([elements, points[place]])
    for point in random.permutation(points):
        k = np.argmin(np.linalg.norm(elements - point, axis=1))
        away = elements[k] - point
        elements[k] -= 0.001 * 3 * np.linalg.norm(away) * away
    histogram = Histogram(pixels)
    palette = rounded(elements * 255)
    return histogram.per_pixel(nearest(histogram.colors, palette)), palette


def own(name: str, **options: str) -> Run:
    """One of this package's methods."""
    quantizer = KMeans(**options) if name == "k-means" else QUANTIZERS[name](**options)
    return quantizer.quantize_pixels


PEERS: dict[str, tuple[str | None, Run]] = {
    ANCHOR: (None, pillow(Image.Quantize.MEDIANCUT)),
    "Pillow MAXCOVERAGE": (None, pillow(Image.Quantize.MAXCOVERAGE)),
    "Pillow FASTOCTREE": (None, pillow(Image.Quantize.FASTOCTREE)),
    "imagequant": ("imagequant", imagequant),
    "scikit-learn, pixels": ("sklearn", sklearn_pixels),
    "scikit-learn, unique": ("sklearn", sklearn_unique),
    "scikit-learn, mini-batch": ("sklearn", sklearn_batches),
    "OpenCV": ("cv2", opencv),
    "pyvips": ("pyvips", pyvips),
    "wu": (None, own("wu")),
    "variance-cut": (None, own("variance-cut")),
    "stochastic": (None, own("stochastic")),
    "k-means fast": (None, own("k-means", quality="fast")),
    "k-means": (None, own("k-means")),
    "k-means best": (None, own("k-means", quality="best")),
}
"""By the name in tables: the module it needs, if it may be missing, and the call."""


POWERS_OF_TWO = ("pyvips",)
"""Methods that have no other numbers of colours."""


def installed() -> tuple[dict[str, Run], list[str]]:
    """The peers that can run here, and the names of those whose package is missing."""
    there = {
        name: run for name, (module, run) in PEERS.items() if not module or importlib.util.find_spec(module)
    }
    return there, [name for name in PEERS if name not in there]
