"""Gradients past a quantizer: straight through it, or by noise on and in spheres around its input."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_TINY = 1e-12


def straight_through(hard: Tensor, soft: Tensor) -> Tensor:
    """Return the value of ``hard`` with the gradient of ``soft`` (and that of ``hard``, if it has one).

    Args:
        hard: any shape.
        soft: the same shape.
    """
    return hard + (soft - soft.detach())


def unit_sphere(vectors: Tensor, *, zero_sum: bool = False) -> Tensor:
    """Directions drawn uniformly from the surface of the unit sphere.

    Args:
        vectors: (..., k); gives shape, type and device.
        zero_sum: draw from the plane of directions whose entries add up to 0, as those within a simplex do.

    Returns:
        (..., k) of length 1.
    """
    normal = torch.randn_like(vectors)
    if zero_sum:
        normal = normal - normal.mean(dim=-1, keepdim=True)
    return normal / normal.norm(dim=-1, keepdim=True).clamp_min(_TINY)


def unit_ball(vectors: Tensor, *, zero_sum: bool = False) -> Tensor:
    """Points drawn uniformly from the unit ball: a direction times U^(1/k).

    Args:
        vectors: (..., k); gives shape, type and device.
        zero_sum: as in :func:`unit_sphere`; the ball then has k - 1 dimensions.

    Returns:
        (..., k).
    """
    dimensions = max(1, vectors.shape[-1] - zero_sum)
    length = torch.rand_like(vectors[..., :1]) ** (1 / dimensions)
    return unit_sphere(vectors, zero_sum=zero_sum) * length


@torch.no_grad()
def surface_gradient(
    function: Callable[[Tensor], Tensor], vectors: Tensor, radius: Tensor, floor: float = 0.0
) -> Tensor:
    """Gradient of a function smoothed over a ball of fixed radius, from the function's values alone.

    The gradient of E l(y + r u), u uniform in the unit ball, is (k / r) E l(y + r n) n over the unit
    sphere's surface (Stokes' theorem; the paper's Eq 9 with its volume cancelled). That holds for a function
    that is constant in pieces, too, where E of the gradient of l is 0. Each direction is used with its
    opposite; for k = 1 the two are the whole surface and the result, (l(y + r) - l(y - r)) / 2r, is exact.

    Args:
        function: (..., M, k) -> (..., M).
        vectors: y, (..., M, k), M of each codebook.
        radius: r, (..., M).
        floor: the least divisor as a part of the root mean square of a codebook's radii. Above 0 it biases
            gradients where vectors nearly meet their codeword, and keeps them from growing without bound.

    Returns:
        (..., M, k), one draw of the estimate.
    """
    direction = unit_sphere(vectors)
    offset = radius.unsqueeze(-1) * direction
    difference = function(vectors + offset) - function(vectors - offset)
    least = floor * radius.square().mean(dim=-1, keepdim=True).sqrt()
    divisor = torch.maximum(radius, least).clamp_min(_TINY)
    return (vectors.shape[-1] * difference / (2 * divisor)).unsqueeze(-1) * direction


def carry_gradient(values: Tensor, vectors: Tensor, gradient: Tensor) -> Tensor:
    """Return values as they are, with a gradient with respect to vectors added.

    Args:
        values: (...).
        vectors: (..., k).
        gradient: (..., k).
    """
    return straight_through(values, (gradient * vectors).sum(dim=-1))
