"""Pictures for the tests of the explorer."""

import io

import numpy as np
from PIL import Image

SIDE = 24


def noise(height=SIDE, width=SIDE, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
