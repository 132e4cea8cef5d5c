"""Wu: X. Wu, Efficient statistical computations for optimal color quantization, Graphics Gems II, 1991."""

from __future__ import annotations

import numpy as np

from colorcnn.quantizers.boxes import CELLS, moments, wu
from colorcnn.quantizers.designed import Designed, Points


def wu_centers(points: Points, num_colors: int) -> np.ndarray:
    """Return at most ``num_colors`` centres (3, k) float32 of weighted points.

    Args:
        points: the points and their weights.
        num_colors: maximum number of centres.
    """
    table = np.empty((CELLS + 1, CELLS + 1, CELLS + 1, 5))
    moments(points.coordinates, points.weights, table)
    centers: np.ndarray = wu(table, num_colors)
    return centers


class Wu(Designed):
    """Wu's quantizer: a 3-D histogram is split into boxes by planes that lower the squared error most.

    The histogram has 32 cells along each axis, over the range of the image's colours.
    """

    def design(self, points: Points, num_colors: int, kept: np.ndarray) -> np.ndarray:
        """See :meth:`Designed.design`."""
        return np.hstack([kept, wu_centers(points, num_colors - kept.shape[1])])
