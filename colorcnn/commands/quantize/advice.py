"""Advice for pictures that are far larger than the images a learned model was trained on."""

from __future__ import annotations

from functools import cache

from colorcnn.commands.quantize.options import QuantizeOptions
from colorcnn.errors import ColorCNNError
from colorcnn.methods import parse_method
from colorcnn.pretrained import find_checkpoint

_SIDES = {"cifar": 32, "photodigits": 32, "tiny-imagenet": 64, "stl": 96}
"""Beginnings of the names of data sets, and the side of their images in pixels."""

_LARGER = 4
"""The picture's shorter side, in sides of the training images, from which on a model is a stranger to it."""


def advice(options: QuantizeOptions, size: tuple[int, int]) -> str | None:
    """Name what fits a picture better than a model that has seen small images only; None where nothing does.

    Args:
        options: of the command line.
        size: the picture's width and height in pixels.
    """
    checkpoint = None if options.palette is not None else parse_method(options.method).checkpoint
    found = None if checkpoint is None else _training(checkpoint)
    if checkpoint is None or found is None or min(size) < _LARGER * found[1]:
        return None
    dataset, side = found
    fits = "for a photograph that looks good use --method k-means"
    if options.colors == 2 and "1bit" not in checkpoint:
        fits += ", for 2 colours on small images colorcnn:colorcnn-1bit-cifar10"
    return f"{checkpoint} has seen {side} x {side} images only ({dataset}): {fits}."


@cache
def _training(checkpoint: str) -> tuple[str, int] | None:
    """Return the data set a model was trained on and the side of its images, where both are known."""
    from colorcnn.checkpoint_config import read_config

    if checkpoint.endswith(".ckpt"):
        return None
    try:
        dataset = read_config(find_checkpoint(checkpoint)).dataset
    except ColorCNNError:
        return None
    side = next((side for start, side in _SIDES.items() if dataset.lower().startswith(start)), None)
    return None if side is None else (dataset, side)
