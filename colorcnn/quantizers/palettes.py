"""Fixed palettes, palettes shared by many images, and a drawing of a palette."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from colorcnn.errors import UsageError
from colorcnn.indexed import Indexed
from colorcnn.quantizers.base import Quantizer, check_kept, drop_unused
from colorcnn.quantizers.designed import Designed, complete, nearest
from colorcnn.quantizers.histogram import Histogram
from colorcnn.quantizers.k_means import KMeans
from colorcnn.quantizers.keeping import Keeping  # noqa: F401 (re-exported for old imports)
from colorcnn.quantizers.palette_files import read_palette  # noqa: F401 (re-exported for old imports)
from colorcnn.quantizers.spaces import check_space

if TYPE_CHECKING:
    from colorcnn.paletted import Paletted

_WEIGHT = np.array([65536, 256, 1], np.int32)


def palette_strip(palette: np.ndarray, side: int = 32) -> Image.Image:
    """Draw a palette as an indexed image of squares, at most 16 in a row.

    Args:
        palette: (n, 3) uint8.
        side: side of a square in pixels.
    """
    columns = min(16, len(palette))
    rows = -(-len(palette) // columns)
    cells = np.minimum(np.arange(rows * columns), len(palette) - 1).astype(np.uint8).reshape(rows, columns)
    picture = Image.fromarray(np.kron(cells, np.ones((side, side), np.uint8)))
    picture.putpalette(palette.tobytes(), "RGB")
    return picture


class Fixed(Quantizer):
    """Quantizer that gives every pixel the nearest colour of a fixed palette.

    Args:
        palette: (n, 3) uint8, 1 <= n <= 256.
        space: colour space of the distances.
    """

    def __init__(self, palette: np.ndarray, *, space: str = "srgb") -> None:
        self.palette = check_kept(palette.tolist())
        self.space = check_space(space)

    def quantize_pixels(self, pixels: np.ndarray, num_colors: int) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`Quantizer.quantize_pixels`.

        Raises:
            UsageError: the palette has more than ``num_colors`` colours.
        """
        if len(self.palette) > num_colors:
            raise UsageError(
                f"The palette has {len(self.palette)} colours, but only {num_colors} are allowed: allow all."
            )
        histogram = Histogram(pixels)
        return drop_unused(
            histogram.per_pixel(nearest(histogram.colors, self.palette, self.space)), self.palette
        )


class SharedPalette:
    """One palette for many images, which are added one after the other.

    This package's own methods design it for all colours of all images, weighted by their pixels. For other
    methods, k-means combines the palettes of the images, with colours weighted by their pixels.

    Args:
        quantizer: the method.
        num_colors: 1..256.
    """

    def __init__(self, quantizer: Any, num_colors: int) -> None:
        self.quantizer = quantizer
        self.num_colors = num_colors
        self._counts = np.zeros(1 << 24, np.uint64)

    def add(self, colors: np.ndarray, counts: np.ndarray) -> None:
        """Add distinct colours with their numbers of pixels.

        Args:
            colors: (n, 3) uint8.
            counts: (n,) number of pixels of each colour.
        """
        self._counts[colors.astype(np.int32) @ _WEIGHT] += counts.astype(np.uint64)

    def show(self, pixels: np.ndarray) -> None:
        """Add the pixels (..., 3) uint8 of an image, for example its visible ones."""
        if not pixels.size:
            return
        if isinstance(self.quantizer, Designed):
            histogram = Histogram(pixels)
            self.add(histogram.colors, histogram.counts)
        else:
            import torch

            images = torch.from_numpy(pixels).reshape(1, -1, *pixels.shape[-2:])
            result = self.quantizer(images, self.num_colors, channels_last=True)
            self.show_quantized(result, np.ones(result.indices.shape[1:], dtype=bool))

    def show_quantized(self, result: Paletted | Indexed, visible: np.ndarray) -> None:
        """Add the visible pixels of an image that the method has quantized.

        Args:
            result: the quantized image.
            visible: (H, W) bool.
        """
        indices, palette = result.compact(transparent=~visible)
        self.add(palette, np.bincount(indices[visible], minlength=len(palette)))

    def design(self) -> np.ndarray:
        """Return the palette, (n, 3) uint8: ``num_colors`` colours, or all colours if there are fewer.

        Raises:
            UsageError: no pixel was added.
        """
        codes = np.flatnonzero(self._counts)
        if not codes.size:
            raise UsageError("No image has a visible pixel: there is no palette to share.")
        colors = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1).astype(np.uint8)
        counts = self._counts[codes]
        scale = max(1, -(-int(counts.max()) // (2**32 - 1)))
        counts = np.maximum(counts // scale, 1).astype(np.uint32)
        method = self.quantizer if isinstance(self.quantizer, Designed) else KMeans()
        palette = method.design_palette(colors, counts, self.num_colors)
        return complete(colors, counts, palette, self.num_colors, method.space)[1]
