"""Classical quantizers, one file each; a new one is a file and a line in :data:`QUANTIZERS`."""

from colorcnn.quantizers.base import MAX_COLORS, Quantizer, check_num_colors
from colorcnn.quantizers.dither import DITHERS, Dithered
from colorcnn.quantizers.max_coverage import MaxCoverage
from colorcnn.quantizers.median_cut import MedianCut
from colorcnn.quantizers.octree import Octree

QUANTIZERS: dict[str, type[Quantizer]] = {
    "max-coverage": MaxCoverage,
    "median-cut": MedianCut,
    "octree": Octree,
}

__all__ = ["DITHERS", "MAX_COLORS", "QUANTIZERS", "Dithered", "Quantizer", "check_num_colors"]
