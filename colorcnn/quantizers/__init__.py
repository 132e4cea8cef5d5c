"""Classical quantizers, one file each. A new one is a file and an entry in :mod:`.registry`.

torch and compiled code are imported only when a method is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from colorcnn.quantizers.base import MAX_COLORS, Quantizer, check_num_colors
from colorcnn.quantizers.dithered import Dithered
from colorcnn.quantizers.registry import DITHERS, QUANTIZERS

if TYPE_CHECKING:
    from colorcnn.quantizers.k_means import KMeans
    from colorcnn.quantizers.max_coverage import MaxCoverage
    from colorcnn.quantizers.median_cut import MedianCut
    from colorcnn.quantizers.octree import Octree
    from colorcnn.quantizers.stochastic import Stochastic
    from colorcnn.quantizers.variance_cut import VarianceCut
    from colorcnn.quantizers.wu import Wu

_HOME = {
    "KMeans": "k_means",
    "MaxCoverage": "max_coverage",
    "MedianCut": "median_cut",
    "Octree": "octree",
    "Stochastic": "stochastic",
    "VarianceCut": "variance_cut",
    "Wu": "wu",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "DITHERS",
    "MAX_COLORS",
    "QUANTIZERS",
    "Dithered",
    "KMeans",
    "MaxCoverage",
    "MedianCut",
    "Octree",
    "Quantizer",
    "Stochastic",
    "VarianceCut",
    "Wu",
    "check_num_colors",
]
