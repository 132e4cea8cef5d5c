"""Image codecs to compare with quantizers, such as JPEG and AVIF. Pillow writes their files.

The size of a file includes its signature, headers and tables. For images as small as CIFAR's they are most of
a JPEG file. Y. Hou et al. (ColorCNN, Fig 16) do not say whether they count them.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, features

from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.images import open_picture

if TYPE_CHECKING:
    from torch import Tensor

QUALITIES = (5, 10, 20, 30, 50, 70, 90)
"""Qualities of a codec whose name is given without a quality."""


@dataclass(frozen=True)
class _Format:
    """A file format.

    Attributes:
        kind: Pillow's name of the format.
        library: the library that writes it, as a record names it.
        version: Pillow's name of that library. With a plugin, the plugin's version is used.
        cure: the cure if Pillow cannot write the format.
        options: options of Pillow's ``save``, in addition to the quality.
        plugin: a module that adds the format to Pillow.
    """

    kind: str
    library: str
    version: str
    cure: str
    options: Mapping[str, Any] = field(default_factory=dict)
    plugin: str | None = None

    def is_available(self) -> bool:
        """Return True if Pillow can read and write the format."""
        if self.plugin is not None:
            with contextlib.suppress(ImportError):
                importlib.import_module(self.plugin)
        Image.init()
        return self.kind in Image.SAVE and self.kind in Image.OPEN

    def library_version(self) -> str:
        """Return the version of the library."""
        if self.plugin is not None:
            return importlib.metadata.version(self.library)
        return str(features.version(self.version) or "unknown")


_WHOLE_PILLOW = "install a Pillow that has it (pip install --upgrade pillow)"
# One thread per file, because the images of a batch are written in parallel.
_FORMATS: Mapping[str, _Format] = {
    # 4:2:0 chroma, Huffman tables made for the image
    "jpeg": _Format("JPEG", "libjpeg-turbo", "libjpeg_turbo", _WHOLE_PILLOW, {"optimize": True}),
    "webp": _Format("WEBP", "libwebp", "webp", _WHOLE_PILLOW, {"method": 6}),
    "avif": _Format("AVIF", "libavif", "avif", _WHOLE_PILLOW, {"max_threads": 1}),  # 4:2:0, speed 6
    "jpeg-xl": _Format(
        *("JXL", "pillow-jxl-plugin", ""),
        cure="pip install pillow-jxl-plugin",
        options={"num_threads": 0},  # effort 7
        plugin="pillow_jxl",
    ),
    "png": _Format("PNG", "zlib", "zlib", _WHOLE_PILLOW, {"optimize": True}),
}
CODECS = tuple(_FORMATS)
"""Names of all codecs, also of missing ones; see :func:`check_available`."""
LOSSLESS = ("png",)


@dataclass(frozen=True)
class Codec:
    """One file format at one quality.

    Attributes:
        name: one of :data:`CODECS`.
        quality: 1 to 100; None for lossless PNG.
    """

    name: str
    quality: int | None = None

    def __str__(self) -> str:
        return self.name if self.quality is None else f"{self.name}:{self.quality}"

    def __call__(self, images: Tensor) -> tuple[Tensor, list[int]]:
        """Write every image as a file and read it back, in one thread per core.

        Args:
            images: (B, 3, H, W) uint8.

        Returns:
            The decoded images, (B, 3, H, W) uint8 on the CPU, and the bits of each file.
        """
        import torch

        from colorcnn.evaluation.rate import in_threads

        pixels = images.permute(0, 2, 3, 1).contiguous().cpu().numpy()
        form = _FORMATS[self.name]
        options = {**form.options, **({} if self.quality is None else {"quality": self.quality})}

        def pass_through(image: int) -> tuple[np.ndarray, int]:
            buffer = io.BytesIO()
            Image.fromarray(pixels[image]).save(buffer, form.kind, **options)
            with open_picture(buffer, (form.kind,)) as decoded:
                return np.array(decoded.convert("RGB")), 8 * len(buffer.getvalue())

        done = in_threads(pass_through, len(pixels))
        decoded = torch.from_numpy(np.stack([picture for picture, _ in done]))
        return decoded.permute(0, 3, 1, 2).contiguous(), [bits for _, bits in done]


def find_codecs(method: str) -> list[Codec]:
    """Return the codecs of a method: one for ``jpeg:30``, one for each of :data:`QUALITIES` for ``jpeg``.

    Args:
        method: ``NAME[:QUALITY]``, or any other method.

    Returns:
        The codecs; an empty list if the method is not a codec.

    Raises:
        UsageError: the quality is not a whole number from 1 to 100, or PNG has a quality.
    """
    name, colon, quality = method.partition(":")
    if name not in _FORMATS:
        return []
    if name in LOSSLESS:
        if colon:
            raise UsageError(f"{method}: {name} is lossless and has no quality; write {name}.")
        return [Codec(name)]
    if not colon:
        return [Codec(name, choice) for choice in QUALITIES]
    if not quality.isdecimal() or not 1 <= int(quality) <= 100:
        raise UsageError(f"{method}: the quality is {quality!r}; write {name}:N, N from 1 to 100.")
    return [Codec(name, int(quality))]


def check_available(codecs: Iterable[Codec]) -> None:
    """Raise if Pillow cannot write the files of a codec. Call this before long work.

    Args:
        codecs: the codecs to check.

    Raises:
        ColorCNNError: a codec is missing.
    """
    for codec in codecs:
        wanted = _FORMATS[codec.name]
        if not wanted.is_available():
            raise ColorCNNError(
                f"The codec {codec.name} is missing, because this Pillow has no {wanted.kind}",
                wanted.cure,
                code="missing-codec",
                name=codec.name,
            )


def libraries(codecs: Iterable[Codec]) -> dict[str, str]:
    """Return the versions of the libraries that write the files: name -> version, for a record.

    Args:
        codecs: codecs that are available.
    """
    used = {_FORMATS[codec.name].library: _FORMATS[codec.name] for codec in codecs}
    return {name: used[name].library_version() for name in sorted(used)}


Coder = Callable[["Tensor"], tuple["Tensor", list[int]]]
"""Any callable with the signature of :class:`Codec`."""
