"""Cost of a quantized image in bits: the indexed PNG file as written, and its uncompressed parts."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image
from torch import Tensor

from colorcnn.paletted import Paletted

_T = TypeVar("_T")


class Rate(NamedTuple):
    """Bits of one image.

    Attributes:
        png: the whole indexed PNG file, header and palette included.
        packed: the uncompressed index map, 1, 2, 4 or 8 bits per pixel. Rows are padded to whole bytes, as in
            PNG.
        palette: the colours that the image shows, 24 bits each.
        pixels: number of pixels of the image.
    """

    png: int
    packed: int
    palette: int
    pixels: int


def index_depth(colors: int) -> int:
    """Return the bits per index of an indexed PNG with ``colors`` (1..256) colours: 1, 2, 4 or 8."""
    return next(depth for depth in (1, 2, 4, 8) if colors <= 1 << depth)


def packed_bits(height: int, width: int, colors: int) -> int:
    """Return the bits of a packed index map. Rows are padded to whole bytes, as in PNG.

    Args:
        height: rows of the image.
        width: pixels of a row.
        colors: number of colours, 1..256.
    """
    return height * 8 * -(-width * index_depth(colors) // 8)


def rates(paletted: Paletted) -> list[Rate]:
    """Measure each image of a batch, in one thread per core."""
    paletted = paletted.to("cpu")
    height, width = paletted.indices.shape[1:]
    colors = paletted.num_colors.tolist()

    def measure(image: int) -> Rate:
        png = 8 * len(paletted.png(image))
        count = colors[image]
        return Rate(png, packed_bits(height, width, count), 24 * count, height * width)

    return in_threads(measure, len(paletted))


def truecolor_png_bits(images: Tensor) -> list[int]:
    """Return the bits of a truecolour PNG file of each image of a (B, 3, H, W) uint8 batch."""
    pixels = images.permute(0, 2, 3, 1).contiguous().cpu().numpy()

    def measure(image: int) -> int:
        buffer = io.BytesIO()
        Image.fromarray(pixels[image]).save(buffer, "PNG", optimize=True)
        return 8 * buffer.tell()

    return in_threads(measure, len(pixels))


def in_threads(function: Callable[[int], _T], count: int) -> list[_T]:
    """Call a function on 0..count-1, in one thread per core. Compression releases Python's global lock.

    Args:
        function: the function.
        count: number of calls.
    """
    workers = min(count, os.cpu_count() or 1)
    if workers <= 1:
        return [function(image) for image in range(count)]
    with ThreadPoolExecutor(workers) as pool:
        parts = pool.map(
            lambda part: [function(int(image)) for image in part], np.array_split(range(count), workers)
        )
        return [result for part in parts for result in part]
