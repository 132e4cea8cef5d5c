"""Advice for images that are much larger than the training images of a learned model."""

from __future__ import annotations

from functools import cache

from colorcnn.commands.quantize.options import QuantizeOptions
from colorcnn.errors import ColorCNNError
from colorcnn.methods import parse_method
from colorcnn.pretrained import find_checkpoint

_SIDES = {"cifar": 32, "photodigits": 32, "tiny-imagenet": 64, "stl": 96}
"""Beginning of a data set's name -> side of its images in pixels."""

_LARGER = 4
"""Ratio of an image's shorter side to the side of the training images, from which on advice is given."""


def advice(options: QuantizeOptions, size: tuple[int, int]) -> str | None:
    """Return advice on a better method if the model was trained on much smaller images, else None.

    Args:
        options: the command line's options.
        size: width and height of the image in pixels.
    """
    checkpoint = None if options.palette is not None else parse_method(options.method).checkpoint
    found = None if checkpoint is None else _training(checkpoint)
    if checkpoint is None or found is None or min(size) < _LARGER * found[1]:
        return None
    dataset, side = found
    fits = "for photographs use --method k-means"
    if options.colors == 2 and "1bit" not in checkpoint:
        fits += ", for 2 colours on small images colorcnn:colorcnn-1bit-cifar10"
    return f"{checkpoint} was trained on {side} x {side} images ({dataset}): {fits}."


@cache
def _training(checkpoint: str) -> tuple[str, int] | None:
    """Return the training data set of a model and the side of its images, or None if unknown."""
    from colorcnn.checkpoint_config import read_config

    if checkpoint.endswith(".ckpt"):
        return None
    try:
        dataset = read_config(find_checkpoint(checkpoint)).dataset
    except ColorCNNError:
        return None
    side = next((side for start, side in _SIDES.items() if dataset.lower().startswith(start)), None)
    return None if side is None else (dataset, side)
