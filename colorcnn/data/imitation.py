"""Imitation targets: the index maps that a classical quantizer gives for the training images.

The imitation loss (ColorCNN+, equations 10-12) compares a learned index map with them, as partitions: which
pixels share a colour matters, the numbering of the colours does not.
"""

from __future__ import annotations

import numpy as np

from colorcnn.data.classical import ClassicalResults, method_version
from colorcnn.paletted import Paletted

__all__ = ["ImitationTargets", "method_version"]


class ImitationTargets(ClassicalResults):
    """Index maps of a quantizer for the images of one split, uint8 (B, H, W) for a batch.

    Flip them together with the images. Arguments and errors are those of :class:`ClassicalResults`.
    """

    folder = "imitation"
    title = "imitation targets"

    def shape(self, num_colors: int) -> tuple[int, ...]:
        """See :meth:`ClassicalResults.shape`."""
        return self.image_size

    def kept(self, paletted: Paletted) -> np.ndarray:
        """See :meth:`ClassicalResults.kept`."""
        return paletted.indices.numpy()
