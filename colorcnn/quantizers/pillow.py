"""Base class of Pillow's methods."""

from __future__ import annotations

import numpy as np
from PIL import Image

from colorcnn.quantizers.base import Quantizer, drop_unused


def palette_of(picture: Image.Image) -> np.ndarray:
    """Return the palette of a mode-P image as (n, 3) uint8, with a row for its largest index."""
    rows = np.array(picture.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
    needed = int(np.asarray(picture).max()) + 1
    return np.pad(rows, ((0, max(0, needed - len(rows))), (0, 0)))


class PillowQuantizer(Quantizer):
    """Base class of Pillow's quantization methods, whose results are unchanged."""

    method: Image.Quantize

    def quantize_pixels(self, pixels: np.ndarray, num_colors: int) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`Quantizer.quantize_pixels`."""
        picture = Image.fromarray(pixels).quantize(num_colors, method=self.method, dither=Image.Dither.NONE)
        return drop_unused(np.asarray(picture), palette_of(picture))
