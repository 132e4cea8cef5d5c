"""Classical quantizers, one file each; a new one is a file and a line in :data:`QUANTIZERS`."""

from colorcnn.quantizers.base import MAX_COLORS, Quantizer, check_num_colors
from colorcnn.quantizers.dither import DITHERS, Dithered
from colorcnn.quantizers.k_means import KMeans
from colorcnn.quantizers.max_coverage import MaxCoverage
from colorcnn.quantizers.median_cut import MedianCut
from colorcnn.quantizers.octree import Octree
from colorcnn.quantizers.stochastic import Stochastic
from colorcnn.quantizers.variance_cut import VarianceCut
from colorcnn.quantizers.wu import Wu

QUANTIZERS: dict[str, type[Quantizer]] = {
    "k-means": KMeans,
    "max-coverage": MaxCoverage,
    "median-cut": MedianCut,
    "octree": Octree,
    "stochastic": Stochastic,
    "variance-cut": VarianceCut,
    "wu": Wu,
}

__all__ = ["DITHERS", "MAX_COLORS", "QUANTIZERS", "Dithered", "Quantizer", "check_num_colors"]
