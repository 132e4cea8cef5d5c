"""Loss and regularisation terms of ColorCNN and ColorCNN+ as pure functions of tensors.

Each is computed per image and averaged over the batch. Equation numbers are those of Hou, Zheng and Gould.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from colorcnn.models.assignment import Assignment
from colorcnn.models.sparse import SparseAssignment


def color_appearance(assignment: Assignment) -> Tensor:
    """Return R_color (Eq 7): minus the mean over the colours of their largest probability in the image.

    Args:
        assignment: m(x), (B, C, H, W) or sparse.

    Returns:
        Scalar in [-1, -1/C]; -1 if every colour has a pixel with probability 1.
    """
    if isinstance(assignment, SparseAssignment):
        return -_sum_of_largest(assignment) / assignment.shape[:2].numel()
    # max instead of amax: its gradient goes to one pixel, which takes a third of the time.
    return -assignment.flatten(2).max(dim=2).values.mean()


def _sum_of_largest(assignment: SparseAssignment) -> Tensor:
    """Return the sum over all colours of their largest values, each with the gradient of one pixel."""
    values, index = assignment.values.flatten(1), assignment.indices.flatten(1)
    pixels, (batch, colors) = assignment.values[0, 0].numel(), assignment.shape[:2]
    with torch.no_grad():
        largest = values.new_zeros(batch, colors).scatter_reduce(1, index, values, "amax")
        largest_here = values == largest.gather(1, index)
    # Among equal values the first pixel is taken, as in the dense form.
    if values.device.type != "cpu":  # the positions of the few entries are on the GPU, and reading them waits
        pixel = torch.arange(values.shape[1], device=values.device) % pixels
        pixel = torch.where(largest_here, pixel, pixels)
        first = torch.full((batch, colors), pixels, device=values.device)
        first = first.scatter_reduce(1, index, pixel, "amin")
        return (values * (largest_here & (pixel == first.gather(1, index)))).sum()
    image, entry = largest_here.nonzero(as_tuple=True)
    color, pixel = image * colors + index[image, entry], entry % pixels
    first = torch.full((batch * colors,), pixels, device=values.device)
    chosen = pixel == first.scatter_reduce(0, color, pixel, "amin")[color]
    return values[image[chosen], entry[chosen]].sum()


def _entropy(probabilities: Tensor) -> Tensor:
    """Return the entropy over dimension 1 in nats, with value and gradient 0 for 0 log 0."""
    logs = torch.where(probabilities > 0, probabilities, 1).log()
    return -(probabilities * logs).sum(dim=1)


def information_entropy(assignment: Assignment) -> Tensor:
    """Return R_info (Eq 14): minus the entropy, in nats, of an image's distribution of colours.

    Args:
        assignment: m(x), (B, C, H, W) or sparse.

    Returns:
        Scalar in [-log C, 0]; -log C if all colours are used equally.
    """
    if isinstance(assignment, SparseAssignment):
        pixels = assignment.values[0, 0].numel()
        return -_entropy(assignment.sums(assignment.values) / pixels).mean()
    return -_entropy(assignment.flatten(2).mean(dim=2)).mean()


def confidence_entropy(assignment: Assignment) -> Tensor:
    """Return R_conf (Eq 15): the mean entropy, in nats, of a pixel's assignment.

    Args:
        assignment: m(x), (B, C, H, W) or sparse.

    Returns:
        Scalar in [0, log C]; 0 if every assignment is one-hot.
    """
    entries = assignment.values if isinstance(assignment, SparseAssignment) else assignment
    return _entropy(entries.flatten(2)).mean()


def imitation_loss(
    assignment: Assignment,
    target_indices: Tensor,
    pixels: Tensor | None = None,
    num_clusters: int | None = None,
) -> Tensor:
    """Return the relationship-preserving loss (Eq 10-12), exactly and without an N x N matrix.

    The time is proportional to N C^2.

    With G = M M^T, G* = M* M*^T and S = M M*^T, row i of the self-correlations has the norms
    |A_i|^2 = m_i^T G m_i and |A*_i|^2 = G*_tt (t is the target of pixel i), and the product of the rows is
    m_i^T S m*_i. So the loss is the mean over i of 2 - 2 m_i^T S m*_i / (|A_i| |A*_i|).

    Args:
        assignment: m_C(x), (B, C, H, W) or sparse, summing to 1 over C.
        target_indices: the index map to imitate, (B, H, W) integer, any number of clusters.
        pixels: (B, N) flat positions of the pixels to use; None uses all.
        num_clusters: a number above every target index; None computes it, which synchronises a GPU.

    Returns:
        Scalar in [0, 2]; 0 if the partitions are equal, for any numbering of the clusters.
    """
    target = target_indices.flatten(1).long()
    if pixels is not None:
        target = target.gather(1, pixels)
    clusters = int(target.max()) + 1 if num_clusters is None else num_clusters
    counts = torch.zeros(len(target), clusters, dtype=assignment.dtype, device=target.device)
    counts = counts.scatter_add_(1, target, torch.ones_like(target, dtype=counts.dtype))
    form = _sparse_products if isinstance(assignment, SparseAssignment) else _dense_products
    norm, product = form(assignment, target, clusters, pixels)  # type: ignore[arg-type]
    return (2 - 2 * product / (norm * counts.gather(1, target)).sqrt()).mean()


def _dense_products(
    assignment: Tensor, target: Tensor, clusters: int, pixels: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return m_i^T G m_i and m_i^T S m*_i of every pixel, both (B, N)."""
    soft = assignment.flatten(2)
    if pixels is not None:
        soft = soft.gather(2, pixels.unsqueeze(1).expand(-1, soft.shape[1], -1))
    hard = F.one_hot(target, clusters).to(soft.dtype)  # (B, N, C*)
    norm = (soft * ((soft @ soft.transpose(1, 2)) @ soft)).sum(dim=1)
    product = ((soft @ hard).transpose(1, 2) @ soft).gather(1, target.unsqueeze(1)).squeeze(1)
    return norm, product


