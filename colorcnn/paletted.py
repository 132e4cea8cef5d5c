"""Paletted, the result of every quantizer: an index map and a palette for each image of a batch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data._utils.collate import default_collate_fn_map

from colorcnn.errors import UsageError
from colorcnn.files import check_png_name, write_atomically
from colorcnn.indexed import Indexed, count_indices, map_indices  # noqa: F401 (re-exported for old imports)

_INTEGERS = (torch.uint8, torch.int16, torch.int32, torch.int64)


def to_bytes(values: Tensor) -> Tensor:
    """Round values in [0, 1] to uint8, to nearest: x * 255 + 0.5, floored (values outside are clamped)."""
    return (values.clamp(0, 1) * 255 + 0.5).floor().to(torch.uint8)


def from_bytes(values: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Convert uint8 values to [0, 1].

    Args:
        values: uint8 of any shape.
        dtype: type of the result.
    """
    return values.to(dtype) / 255


class Paletted:
    """A batch of images, each an index map M(x) and a palette T(x).

    Args:
        indices: (B, H, W) integer tensor, each below C; uint8 saves memory.
        palette: (B, C, 3) float tensor in [0, 1]; unused rows are 0.

    Raises:
        UsageError: a shape or a type is wrong.
    """

    def __init__(self, indices: Tensor, palette: Tensor) -> None:
        if indices.ndim != 3 or indices.dtype not in _INTEGERS:
            raise UsageError(
                f"indices are {tuple(indices.shape)} {indices.dtype}: give an integer tensor (B, H, W)."
            )
        if palette.ndim != 3 or palette.shape[2] != 3 or not palette.is_floating_point():
            raise UsageError(
                f"palette is {tuple(palette.shape)} {palette.dtype}: give a float tensor (B, C, 3) in [0, 1]."
            )
        if palette.shape[0] != indices.shape[0]:
            raise UsageError(
                f"{indices.shape[0]} index maps and {palette.shape[0]} palettes: give one palette per image."
            )
        self.indices = indices
        self.palette = palette

    def __len__(self) -> int:
        return self.indices.shape[0]

    def __getitem__(self, image: int | slice) -> Paletted:
        """Return one image (an int) or several (a slice) as a batch."""
        if isinstance(image, int):
            image = range(len(self))[image]  # raises IndexError, which also ends iteration
            image = slice(image, image + 1)
        return Paletted(self.indices[image], self.palette[image])

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.indices.shape))
        counts = sorted(set(self.num_colors.tolist()))
        shown = "no" if not counts else f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
        colors = "colour" if counts == [1] else "colours"
        return f"Paletted({size}, palettes of {self.palette.shape[1]}, {shown} {colors} shown)"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return the pixels for NumPy: (H, W, 3) uint8 for one image, (B, H, W, 3) for a batch.

        Args:
            dtype: type of the array; uint8 by default.
            copy: must not be False, because the pixels are always computed.

        Raises:
            ValueError: ``copy`` is False.
        """
        if copy is False:
            raise ValueError("The pixels are always a copy: leave copy=False out.")
        pixels = self.render(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
        pixels = pixels[0] if len(self) == 1 else pixels
        return pixels if dtype is None else pixels.astype(dtype, copy=False)

    def _repr_png_(self) -> bytes | None:
        """Show one image in a notebook; a batch of several is not shown."""
        return self.png() if len(self) == 1 and self.palette.shape[1] <= 256 else None

    @classmethod
    def stack(cls, parts: Sequence[Paletted]) -> Paletted:
        """Join batches of images of one size; ``torch.utils.data.default_collate`` uses this, too.

        Args:
            parts: at least one batch; shorter palettes get unused rows.

        Raises:
            UsageError: ``parts`` is empty, or the images differ in size.
        """
        if not parts:
            raise UsageError("There is no image to stack: give at least one Paletted.")
        sizes = sorted({f"{part.indices.shape[1]} x {part.indices.shape[2]}" for part in parts})
        if len(sizes) > 1:
            raise UsageError(f"The images are {' and '.join(sizes[:2])}: stack images of equal size.")
        rows = max(part.palette.shape[1] for part in parts)
        palettes = [F.pad(part.palette, (0, 0, 0, rows - part.palette.shape[1])) for part in parts]
        return cls(torch.cat([part.indices for part in parts]), torch.cat(palettes))

    def to(self, device: torch.device | str) -> Paletted:
        """Return the same value on another device."""
        return Paletted(self.indices.to(device), self.palette.to(device))

    @property
    def usage(self) -> Tensor:
        """(B, C) int64, number of pixels of each palette row."""
        batch, colors = self.palette.shape[:2]
        flat = self.indices.flatten(1).long()
        counts = torch.zeros(batch, colors, dtype=torch.int64, device=flat.device)
        return counts.scatter_add_(1, flat, torch.ones_like(flat))

    @property
    def num_colors(self) -> Tensor:
        """(B,) int64, number of distinct 8-bit colours in each image."""
        rows = to_bytes(self.palette).long()
        codes = (rows[..., 0] << 16) | (rows[..., 1] << 8) | rows[..., 2]
        codes = codes.masked_fill(self.usage == 0, -1).sort(dim=1).values
        fresh = torch.ones_like(codes, dtype=torch.bool)
        fresh[:, 1:] = codes[:, 1:] != codes[:, :-1]
        return (fresh & (codes >= 0)).sum(dim=1)

    def render(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the pixels' palette colours (Eq 4), rounded to the 8 bits of a file.

        Args:
            dtype: ``torch.uint8`` for bytes 0..255, or a float type for values k/255 in [0, 1].

        Returns:
            (B, 3, H, W) tensor.
        """
        batch, height, width = self.indices.shape
        rows = to_bytes(self.palette)
        flat = self.indices.reshape(batch, -1, 1).long().expand(-1, -1, 3)
        pixels = rows.gather(1, flat).reshape(batch, height, width, 3).permute(0, 3, 1, 2)
        return pixels.contiguous() if dtype == torch.uint8 else from_bytes(pixels, dtype).contiguous()

    def indexed(self, image: int = 0) -> Indexed:
        """Return one image in NumPy: (H, W) indices and its palette, (C, 3) uint8."""
        rows = to_bytes(self.palette[image]).cpu().numpy()
        return Indexed(self.indices[image].cpu().numpy(), rows)

    def compact(
        self, image: int = 0, *, transparent: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return one image with only its used colours: equal rows merged, unused rows removed.

        Args:
            image: number of the image in the batch.
            transparent: (H, W) bool; pixels whose colour is ignored and whose index becomes 0.

        Returns:
            (H, W) uint8 indices and the palette of n used colours, (n, 3) uint8, in order of the first
            palette row of each.

        Raises:
            UsageError: the palette has more than 256 rows.
        """
        return self.indexed(image).compact(transparent=transparent)

    def to_pil(self, image: int = 0, *, transparent: np.ndarray | None = None) -> Image.Image:
        """Return one image as a Pillow image of mode P whose palette has only the used colours.

        Args:
            image: number of the image in the batch.
            transparent: (H, W) bool; these pixels get a separate transparent entry. It comes first, because a
                PNG file lists alpha up to its last transparent entry.

        Raises:
            UsageError: ``transparent`` has another size, or there are 256 other colours.
        """
        return self.indexed(image).to_pil(transparent=transparent)

    def png(self, image: int = 0, *, optimize: bool = True, transparent: np.ndarray | None = None) -> bytes:
        """Return one image as an indexed PNG file of 1, 2, 4 or 8 bits per pixel, as its palette needs.

        Args:
            image: number of the image in the batch.
            optimize: True for a smaller file that takes longer.
            transparent: (H, W) bool; these pixels get a transparent entry.
        """
        return self.indexed(image).png(optimize=optimize, transparent=transparent)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = True) -> Path:
        """Write a single image as an indexed PNG file, atomically.

        Args:
            path: the file; its extension is .png, or not one of another image format.
            overwrite: True to replace an existing file.

        Raises:
            UsageError: the batch holds more than one image, or the extension is of another image format.
            ColorCNNError: the file exists and ``overwrite`` is false, or it cannot be written.
        """
        if len(self) != 1:
            raise UsageError(
                f"This batch holds {len(self)} images: save them one by one with batch[i].save(path)."
            )
        check_png_name(path)
        return write_atomically(path, self.png(), overwrite=overwrite)


def _collate(batch: Sequence[Paletted], *, collate_fn_map: Any = None) -> Paletted:
    return Paletted.stack(batch)


default_collate_fn_map[Paletted] = _collate  # PyTorch's documented way to add a type to default_collate
