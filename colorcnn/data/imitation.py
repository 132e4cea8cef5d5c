"""Imitation targets: index maps of a classical quantizer for the training images.

The imitation loss (ColorCNN+, equations 10-12) compares learned index maps with them as partitions: only the
sets of pixels with equal colour matter, not the numbers of the colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from colorcnn.data.classical import ClassicalResults, method_version
from colorcnn.data.datasets import ImageSplit
from colorcnn.errors import unknown_name
from colorcnn.paletted import Paletted, to_bytes
from colorcnn.parallel import Workers
from colorcnn.quantizers import QUANTIZERS
from colorcnn.quantizers.batched_median_cut import median_cut_index_maps
from colorcnn.quantizers.batched_wu import wu_index_maps

__all__ = ["ComputedTargets", "ImitationTargets", "method_version", "open_targets"]


class ImitationTargets(ClassicalResults):
    """Cached index maps of a quantizer for the images of one split, uint8 (B, H, W) for a batch.

    They must be flipped together with the images. For arguments and errors see :class:`ClassicalResults`.
    """

    folder = "imitation"
    title = "imitation targets"

    def shape(self, num_colors: int) -> tuple[int, ...]:
        """See :meth:`ClassicalResults.shape`."""
        return self.image_size

    def kept(self, paletted: Paletted) -> np.ndarray:
        """See :meth:`ClassicalResults.kept`."""
        return paletted.indices.numpy()

    def of(self, images: Tensor, index: Tensor, num_colors: int) -> Tensor:
        """Return the index maps of a batch on the device of its images; see :meth:`lookup`.

        Args:
            images: (B, 3, H, W), of which only the device is used.
            index: (B,) positions in the split.
            num_colors: C.
        """
        return self.lookup(index, num_colors, images.device)


_ON_DEVICE = {"median-cut": median_cut_index_maps, "wu": wu_index_maps}


class ComputedTargets:
    """Index maps computed for every batch, for data sets whose maps are too large for the disk.

    The maps of all 1.3 million images of ImageNet at six palette sizes would take 390 GB. The maps of
    MedianCut and Wu are computed on the GPU of the images, all others on the CPU. Both give the same maps.

    Args:
        quantizer: a name in :data:`colorcnn.quantizers.QUANTIZERS`.

    Raises:
        UsageError: the quantizer is unknown.
    """

    def __init__(self, quantizer: str = "median-cut") -> None:
        if quantizer not in QUANTIZERS:
            raise unknown_name("quantizer", quantizer, QUANTIZERS)
        self.name = quantizer
        self.quantizer = QUANTIZERS[quantizer]()

    def of(self, images: Tensor, index: Tensor, num_colors: int) -> Tensor:
        """Return the index maps of a batch.

        Args:
            images: float (B, 3, H, W) in [0, 1].
            index: int64 (B,), unused.
            num_colors: C.

        Returns:
            uint8 (B, H, W) on the device of the images, each entry below C.
        """
        del index
        with torch.no_grad():
            pixels = to_bytes(images)
            if self.name in _ON_DEVICE and images.device.type != "cpu":
                return _ON_DEVICE[self.name](pixels, num_colors)
            return self.quantizer(pixels, num_colors).indices


def open_targets(
    train: ImageSplit,
    sizes: Sequence[int],
    quantizer: str,
    device: torch.device,
    *,
    maps: Literal["cached", "computed"] = "cached",
    workers: Workers | None = None,
) -> ImitationTargets | ComputedTargets:
    """Open the imitation targets of a training.

    Args:
        train: the training images.
        sizes: the palette sizes with an imitation loss.
        quantizer: a name in :data:`colorcnn.quantizers.QUANTIZERS`.
        device: device of the training.
        maps: ``cached`` on the disk, or ``computed`` for each batch.
        workers: processes or a cluster that compute missing maps for the disk; None to compute them here.
    """
    if maps == "computed":
        return ComputedTargets(quantizer)
    return ImitationTargets(train, sizes, quantizer, workers=workers).to(device)
