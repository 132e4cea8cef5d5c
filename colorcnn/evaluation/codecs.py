"""Image files as rivals of quantizers: JPEG, WebP and lossless PNG, measured by the files Pillow writes.

A file counts whole: signature, headers and tables with the data. For pictures as small as CIFAR's that is
most of a JPEG; Y. Hou et al. (ColorCNN, Fig 16) do not say what they count.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from colorcnn.errors import UsageError
from colorcnn.images import open_picture

if TYPE_CHECKING:
    from torch import Tensor

QUALITIES = (5, 10, 20, 30, 50, 70, 90)
"""What a codec's bare name stands for."""

_FORMATS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "jpeg": ("JPEG", {"optimize": True}),  # 4:2:0 chroma, Huffman tables made for the image
    "webp": ("WEBP", {"method": 6}),
    "png": ("PNG", {"optimize": True}),
}
LOSSLESS = ("png",)


@dataclass(frozen=True)
class Codec:
    """One file format at one quality.

    Attributes:
        name: ``jpeg``, ``webp`` or ``png``.
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
        kind, options = _FORMATS[self.name]
        if self.quality is not None:
            options = {**options, "quality": self.quality}

        def pass_through(image: int) -> tuple[np.ndarray, int]:
            buffer = io.BytesIO()
            Image.fromarray(pixels[image]).save(buffer, kind, **options)
            with open_picture(buffer) as decoded:
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


Coder = Callable[["Tensor"], tuple["Tensor", list[int]]]
"""What answers like a :class:`Codec`."""
