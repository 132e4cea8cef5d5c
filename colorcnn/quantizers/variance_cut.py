"""Variance cut: S. Wan, P. Prusinkiewicz and S. Wong, Variance-based color image quantization, 1990."""

from __future__ import annotations

import numpy as np

from colorcnn.quantizers.boxes import variance_cut
from colorcnn.quantizers.designed import Designed, Points


class VarianceCut(Designed):
    """Variance cut: the cluster of largest squared error is split across its principal axis."""

    def design(self, points: Points, num_colors: int, kept: np.ndarray) -> np.ndarray:
        """See :meth:`Designed.design`."""
        return np.hstack([kept, variance_cut(*points, num_colors - kept.shape[1])])
