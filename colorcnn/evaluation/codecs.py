"""Image files as rivals of quantizers, from JPEG to AVIF and JPEG XL, measured by the files Pillow writes.

A file counts whole: signature, headers and tables with the data. For pictures as small as CIFAR's that is
most of a JPEG; Y. Hou et al. (ColorCNN, Fig 16) do not say what they count.
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
"""What a codec's bare name stands for."""


@dataclass(frozen=True)
class _Format:
    """A file format.

    Attributes:
        kind: Pillow's name.
        library: the library that writes it, as a record names it.
        version: Pillow's name of that library; with a plugin, the library's version is the plugin's.
        cure: what to do where Pillow cannot write the format.
        options: for Pillow, beside the quality.
        plugin: a module that adds the format to Pillow.
    """

    kind: str
    library: str
    version: str
    cure: str
    options: Mapping[str, Any] = field(default_factory=dict)
    plugin: str | None = None

    def is_available(self) -> bool:
        """Tell if Pillow reads and writes the format here."""
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
# One thread a file: the images of a batch are written side by side.
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
"""Names of all codecs, also of those that Pillow lacks here; see :func:`check_available`."""
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
        """Write every image as a file and read it back, across the processor's cores.

        Args:
            images: (B, 3, H, W) uint8.

        Returns:
            The decoded images, (B, 3, H, W) uint8 on the CPU, and the bits of each file.
        """
        import torch

        from colorcnn.evaluation.rate import in_threads

        pixels = images.permute(0, 2, 3, 1).contiguous().cpu().numpy()
        made = _FORMATS[self.name]
        options = {**made.options, **({} if self.quality is None else {"quality": self.quality})}

        def pass_through(image: int) -> tuple[np.ndarray, int]:
            buffer = io.BytesIO()
            Image.fromarray(pixels[image]).save(buffer, made.kind, **options)
            with open_picture(buffer, (made.kind,)) as decoded:
                return np.array(decoded.convert("RGB")), 8 * len(buffer.getvalue())

        done = in_threads(pass_through, len(pixels))
        decoded = torch.from_numpy(np.stack([picture for picture, _ in done]))
        return decoded.permute(0, 3, 1, 2).contiguous(), [bits for _, bits in done]


def find_codecs(method: str) -> list[Codec]:
    """The codecs a method names: ``jpeg:30`` is one, ``jpeg`` one for each of :data:`QUALITIES`.

    Args:
        method: as the command line writes it.

    Returns:
        None of them where the method is no codec.

    Raises:
        UsageError: the quality is no whole number from 1 to 100, or PNG is given one.
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
    """Refuse codecs that Pillow lacks here, before the work.

    Args:
        codecs: that will be called.

    Raises:
        ColorCNNError: names the first one that is missing, and the cure.
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
        codecs: available ones.
    """
    used = {_FORMATS[codec.name].library: _FORMATS[codec.name] for codec in codecs}
    return {name: used[name].library_version() for name in sorted(used)}


Coder = Callable[["Tensor"], tuple["Tensor", list[int]]]
"""What answers like a :class:`Codec`."""
