"""The equations of ColorCNN and ColorCNN+ as small pure functions of tensors.

Hou, Zheng and Gould, Learning to Structure an Image with Few Colors and Beyond. Shapes are those of the
vocabulary: images (B, 3, H, W), assignment (B, C, H, W), indices (B, H, W), palette (B, C, 3).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import overload

import torch
from torch import Tensor

from colorcnn.errors import UsageError
from colorcnn.models.sparse import SparseAssignment, gumbel_noise
from colorcnn.vq.estimators import reinmax as draw_reinmax
from colorcnn.vq.estimators import straight_through, unit_ball

__all__ = [
    "Assignment",
    "color_sums",
    "gumbel_noise",
    "hard_assignment",
    "hard_indices",
    "hard_palette",
    "harden",
    "lloyd_steps",
    "one_hot",
    "pool_channels",
    "pool_rows",
    "reinmax",
    "row_slices",
    "simplex_noise",
    "soft_palette",
    "soft_render",
    "straight_through",
    "top_k_softmax",
]

_CHUNK = 2**25  # values that are held at once for a large image

Assignment = Tensor | SparseAssignment
"""A soft assignment m(x): dense (B, C, H, W), or only the K nonzero entries of each pixel."""


def pool_rows(weights: Tensor, num_colors: int, *, strided: bool = False) -> Tensor:
    """Average the rows of ``weights`` over C contiguous blocks, block c being [floor(cD/C), floor((c+1)D/C)).

    Channel pooling (Eq 8) is linear, so pooling the rows of a 1x1 convolution's weights pools its output.

    Args:
        weights: (D, ...) tensor.
        num_colors: C, at most D; it need not divide D.
        strided: True to average the rows d with d mod C = c instead, as in the authors' code.

    Returns:
        (C, ...) tensor.

    Raises:
        UsageError: C is outside 1..D.
    """
    rows = weights.shape[0]
    if not 1 <= num_colors <= rows:
        raise UsageError(
            f"Number of colours {num_colors!r}: this model has {rows} channels, choose 1 to {rows}."
        )
    row = torch.arange(rows, device=weights.device)
    color = torch.arange(num_colors, device=weights.device)[:, None]
    if strided:
        inside = row % num_colors == color
    else:
        inside = (row >= color * rows // num_colors) & (row < (color + 1) * rows // num_colors)
    means = inside.to(weights.dtype) / inside.sum(dim=1, keepdim=True)
    return torch.tensordot(means, weights, dims=1)


def pool_channels(features: Tensor, num_colors: int) -> Tensor:
    """Pool D feature channels into C by their means (Eq 8, whose printed factor is a misprint).

    Args:
        features: h(x), (B, D, H, W).
        num_colors: C, at most D; it need not divide D.

    Returns:
        h_C(x), (B, C, H, W).

    Raises:
        UsageError: C is outside 1..D.
    """
    return pool_rows(features.transpose(0, 1), num_colors).transpose(0, 1)


def top_k_softmax(logits: Tensor, k: int) -> Tensor:
    """Softmax over the k largest channels of each pixel, 0 in the others (Eq 9).

    Args:
        logits: h_C(x), (B, C, H, W).
        k: number of channels to keep; all are kept if C <= k.

    Returns:
        Soft assignment m_C(x), (B, C, H, W), which sums to 1 over C.

    Raises:
        UsageError: k is below 1.
    """
    if k < 1:
        raise UsageError(f"top_k is {k}: keep at least 1 channel.")
    if k >= logits.shape[1]:
        return logits.softmax(dim=1)
    # topk is several times faster over the last dimension, which is contiguous.
    largest = logits.movedim(1, -1).topk(k, dim=-1, sorted=False)
    assignment = torch.zeros_like(logits.movedim(1, -1), memory_format=torch.contiguous_format)
    return assignment.scatter(-1, largest.indices, largest.values.softmax(dim=-1)).movedim(-1, 1)


def hard_indices(assignment: Assignment) -> Tensor:
    """Return the index map M(x): the colour with the largest m(x) at each pixel (Eq 2).

    Args:
        assignment: m(x), (B, C, H, W) or sparse, or logits (B, C, H, W).

    Returns:
        (B, H, W) int64.
    """
    if isinstance(assignment, SparseAssignment):
        return assignment.indices.gather(1, assignment.values.argmax(dim=1, keepdim=True)).squeeze(1)
    return assignment.argmax(dim=1)


def one_hot(indices: Tensor, num_colors: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return the hard assignment I(M(x) = c), (B, C, H, W), of an index map.

    Args:
        indices: (B, H, W).
        num_colors: C.
        dtype: type of the result.
    """
    hard = torch.zeros(indices.shape[0], num_colors, *indices.shape[1:], dtype=dtype, device=indices.device)
    return hard.scatter_(1, indices.long().unsqueeze(1), 1)


