"""Gradient estimators for quantizers: straight-through, rotation, ReinMax, and noise around the input."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_TINY = 1e-12


def straight_through(hard: Tensor, soft: Tensor) -> Tensor:
    """Return the value of ``hard`` with the gradient of ``soft`` (plus the gradient of ``hard``, if any).

    Args:
        hard: any shape.
        soft: the same shape.
    """
    return hard + (soft - soft.detach())


def reinmax(probabilities: Tensor, dim: int) -> Tensor:
    """Sample one-hot vectors, with ReinMax's gradient.

    The gradient follows Heun's method and is exact to second order; straight-through is exact to first order.

    Args:
        probabilities: floating point; sums to 1 over ``dim``.
        dim: dimension of the classes.

    Returns:
        One-hot over ``dim``, shaped like ``probabilities``.

    Source:
        L. Liu et al., Bridging Discrete and Backpropagation: Straight-Through and Beyond, 2023, algorithm 2
        with temperature 1.
    """
    tiny = torch.finfo(probabilities.dtype).tiny
    logits = probabilities.clamp_min(tiny).log()
    noise = torch.empty_like(logits).exponential_().clamp_min(tiny).log()
    sampled = (logits.detach() - noise).argmax(dim=dim, keepdim=True)
    hard = torch.zeros_like(probabilities).scatter_(dim, sampled, 1)
    middle = ((hard + probabilities) / 2).clamp_min(tiny).log()
    at_middle = straight_through(middle.detach(), logits).softmax(dim=dim)
    return straight_through(hard, 2 * at_middle - probabilities / 2)


def rotate_onto(vectors: Tensor, targets: Tensor) -> Tensor:
    """Return the targets, with the gradient of a rotation and a scaling of the vectors.

    The rotation from a vector to the direction of its target, and the ratio of their lengths, are constants
    in the backward pass. So the angle between the gradient and the target equals the angle between the passed
    gradient and the vector. In one dimension only the scaling remains.

    Args:
        vectors: (..., k).
        targets: (..., k); they get no gradient.

    Returns:
        (..., k). If the rotation is undefined, because a length is 0 or the two are opposite, the gradient
        passes straight through.

    Source:
        C. Fifty et al., Restructuring Vector Quantization with the Rotation Trick, 2024, section 4.2.
    """
    with torch.no_grad():
        length, target_length = vectors.norm(dim=-1, keepdim=True), targets.norm(dim=-1, keepdim=True)
        start, end = vectors / length.clamp_min(_TINY), targets / target_length.clamp_min(_TINY)
        middle = start + end
        squared = middle.square().sum(dim=-1, keepdim=True)
        scale = target_length / length.clamp_min(_TINY)
        undefined = (length <= _TINY) | (target_length <= _TINY) | (squared <= _TINY)
    # R x = x - 2 (m . x) m / |m|^2 + 2 (s . x) e, with m = s + e: two reflections.
    across = 2 * (middle * vectors).sum(dim=-1, keepdim=True) / squared.clamp_min(_TINY) * middle
    along = 2 * (start * vectors).sum(dim=-1, keepdim=True) * end
    rotated = scale * (vectors - across + along)
    return straight_through(targets.detach(), torch.where(undefined, vectors, rotated))


def unit_sphere(vectors: Tensor, *, zero_sum: bool = False) -> Tensor:
    """Draw directions uniformly from the surface of the unit sphere.

    Args:
        vectors: (..., k); gives shape, type and device.
        zero_sum: True to draw only directions whose entries add up to 0, which keep a point on its simplex.

    Returns:
        (..., k) of length 1.
    """
    normal = torch.randn_like(vectors)
    if zero_sum:
        normal = normal - normal.mean(dim=-1, keepdim=True)
    return normal / normal.norm(dim=-1, keepdim=True).clamp_min(_TINY)


def unit_ball(vectors: Tensor, *, zero_sum: bool = False) -> Tensor:
    """Draw points uniformly from the unit ball: a direction times U^(1/k).

    Args:
        vectors: (..., k); gives shape, type and device.
        zero_sum: see :func:`unit_sphere`; the ball then has k - 1 dimensions.

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
    """Estimate the gradient of a function smoothed over a ball of fixed radius, from values only.

    The gradient of E l(y + r u), u uniform in the unit ball, is (k / r) E l(y + r n) n over the unit
    sphere's surface (Stokes' theorem; the paper's Eq 9 with its volume cancelled). It also holds for a
    piecewise constant function, whose ordinary gradient is 0. Each direction is used together with its
    opposite. For k = 1 the two are the whole surface, so the result (l(y + r) - l(y - r)) / 2r is exact.

    Args:
        function: (..., M, k) -> (..., M).
        vectors: y, (..., M, k), M vectors for each codebook.
        radius: r, (..., M).
        floor: smallest divisor, relative to the root mean square of a codebook's radii. A value above 0
            bounds the gradients of vectors close to their codeword, and biases them.

    Returns:
        (..., M, k), one sample of the estimate.
    """
    direction = unit_sphere(vectors)
    offset = radius.unsqueeze(-1) * direction
    difference = function(vectors + offset) - function(vectors - offset)
    smallest = floor * radius.square().mean(dim=-1, keepdim=True).sqrt()
    divisor = torch.maximum(radius, smallest).clamp_min(_TINY)
    return (vectors.shape[-1] * difference / (2 * divisor)).unsqueeze(-1) * direction


def carry_gradient(values: Tensor, vectors: Tensor, gradient: Tensor) -> Tensor:
    """Return unchanged values, with an added gradient with respect to vectors.

    Args:
        values: (...).
        vectors: (..., k).
        gradient: (..., k).
    """
    return straight_through(values, (gradient * vectors).sum(dim=-1))
