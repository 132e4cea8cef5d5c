"""Sparse soft assignments, which keep only the K nonzero entries of each pixel (Eq 9).

With 64 colours and K = 4, only one entry in 16 of a dense assignment (B, C, H, W) is not 0. The functions of
:mod:`colorcnn.models.assignment` and :mod:`colorcnn.losses` take both forms, with equal values and gradients.
On a CPU the time of the sparse form hardly depends on the number of colours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from colorcnn.compiled import njit

_BLOCK = 256  # pixels whose K largest logits fit into the fastest cache


@dataclass(frozen=True)
class SparseAssignment:
    """Soft assignment m(x) with K of C colours per pixel.

    Args:
        values: (B, K, H, W), summing to 1 over K.
        indices: (B, K, H, W) int64, the colour of each value, below ``num_colors``.
        num_colors: C.
    """

    values: Tensor
    indices: Tensor
    num_colors: int

    @property
    def shape(self) -> torch.Size:
        """(B, C, H, W), the shape of the dense form."""
        batch, _, height, width = self.values.shape
        return torch.Size((batch, self.num_colors, height, width))

    @property
    def dtype(self) -> torch.dtype:
        """Type of the values."""
        return self.values.dtype

    @property
    def device(self) -> torch.device:
        """Device of the values."""
        return self.values.device

    def with_values(self, values: Tensor) -> SparseAssignment:
        """Return the same colours with other values (B, K, H, W)."""
        return replace(self, values=values)

    def dense(self) -> Tensor:
        """Return the dense form (B, C, H, W), with gradients for the values."""
        zeros = torch.zeros(self.shape, dtype=self.dtype, device=self.device)
        return zeros.scatter(1, self.indices, self.values)

    def sums(self, amounts: Tensor) -> Tensor:
        """Add up amounts (B, K, H, W) by colour, (B, C)."""
        zeros = torch.zeros(self.shape[:2], dtype=amounts.dtype, device=amounts.device)
        return zeros.scatter_add(1, self.indices.flatten(1), amounts.flatten(1))

    def looked_up(self, numbers: Tensor) -> Tensor:
        """Look up one number per colour, (B, C), for every entry: (B, K, H, W)."""
        return numbers.gather(1, self.indices.flatten(1)).view_as(self.values)


def top_k_sparse(logits: Tensor, k: int) -> SparseAssignment:
    """Softmax over the k largest channels of each pixel (Eq 9), without the zeros.

    Args:
        logits: h_C(x), (B, C, H, W).
        k: number of channels to keep, 1 to C.
    """
    largest = logits.topk(k, dim=1)
    return SparseAssignment(largest.values.softmax(dim=1), largest.indices, logits.shape[1])


def top_k_of_product(features: Tensor, weight: Tensor, k: int, noise: float = 0.0) -> SparseAssignment:
    """Softmax over the k largest channels of a 1x1 convolution, without storing its output.

    On a CPU the logits are computed for one image at a time, in the forward and the backward pass.

    Args:
        features: (B, F, H, W).
        weight: (C, F), with the type of ``features``.
        k: number of channels to keep, 1 to C.
        noise: scale of the Gumbel noise on the logits, see :func:`gumbel_noise`.

    Returns:
        The result of :func:`top_k_sparse` for the convolution's output, with the same noise.
    """
    if features.device.type == "cpu" and features.dtype in (torch.float32, torch.float64):
        values, indices = _LargestOfProduct.apply(features, weight, k, noise)
        return SparseAssignment(values.softmax(dim=1), indices, len(weight))
    logits = F.conv2d(features, weight[:, :, None, None])
    return top_k_sparse(gumbel_noise(logits, noise) if noise else logits, k)


def gumbel_noise(logits: Tensor, scale: float) -> Tensor:
    """Add Gumbel noise to logits; with scale 1, their argmax is a sample of the softmax.

    Args:
        logits: any shape. The noise is drawn in its logical order, independent of the memory format.
        scale: scale of the noise.
    """
    return logits - scale * _minus_gumbel(torch.empty(logits.shape, dtype=logits.dtype, device=logits.device))


def _minus_gumbel(draws: Tensor) -> Tensor:
    """Fill a tensor with log(-log(U))."""
    # Logarithms of uniform numbers; exponential_ would be one step, but takes four times as long.
    return draws.uniform_().clamp_min_(torch.finfo(draws.dtype).tiny).log_().neg_().log_()


class _LargestOfProduct(torch.autograd.Function):
    """The k largest values of W f at each pixel, and their indices."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, k: int, noise: float) -> tuple[Tensor, Tensor]:
        batch, _, height, width = features.shape
        values = features.new_empty(batch, k, height, width)
        indices = torch.empty(batch, k, height, width, dtype=torch.int64, device=features.device)
        pixels, scores = features.flatten(2), features.new_empty(len(weight), height * width)
        draws = torch.empty_like(scores)
        for image in range(batch):
            torch.mm(weight, pixels[image], out=scores)
            if noise:
                scores -= _minus_gumbel(draws).mul_(noise)
            _largest(scores.numpy(), values[image].flatten(1).numpy(), indices[image].flatten(1).numpy())
        ctx.save_for_backward(features, weight, indices)
        ctx.mark_non_differentiable(indices)
        return values, indices

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, Tensor, None, None]:
        features, weight, indices = ctx.saved_tensors
        pixels, which, given = features.flatten(2), indices.flatten(2), gradient.flatten(2)
        scores = features.new_empty(len(weight), pixels.shape[2])
        of_features, of_weight = torch.empty_like(pixels), torch.zeros_like(weight)
        for image in range(len(pixels)):
            scores.zero_().scatter_(0, which[image], given[image])
            of_weight.addmm_(scores, pixels[image].T)
            torch.mm(weight.T, scores, out=of_features[image])
        return of_features.view_as(features), of_weight, None, None


@njit
def _largest(scores: np.ndarray, values: np.ndarray, indices: np.ndarray) -> None:
    """Find the K largest of C scores at each of N pixels, in descending order; ties in index order.

    Args:
        scores: (C, N).
        values: (K, N), written.
        indices: (K, N), written.
    """
    colors, pixels = scores.shape
    count = len(values)
    best = np.empty((count, _BLOCK), scores.dtype)
    which = np.empty((count, _BLOCK), np.int32)
    score = np.empty(_BLOCK, scores.dtype)
    color = np.empty(_BLOCK, np.int32)
    for start in range(0, pixels, _BLOCK):
        size = min(_BLOCK, pixels - start)
        best[:] = -np.inf
        which[:] = 0
        for c in range(colors):
            for p in range(size):
                score[p] = scores[c, start + p]
                color[p] = c
            # Insert each pixel's score into its sorted list. Without branches, 16 pixels run in parallel.
            for k in range(min(count, c + 1)):
                for p in range(size):
                    new, old, new_color, old_color = score[p], best[k, p], color[p], which[k, p]
                    above = (new > old) | (new != new)  # NaN is the largest, so that it reaches the loss
                    best[k, p] = new if above else old
                    which[k, p] = new_color if above else old_color
                    score[p] = old if above else new
                    color[p] = old_color if above else new_color
        for k in range(count):
            for p in range(size):
                values[k, start + p] = best[k, p]
                indices[k, start + p] = which[k, p]