@overload
def hard_assignment(assignment: Tensor) -> Tensor: ...
@overload
def hard_assignment(assignment: SparseAssignment) -> SparseAssignment: ...
def hard_assignment(assignment: Assignment) -> Assignment:
    """Make the values of a soft assignment hard and keep its gradient.

    Args:
        assignment: m(x), (B, C, H, W) or sparse.

    Returns:
        I(M(x) = c) in the same form, with the gradient of m(x).
    """
    if isinstance(assignment, SparseAssignment):
        return assignment.with_values(hard_assignment(assignment.values))
    hard = torch.zeros_like(assignment).scatter_(1, assignment.argmax(dim=1, keepdim=True), 1)
    return straight_through(hard, assignment)


@overload
def harden(assignment: Tensor, share: float) -> Tensor: ...
@overload
def harden(assignment: SparseAssignment, share: float) -> SparseAssignment: ...
def harden(assignment: Assignment, share: float) -> Assignment:
    """Make a random share of a soft assignment's pixels hard, with the gradient of m(x).

    A share that grows from 0 to 1 removes the blended colours, which no file can hold, step by step. The
    pixels that are still soft give useful gradients.

    Args:
        assignment: m(x), (B, C, H, W) or sparse.
        share: share of the pixels, chosen independently; 0 or less is none, 1 or more is all.

    Returns:
        An assignment in the same form; each pixel still sums to 1 over C.
    """
    if isinstance(assignment, SparseAssignment):
        return assignment.with_values(harden(assignment.values, share))
    batch, _, height, width = assignment.shape
    draws = torch.rand(batch, 1, height, width, dtype=assignment.dtype, device=assignment.device)
    return torch.where(draws < share, hard_assignment(assignment), assignment)


@overload
def reinmax(assignment: Tensor) -> Tensor: ...
@overload
def reinmax(assignment: SparseAssignment) -> SparseAssignment: ...
def reinmax(assignment: Assignment) -> Assignment:
    """Sample a hard assignment from a soft one, with ReinMax's gradient.

    See :func:`colorcnn.vq.estimators.reinmax` for the paper.

    Args:
        assignment: m(x), (B, C, H, W) or sparse, the probabilities.

    Returns:
        An assignment in the same form, with one-hot values.
    """
    if isinstance(assignment, SparseAssignment):
        return assignment.with_values(reinmax(assignment.values))
    return draw_reinmax(assignment, dim=1)


def simplex_noise(assignment: Assignment) -> Tensor:
    """Add noise to a soft assignment, as large as the change by hardening, with the gradient of m(x).

    The noise is uniform in a ball in the plane of the simplex, with centre m(x) and the distance to the
    nearest vertex M(x) as radius. Negative entries are set to 0. This is the noise of
    :class:`colorcnn.vq.noise.SphereNoise` with the vertices of the simplex as codebook.

    Args:
        assignment: m(x), (B, C, H, W) or sparse.

    Returns:
        (B, C, H, W), which sums to 1 over C. It is dense, because every colour gets noise.
    """
    if isinstance(assignment, SparseAssignment):
        assignment = assignment.dense()
    hard = one_hot(hard_indices(assignment), assignment.shape[1], assignment.dtype)
    radius = (hard - assignment).detach().norm(dim=1, keepdim=True)
    # Drawn pixel by pixel, so that the noise does not depend on the assignment's form or memory format.
    noise = unit_ball(assignment.movedim(1, -1).detach().contiguous(), zero_sum=True).movedim(-1, 1)
    inside = (assignment + radius * noise).clamp_min(0)
    return inside / inside.sum(dim=1, keepdim=True)


def color_sums(images: Tensor, indices: Tensor, num_colors: int) -> Tensor:
    """Return sums (B, C, 4) float64 over the pixels with each index: red, green, blue, and their number.

    Args:
        images: (B, 3, H, W).
        indices: M(x), (B, H, W), each below ``num_colors``.
        num_colors: C.
    """
    batch = images.shape[0]
    # A float32 sum loses digits over millions of pixels.
    total = torch.zeros(batch, num_colors, 4, dtype=torch.float64, device=images.device)
    for rows in row_slices(images.shape, 4):
        pixels = images[:, :, rows].flatten(2).transpose(1, 2).double()
        index = indices[:, rows].reshape(batch, -1, 1).long().expand(-1, -1, 4)
        total = total.scatter_add(1, index, torch.cat([pixels, torch.ones_like(pixels[..., :1])], dim=2))
    return total