def _sparse_products(
    assignment: SparseAssignment, target: Tensor, clusters: int, pixels: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the same as :func:`_dense_products`; only K (K + 1) / 2 products m_i m_j per pixel are not 0."""
    values, indices, colors = (
        assignment.values.flatten(2),
        assignment.indices.flatten(2),
        assignment.num_colors,
    )
    if pixels is not None:
        chosen = pixels.unsqueeze(1).expand(-1, values.shape[1], -1)
        values, indices = values.gather(2, chosen), indices.gather(2, chosen)
    first, second = torch.triu_indices(values.shape[1], values.shape[1], device=values.device)
    pairs, one, other = values[:, first] * values[:, second], indices[:, first], indices[:, second]
    entry = (torch.minimum(one, other) * colors + torch.maximum(one, other)).flatten(1)
    correlations = values.new_zeros(len(values), colors**2).scatter_add(1, entry, pairs.flatten(1))
    twice = torch.where(first == second, 1, 2).to(values.dtype)[:, None]
    norm = (twice * pairs * correlations.gather(1, entry).view_as(pairs)).sum(dim=1)
    entry = (indices * clusters + target.unsqueeze(1)).flatten(1)
    crossed = values.new_zeros(len(values), colors * clusters).scatter_add(1, entry, values.flatten(1))
    return norm, (values * crossed.gather(1, entry).view_as(values)).sum(dim=1)


def distillation_loss(logits: Tensor, teacher_logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Return the distillation loss: cross-entropy with the classifier's softmax on the original image.

    Args:
        logits: (B, classes) for the quantized images.
        teacher_logits: (B, classes) for the originals, without gradient.
        temperature: T softens both; the result is scaled by T^2 (Hinton et al., 2015).

    Returns:
        Scalar; its minimum is the teacher's entropy.
    """
    target = (teacher_logits.detach() / temperature).softmax(dim=1)
    return F.cross_entropy(logits / temperature, target) * temperature**2
