"""Base class of the learned quantizers."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from colorcnn.arrays import as_batch
from colorcnn.errors import UsageError
from colorcnn.images import LEARNED_PIXELS
from colorcnn.models.assignment import (
    color_sums,
    gumbel_noise,
    hard_indices,
    hard_palette,
)
from colorcnn.models.memory import check_memory
from colorcnn.models.precision import full_precision
from colorcnn.models.tiling import can_tile, quantize_in_tiles
from colorcnn.paletted import Paletted, from_bytes
from colorcnn.quantizers.base import check_num_colors
from colorcnn.sharing import Shareable


class LearnedQuantizer(Shareable, ABC):
    """Base class of the learned quantizers: a feature map, logits, and the hard test-time path."""

    kind = "quantizer"
    local: ClassVar[bool] = False
    """True if a pixel's logits depend on the image only through the backbone's features of that pixel."""
    _kept: tuple[bytes, Any] | None = None
    _most_kept = 0

    @abstractmethod
    def encode(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to features, which are the same for all numbers of colours."""

    @abstractmethod
    def logits(self, features: Tensor, num_colors: int) -> Tensor:
        """Map features to logits.

        Args:
            features: the result of :meth:`encode`.
            num_colors: C.

        Returns:
            (B, C, H, W), float32 or wider.
        """

    def rehearse(self, images: Tensor, num_colors: int) -> None:
        """Run the part of :meth:`quantize` that needs most memory, on images without data.

        Args:
            images: (B, 3, H, W) on torch's device ``meta``.
            num_colors: C.
        """
        self.logits(self.encode(images), num_colors)

    def assign(self, logits: Tensor) -> Tensor:
        """Convert logits (B, C, H, W) to the soft assignment m(x)."""
        return logits.softmax(dim=1)

    def soft(
        self,
        images: Tensor,
        num_colors: int,
        temperature: float = 1.0,
        noise: float = 0.0,
        features: Any = None,
    ) -> Tensor:
        """Return the soft assignment m_C(x), for training.

        Args:
            images: (B, 3, H, W) in [0, 1], any H, W >= 1.
            num_colors: C.
            temperature: divisor of the logits; below 1 the assignment is harder.
            noise: scale of the Gumbel noise added after the division, see :func:`gumbel_noise`.
            features: the result of :meth:`encode` for the images; None computes it.

        Returns:
            (B, C, H, W), summing to 1 over C.

        Raises:
            UsageError: this model cannot give C colours.
        """
        features = self.encode(images) if features is None else features
        logits = self.logits(features, num_colors) / temperature
        return self.assign(gumbel_noise(logits, noise) if noise else logits)

    def quantize(
        self,
        images: Any,
        num_colors: int,
        *,
        channels_last: bool | None = None,
        background: Any = "white",
        max_pixels: int = LEARNED_PIXELS,
    ) -> Paletted:
        """Quantize a batch: hard indices (Eq 2) and the mean colour of each (Eq 3).

        Args:
            images: (B, 3, H, W), float in [0, 1] or uint8; (B, H, W, 3) with ``channels_last``; or another
                input of :func:`colorcnn.quantize`: a path, a Pillow image, a NumPy array, or a list of these.
            num_colors: C.
            channels_last: True if the colours are the last dimension of ``images``.
            background: colour behind transparent pixels.
            max_pixels: maximum number of pixels of an image; tensors have no limit.

        Returns:
            Paletted with uint8 indices and palettes of C rows, on the device of ``images``.

        Raises:
            UsageError: this model cannot give C colours, or ``images`` is invalid.
            ColorCNNError: a file is missing or damaged, or an image has too many pixels.
        """
        if not isinstance(images, Tensor):  # a tensor is always a batch, for all quantizers
            images, channels_last = as_batch(images, channels_last, background, max_pixels)
        images = images.permute(0, 3, 1, 2) if channels_last else images
        return self.quantize_many(images, [num_colors])[num_colors]

    @torch.no_grad()
    def quantize_many(self, images: Tensor, sizes: Sequence[int]) -> dict[int, Paletted]:
        """Quantize one batch to several numbers of colours with a single pass through the backbone.

        Images of more than :data:`colorcnn.images.LEARNED_PIXELS` are computed in tiles if the network allows
        it, see :mod:`colorcnn.models.tiling`.

        Args:
            images: (B, 3, H, W), float in [0, 1] or uint8, on any device.
            sizes: the numbers of colours.

        Raises:
            UsageError: this model cannot give these numbers of colours, or ``images`` is invalid.
            ColorCNNError: large images need more memory than is free.
        """
        for size in sizes:
            check_num_colors(size)
        device = images.device
        if self._in_tiles(images):
            with full_precision(next(self.parameters()).device):
                return quantize_in_tiles(self, images, sizes)
        images = self.as_floats(images)
        check_memory(self, images, max(sizes, default=1))
        # Always full precision, so that the result does not depend on the precision of a running training.
        with full_precision(images.device):
            features = self._encoded(images)
            return {size: self._decide(images, features, size).to(device) for size in sizes}

    def keep_features(self, most_bytes: int) -> None:
        """Keep the features of the latest batch, for callers that ask for other numbers of colours later.

        Args:
            most_bytes: larger features are computed again; 0 keeps none.
        """
        self._most_kept, self._kept = most_bytes, None

    def _encoded(self, images: Tensor) -> Any:
        """Return the features of images, which may be kept from the call before."""
        if not self._most_kept:
            return self.encode(images)
        digest = hashlib.blake2b(f"{images.dtype}{tuple(images.shape)}".encode())
        digest.update(images.detach().cpu().contiguous().view(torch.uint8).numpy().data)
        if self._kept is not None and self._kept[0] == digest.digest():
            return self._kept[1]
        self._kept = None
        features = self.encode(images)
        if sum(each.nbytes for each in tree_leaves(features)) <= self._most_kept:
            self._kept = digest.digest(), features
        return features

    def _in_tiles(self, images: Tensor) -> bool:
        large = images.ndim == 4 and images.shape[2] * images.shape[3] > LEARNED_PIXELS
        return large and can_tile(self)

    def as_floats(self, images: Tensor) -> Tensor:
        """Return images (B, 3, H, W) as floats in [0, 1], with the device and type of the weights.

        Raises:
            UsageError: the shape or the type is invalid.
        """
        if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
            raise UsageError(
                f"images are {tuple(images.shape)}: give a batch (B, 3, H, W) with B, H, W >= 1."
            )
        weights = next(self.parameters())
        images, dtype = images.to(weights.device), weights.dtype
        if images.dtype == torch.uint8:
            return from_bytes(images, dtype)
        if not images.is_floating_point():
            raise UsageError(f"images are {images.dtype}: give uint8, or floats in [0, 1].")
        return images.to(dtype)

    def _decide(self, images: Tensor, features: Tensor, num_colors: int) -> Paletted:
        logits = self.logits(features, num_colors)
        indices = hard_indices(logits)
        return Paletted(indices.to(torch.uint8), self.palette(images, logits, indices))

    def palette(self, images: Tensor, logits: Tensor, indices: Tensor) -> Tensor:
        """Return the palette (B, C, 3) of quantized images: the mean colour of each index (Eq 3).

        Args:
            images: (B, 3, H, W).
            logits: (B, C, H, W).
            indices: index map of the logits, (B, H, W).
        """
        return hard_palette(images, indices, logits.shape[1])

    def color_sums(self, images: Tensor, logits: Tensor, indices: Tensor) -> Tensor:
        """Return what a tile adds to the palette: sums (B, C, 4) of the colours, and their weight.

        Args:
            images: (B, 3, h, w), the pixels of the tile.
            logits: (B, C, h, w).
            indices: index map of the logits, (B, h, w).
        """
        return color_sums(images, indices, logits.shape[1])

    def tiled_result(self, images: Tensor, indices: Tensor, sums: Tensor) -> Paletted:
        """Return the quantized images of an index map that was computed in tiles.

        Args:
            images: (B, 3, H, W), float in [0, 1] or uint8.
            indices: (B, H, W) uint8.
            sums: the sum of :meth:`color_sums` over all tiles.
        """
        del images
        weight = sums[..., 3:]
        palette = sums[..., :3] / torch.where(weight > torch.finfo(torch.float32).tiny, weight, 1)
        return Paletted(indices, palette.to(next(self.parameters()).dtype))

    def forward(self, images: Any, num_colors: int, **options: Any) -> Paletted:
        """See :meth:`quantize`."""
        return self.quantize(images, num_colors, **options)
