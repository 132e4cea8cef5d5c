"""Octree by Pillow: M. Gervautz and W. Purgathofer, A simple method for color quantization, 1988."""

from PIL import Image

from colorcnn.quantizers.pillow import PillowQuantizer


class Octree(PillowQuantizer):
    """Pillow's fast octree: the least used leaves of a tree over the bits of the colours are merged."""

    method = Image.Quantize.FASTOCTREE
