"""Start palettes: cached palettes of a classical quantizer for the training of palette attention."""

from __future__ import annotations

import numpy as np

from colorcnn.data.classical import ClassicalResults
from colorcnn.paletted import Paletted
from colorcnn.quantizers.base import full_palettes


class StartPalettes(ClassicalResults):
    """Palettes of a quantizer for the images of one split, uint8 (B, C, 3) for a batch.

    A flipped image keeps its palette. Unused rows repeat the first row. For arguments and errors see
    :class:`ClassicalResults`.
    """

    folder = "start-palettes"
    title = "start palettes"

    def shape(self, num_colors: int) -> tuple[int, ...]:
        """See :meth:`ClassicalResults.shape`."""
        return num_colors, 3

    def kept(self, paletted: Paletted) -> np.ndarray:
        """See :meth:`ClassicalResults.kept`."""
        return full_palettes(paletted).numpy()
