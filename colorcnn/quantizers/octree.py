"""Octree: M. Gervautz and W. Purgathofer, A simple method for color quantization, 1988; Pillow's code."""

from PIL import Image

from colorcnn.quantizers.pillow import PillowQuantizer


class Octree(PillowQuantizer):
    """Merges the least used leaves of a tree over the bits of the colours (Pillow's fast octree)."""

    method = Image.Quantize.FASTOCTREE
