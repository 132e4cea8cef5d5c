"""Gradients past a quantizer: straight through it, by a rotation, by draws, or by noise around its input."""

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


def reinmax(probabilities: Tensor, dim: int) -> Tensor:
    """Draw one-hot vectors, with ReinMax's gradient.

    The gradient is that of Heun's method, exact to second order where straight-through is to first.

    Args:
        probabilities: floating point; sums to 1 over ``dim``.
        dim: of the classes.

    Returns:
        One-hot over ``dim``, shaped like ``probabilities``.

    Source:
        L. Liu et al., Bridging Discrete and Backpropagation: Straight-Through and Beyond, 2023, algorithm 2
        with temperature 1.
    """
    least = torch.finfo(probabilities.dtype).tiny
    scores = probabilities.clamp_min(least).log()
    noise = torch.empty_like(scores).exponential_().clamp_min(least).log()
    drawn = (scores.detach() - noise).argmax(dim=dim, keepdim=True)
    hard = torch.zeros_like(probabilities).scatter_(dim, drawn, 1)
    middle = ((hard + probabilities) / 2).clamp_min(least).log()
    at_middle = straight_through(middle.detach(), scores).softmax(dim=dim)
    return straight_through(hard, 2 * at_middle - probabilities / 2)


def rotate_onto(vectors: Tensor, targets: Tensor) -> Tensor:
    """Return the targets, with the gradient of a rotation and a scaling of the vectors.

    The rotation that takes a vector to the direction of its target, and the ratio of their lengths, are
    constants of the backward pass. So the angle between a gradient and its codeword is the angle between the
    passed gradient and the vector. In one dimension nothing turns, and only the scaling is left.

    Args:
        vectors: (..., k).
        targets: (..., k); without a gradient.

    Returns:
        (..., k). Where no rotation is defined, since a length is 0 or the two are opposite, the gradient
        passes straight through.

    Source:
        C. Fifty et al., Restructuring Vector Quantization with the Rotation Trick, 2024, section 4.2.
    """
    with torch.no_grad():
        length, reach = vectors.norm(dim=-1, keepdim=True), targets.norm(dim=-1, keepdim=True)
        start, end = vectors / length.clamp_min(_TINY), targets / reach.clamp_min(_TINY)
        middle = start + end
        squared = middle.square().sum(dim=-1, keepdim=True)
        scale = reach / length.clamp_min(_TINY)
        lost = (length <= _TINY) | (reach <= _TINY) | (squared <= _TINY)
    # R x = x - 2 (m . x) m / |m|^2 + 2 (s . x) e, with m = s + e: two reflections.
    across = 2 * (middle * vectors).sum(dim=-1, keepdim=True) / squared.clamp_min(_TINY) * middle
    along = 2 * (start * vectors).sum(dim=-1, keepdim=True) * end
    rotated = scale * (vectors - across + along)
    return straight_through(targets.detach(), torch.where(lost, vectors, rotated))


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
