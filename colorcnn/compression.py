"""Compression of images with a learned codec: :func:`compress` and :func:`decompress`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from PIL import Image

from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.files import cure
from colorcnn.images import read_bounded
from colorcnn.pretrained import DEFAULT_CODEC, available, find_device, load_compressor
from colorcnn.vq.bitstream import MAGIC, MAX_PIXELS, unpack

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from colorcnn.vq.compressor import ImageCompressor

    Model = str | os.PathLike[str] | ImageCompressor


def compress(
    image: Any,
    model: Model = DEFAULT_CODEC,
    *,
    background: Any = "white",
    max_pixels: int = MAX_PIXELS,
    device: str | torch.device = "cpu",
) -> bytes:
    """Compress one image with a learned codec.

    Args:
        image: a path, bytes, an open file, a Pillow image, an array or a tensor, see
            :func:`colorcnn.quantize`.
        model: a pretrained name, a checkpoint folder, a Lightning .ckpt of VQTask, or a loaded codec, which
            is faster for many images.
        background: colour behind transparent pixels; alpha is lost.
        max_pixels: maximum number of pixels.
        device: device of a model that is loaded here; a loaded codec stays on its device.

    Returns:
        The content of a .cvq file.

    Raises:
        UsageError: ``image`` is not a single image, or the model or an option is invalid.
        ColorCNNError: a file is missing or damaged, or the image has too many pixels.

    Example:
        >>> Path("photo.cvq").write_bytes(colorcnn.compress("photo.png"))
    """
    from colorcnn.arrays import as_batch
    from colorcnn.paletted import to_bytes
    from colorcnn.vq.codec import compress_pixels

    images, channels_last = as_batch(image, None, background, max_pixels)
    if len(images) != 1:
        raise UsageError(f"There are {len(images)} images: compress them one by one.")
    pixels = (images.permute(0, 3, 1, 2) if channels_last else images)[0]
    if pixels.is_floating_point():
        pixels = to_bytes(pixels)
    return compress_pixels(_loaded(model, device), pixels.contiguous(), codec_name(model))


def decompress(
    file: str | os.PathLike[str] | bytes,
    model: Model | None = None,
    *,
    max_pixels: int = MAX_PIXELS,
    device: str | torch.device = "cpu",
    name: str | None = None,
) -> Image.Image:
    """Decompress a .cvq file.

    Args:
        file: path or content of the file.
        model: the model that wrote it, see :func:`compress`; by default the pretrained model that the file
            names.
        max_pixels: maximum number of pixels.
        device: device of a model that is loaded here.
        name: name of the file in error messages; by default its path.

    Returns:
        A Pillow image of mode RGB.

    Raises:
        UsageError: the model is invalid.
        ColorCNNError: the file is missing, damaged or too large, or another model wrote it.
    """
    from colorcnn.vq.codec import decompress_pixels

    held = isinstance(file, bytes | bytearray | memoryview)
    path = "The data" if held else os.fspath(cast("str", file))
    data = bytes(cast("bytes", file)) if held else read_file(path)
    name = name or path
    header, _ = unpack(data, name)
    # An untrusted file may give the name of an installed model, never a path.
    if model is None and header.model not in available("compressor"):
        raise ColorCNNError(
            f"{name} was written by the model {header.model!r}, which is not installed",
            "give its checkpoint with model",
            code="codec-missing",
        )
    codec = _loaded(header.model if model is None else model, device)
    return to_picture(decompress_pixels(codec, data, name, max_pixels))


def to_picture(pixels: Tensor) -> Image.Image:
    """Convert uint8 pixels (3, H, W) to a Pillow image."""
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())


def read_file(path: str) -> bytes:
    """Read a compressed file; of a file of another kind read only the signature.

    Raises:
        UsageError: the path is a folder.
        ColorCNNError: the file does not exist or cannot be read.
    """
    try:
        with open(path, "rb") as stream:
            start = stream.read(len(MAGIC))
            return start if start != MAGIC else start + read_bounded(stream, path)
    except FileNotFoundError as error:
        raise ColorCNNError(f"{path} does not exist: check the path.") from error
    except IsADirectoryError as error:
        raise UsageError(f"{path} is a folder: use a file.") from error
    except OSError as error:
        advice = cure(error, "check its access rights")
        raise ColorCNNError(f"{path} could not be read ({error.strerror}): {advice}.") from error
    except ValueError as error:
        raise ColorCNNError(f"{path} is not a path ({error}): check it.") from error


def codec_name(model: Any) -> str:
    """Return the model's name for a file.

    Args:
        model: a pretrained name, which is returned; a folder, for its name; a checkpoint, for the name of its
            run; or a loaded codec, for its architecture.
    """
    if not isinstance(model, str | os.PathLike):
        return str(getattr(getattr(model, "config", None), "architecture", type(model).__name__))
    path = Path(model)
    if path.suffix == ".ckpt":
        path = path.resolve()
        return path.parent.parent.name if path.parent.name == "checkpoints" else path.stem
    return path.resolve().name if path.is_dir() else os.fspath(model)


def _loaded(model: Any, device: str | torch.device) -> ImageCompressor:
    if isinstance(model, str | os.PathLike):
        return load_compressor(model).to(find_device(device))
    if not hasattr(model, "fingerprint"):
        raise UsageError(f"A {type(model).__name__} is not a codec: give a name, a path, or a loaded codec.")
    return cast("ImageCompressor", model)
