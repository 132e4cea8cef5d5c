"""Registries of the classical methods and the dithering methods; each is imported on first use."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from colorcnn.lazy import LazyDict

if TYPE_CHECKING:
    import numpy as np

    from colorcnn.quantizers.base import Quantizer

QUANTIZERS: LazyDict[type[Quantizer]] = LazyDict(
    {
        "k-means": "colorcnn.quantizers.k_means:KMeans",
        "max-coverage": "colorcnn.quantizers.max_coverage:MaxCoverage",
        "median-cut": "colorcnn.quantizers.median_cut:MedianCut",
        "octree": "colorcnn.quantizers.octree:Octree",
        "stochastic": "colorcnn.quantizers.stochastic:Stochastic",
        "variance-cut": "colorcnn.quantizers.variance_cut:VarianceCut",
        "wu": "colorcnn.quantizers.wu:Wu",
    }
)
"""Name -> class of a classical method."""

QUALITIES = ("fast", "default", "best")
"""Qualities of k-means, see :data:`colorcnn.quantizers.k_means.QUALITIES`."""

DITHERS: LazyDict[Callable[..., np.ndarray]] = LazyDict(
    {
        "blue-noise": "colorcnn.quantizers.dither:blue_noise",
        "floyd-steinberg": "colorcnn.quantizers.dither:floyd_steinberg",
        "ordered": "colorcnn.quantizers.dither:ordered",
    }
)
"""Name -> function that dithers (H, W, 3) uint8 pixels with an (n, 3) uint8 palette."""
