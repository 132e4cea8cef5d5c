"""Conversion of images to compressed files and back, with a trained :class:`ImageCompressor`."""

from __future__ import annotations

import torch
from torch import Tensor

from colorcnn.errors import ColorCNNError
from colorcnn.paletted import from_bytes, to_bytes
from colorcnn.vq.bitstream import MAX_PIXELS, Header, pack, unpack
from colorcnn.vq.compressor import Coded, ImageCompressor

_PIXELS_A_BYTE = 1 << 16  # a blank image has about 15 pixels per byte; a header that claims more is damaged


def compress_pixels(compressor: ImageCompressor, pixels: Tensor, model: str) -> bytes:
    """Compress one image to the bytes of a file.

    Args:
        compressor: a trained compressor.
        pixels: uint8 (3, H, W).
        model: the compressor's name, which the file keeps.

    Raises:
        ColorCNNError: the model's weights are broken.
    """
    device = next(compressor.parameters()).device
    coded = compressor.encode(from_bytes(pixels[None].to(device)))
    height, width = pixels.shape[1:]
    header = Header(model, compressor.fingerprint(), height, width, coded.low, coded.high)
    return pack(header, coded.code)


def decompress_pixels(
    compressor: ImageCompressor, data: bytes, name: str, max_pixels: int = MAX_PIXELS
) -> Tensor:
    """Decode the bytes of a file.

    Args:
        compressor: the compressor that wrote it.
        data: the whole file.
        name: name of the file in error messages.
        max_pixels: maximum number of pixels of the image.

    Returns:
        uint8 (3, H, W) on the CPU.

    Raises:
        ColorCNNError: the file has another format, is truncated, corrupt or too large, or another model wrote
            it.
    """
    header, code = unpack(data, name)
    if header.fingerprint != compressor.fingerprint():
        raise ColorCNNError(
            f"{name} was written by other weights of {header.model} ({header.fingerprint:08x})",
            "use the model that wrote it",
            code="codec-mismatch",
        )
    if header.height * header.width > max_pixels:
        raise ColorCNNError(
            f"{name} is {header.width} x {header.height}, more than {max_pixels} pixels",
            "allow more with max_pixels",
            code="too-many-pixels",
        )
    if header.height * header.width > _PIXELS_A_BYTE * (len(code) + 1):
        raise ColorCNNError(
            f"{name} is corrupt ({len(code)} bytes of code cannot hold {header.width} x {header.height} "
            "pixels): use an intact copy."
        )
    shape = compressor.index_shape(header.height, header.width)
    alphabet = compressor.quantizer.alphabet
    if alphabet is not None and (header.low, header.high) != (0, alphabet - 1):
        raise ColorCNNError(f"{name} is corrupt (its indices are not the model's): use an intact copy.")
    coded = Coded(code, header.low, header.high, shape)
    try:
        with torch.no_grad():
            image = compressor.decode(coded, (header.height, header.width))
    except ColorCNNError as error:
        if error.code == "damaged-code":
            error.problem = f"{name}: {error.problem}"
        raise
    return to_bytes(image[0]).cpu()
