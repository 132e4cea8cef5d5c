"""Maximum coverage: picks the most frequent colours, merging near ones; Pillow's code."""

from PIL import Image

from colorcnn.quantizers.pillow import PillowQuantizer


class MaxCoverage(PillowQuantizer):
    """Covers as many pixels as it can with colours that lie apart."""

    method = Image.Quantize.MAXCOVERAGE
