"""MedianCut by Pillow: P. Heckbert, Color image quantization for frame buffer display, SIGGRAPH 1982."""

from PIL import Image

from colorcnn.quantizers.pillow import PillowQuantizer


class MedianCut(PillowQuantizer):
    """Pillow's MedianCut: boxes of colours are split at their median; the mean of each is a colour."""

    method = Image.Quantize.MEDIANCUT
