"""MedianCut: P. Heckbert, Color image quantization for frame buffer display, SIGGRAPH 1982; Pillow's code."""

from PIL import Image

from colorcnn.quantizers.pillow import PillowQuantizer


class MedianCut(PillowQuantizer):
    """Splits the box of colours at its median until there are enough boxes; each becomes its mean colour."""

    method = Image.Quantize.MEDIANCUT
