"""Maximum coverage by Pillow: the most frequent colours, with similar ones merged."""

from PIL import Image

from colorcnn.quantizers.pillow import PillowQuantizer


class MaxCoverage(PillowQuantizer):
    """Pillow's maximum coverage: distinct colours that cover as many pixels as possible."""

    method = Image.Quantize.MAXCOVERAGE
