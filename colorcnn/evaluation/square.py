"""Square attack in the L-infinity norm: random search that needs logits, but no gradient.

M. Andriushchenko et al., "Square Attack: a query-efficient black-box adversarial attack via random search",
ECCV 2020. Rounding to a palette hides the gradient from other attacks. It cannot hide from this one.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from colorcnn.evaluation.attack_options import QUERIES
from colorcnn.recognition import IGNORED

_FIRST_SHARE = 0.8
"""Share of the pixels in the first squares, as in AutoAttack (F. Croce and M. Hein, 2020)."""
_HALVED_AT = (0.001, 0.005, 0.02, 0.1, 0.2, 0.4, 0.6, 0.8)
"""Shares of all queries at which the squares' area is halved: the paper's schedule of 10,000 queries."""


def square(
    network: Callable[[Tensor], Tensor],
    images: Tensor,
    labels: Tensor,
    epsilon: float,
    *,
    queries: int = QUERIES,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Change images by vertical stripes, then by random squares that lower the margin.

    Images that are no longer recognised get no further queries.

    Args:
        network: the attacked network, from images (B, 3, H, W) in [0, 1] to logits.
        images: (B, 3, H, W) in [0, 1].
        labels: (B,) class numbers, (B, K) of 0 and 1 for several labels per image, or masks (B, H, W).
        epsilon: the largest change of a value.
        queries: number of times that the network sees an image, at least 1.
        generator: generator on the CPU for all random numbers.

    Returns:
        (B, 3, H, W) in [0, 1].
    """
    count, channels, height, width = images.shape

    def signs(*shape: int) -> Tensor:
        return (2 * torch.randint(0, 2, shape, generator=generator) - 1).to(images)

    found = (images + epsilon * signs(count, channels, 1, width)).clamp(0, 1)
    with torch.no_grad():
        margins = margin(network(found), labels)
        for query in range(1, queries):
            side = _side(query / queries, height, width)
            corners = torch.rand(2, count, generator=generator)
            changes = epsilon * signs(count, channels, 1, 1)
            left = (margins > 0).nonzero().flatten()
            if not len(left):
                break
            inside = _squares(corners, side, height, width).to(images.device)[left]
            tried = torch.where(inside, (images[left] + changes[left]).clamp(0, 1), found[left])
            lower = margin(network(tried), labels[left])
            wins = lower < margins[left]
            found[left[wins]] = tried[wins]
            margins[left[wins]] = lower[wins]
    return found


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Return by how much an image is recognised: above 0 it is, at 0 and below it is not.

    One label: the logit of the label less the largest other one. Several labels: the smallest logit, with
    the sign that is right for its label. Masks: the mean of the pixels' margins.

    Args:
        logits: (B, K), or (B, K, H, W) of masks.
        labels: (B,), (B, K) of 0 and 1, or (B, H, W) with ``IGNORED`` for pixels that do not count.

    Returns:
        (B,) in float32.
    """
    logits = logits.float()
    if labels.ndim == 2:
        return torch.where(labels > 0, logits, -logits).amin(dim=1)
    counts = labels != IGNORED if labels.ndim == 3 else torch.ones_like(labels, dtype=torch.bool)
    chosen = torch.where(counts, labels, 0).long().unsqueeze(1)
    right = logits.gather(1, chosen).squeeze(1)
    margins = right - logits.scatter(1, chosen, -torch.inf).amax(dim=1)
    if labels.ndim == 1:
        return margins
    return (margins * counts).sum(dim=(1, 2)) / counts.sum(dim=(1, 2)).clamp_min(1)


def _side(progress: float, height: int, width: int) -> int:
    """Return the side of the squares in pixels, at a share of all queries."""
    share = _FIRST_SHARE / 2 ** sum(progress > each for each in _HALVED_AT)
    return max(1, min(round((share * height * width) ** 0.5), height - 1, width - 1))


def _squares(corners: Tensor, side: int, height: int, width: int) -> Tensor:
    """Return masks (B, 1, H, W) of squares with corners (2, B) in [0, 1)."""
    tops = (corners[0] * (height - side + 1)).long()[:, None]
    lefts = (corners[1] * (width - side + 1)).long()[:, None]
    rows, columns = torch.arange(height), torch.arange(width)
    in_rows = (rows >= tops) & (rows < tops + side)
    in_columns = (columns >= lefts) & (columns < lefts + side)
    return (in_rows[:, :, None] & in_columns[:, None, :])[:, None]