def row_slices(shape: torch.Size, channels: int) -> Iterator[slice]:
    """Yield slices of the rows of images, each with at most 2**25 values. An exported graph has one slice.

    Args:
        shape: (B, 3, H, W).
        channels: number of values for each pixel.
    """
    if torch.compiler.is_exporting():
        yield slice(0, shape[2])
        return
    rows = max(1, _CHUNK // (shape[0] * channels * shape[3]))
    for first in range(0, shape[2], rows):
        yield slice(first, min(first + rows, shape[2]))


def hard_palette(images: Tensor, indices: Tensor, num_colors: int) -> Tensor:
    """Return the palette T(x): the mean of the pixels with each index (Eq 3); 0 for an unused index.

    Args:
        images: (B, 3, H, W).
        indices: M(x), (B, H, W), each below ``num_colors``.
        num_colors: C.

    Returns:
        (B, C, 3) with the type of ``images``.
    """
    sums = color_sums(images, indices, num_colors)
    return (sums[..., :3] / sums[..., 3:].clamp_min(1)).to(images.dtype)


def lloyd_steps(images: Tensor, indices: Tensor, palette: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Refine a quantized image by steps of Lloyd's algorithm in RGB.

    In each step every pixel takes its nearest colour, then Eq 3 gives the palette. An unused colour stays
    unused.

    Args:
        images: (B, 3, H, W).
        indices: M(x), (B, H, W).
        palette: T(x), (B, C, 3).
        steps: number of steps; 0 changes nothing.

    Returns:
        Indices (B, H, W) int64 and palette (B, C, 3).
    """
    colors, wide = palette.shape[1], torch.promote_types(images.dtype, torch.float32)
    for _ in range(steps):
        used = torch.zeros(palette.shape[:2], dtype=torch.bool, device=palette.device)
        used.scatter_(1, indices.flatten(1).long(), True)
        # |x - T|^2 / 2 without |x|^2 / 2, which is equal for all colours: a single matrix product.
        choices = palette.to(wide)
        size = torch.where(used, choices.square().sum(dim=2) / 2, torch.inf)
        parts = []
        for rows in row_slices(images.shape, colors):
            pixels = images[:, :, rows].flatten(2).to(wide)
            scores = torch.baddbmm(-size[..., None], choices, pixels)
            parts.append(scores.argmax(dim=1).view_as(indices[:, rows]))
        indices = torch.cat(parts, dim=1)
        palette = hard_palette(images, indices, colors)
    return indices.long(), palette


def soft_palette(images: Tensor, assignment: Assignment) -> Tensor:
    """Return the palette t(x): the mean of all pixels weighted by their assignment (Eq 5).

    Args:
        images: (B, 3, H, W).
        assignment: m(x), (B, C, H, W) or sparse.

    Returns:
        (B, C, 3); 0 (up to rounding) for a colour without assigned pixels.
    """
    if isinstance(assignment, SparseAssignment):
        values = assignment.values
        total = torch.stack([assignment.sums(values * part) for part in images.split(1, dim=1)], dim=2)
        mass = assignment.sums(values).unsqueeze(2)
    else:
        weights = assignment.flatten(2)
        mass = weights.sum(dim=2, keepdim=True)
        total = weights @ images.flatten(2).transpose(1, 2)
    # A colour without pixels has mass 0: division by 1 keeps its value and gradient at 0, not NaN. The
    # reciprocal of a tiny mass would overflow.
    tiny = torch.finfo(mass.dtype).tiny
    return total / torch.where(mass > tiny, mass, 1)


def soft_render(palette: Tensor, assignment: Assignment) -> Tensor:
    """Return the training image x~: every pixel is the mean of the palette weighted by its assignment (Eq 6).

    Args:
        palette: t(x), (B, C, 3).
        assignment: m(x), (B, C, H, W) or sparse.

    Returns:
        (B, 3, H, W).
    """
    if isinstance(assignment, SparseAssignment):
        channels = [assignment.looked_up(channel) for channel in palette.unbind(dim=2)]
        return torch.stack([(assignment.values * channel).sum(dim=1) for channel in channels], dim=1)
    return (palette.transpose(1, 2) @ assignment.flatten(2)).unflatten(2, assignment.shape[2:])
