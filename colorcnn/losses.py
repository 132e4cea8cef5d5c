"""The loss and regularisation terms of ColorCNN and ColorCNN+, pure functions of tensors.

Each is computed per image and averaged over the batch. Equations are those of Hou, Zheng and Gould.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def color_appearance(assignment: Tensor) -> Tensor:
    """R_color (Eq 7): minus the mean over the colours of their largest probability in the image.

    Args:
        assignment: m(x), (B, C, H, W).

    Returns:
        Scalar in [-1, -1/C]; least when every colour has a pixel that is sure of it.
    """
    # max, not amax: its gradient goes to one pixel and costs a third.
    return -assignment.flatten(2).max(dim=2).values.mean()


def _entropy(probabilities: Tensor) -> Tensor:
    """Entropy over dimension 1 in nats, with 0 log 0 = 0 in value and in gradient."""
    logs = torch.where(probabilities > 0, probabilities, 1).log()
    return -(probabilities * logs).sum(dim=1)


def information_entropy(assignment: Tensor) -> Tensor:
    """R_info (Eq 14): minus the entropy, in nats, of how an image's pixels spread over the colours.

    Args:
        assignment: m(x), (B, C, H, W).

    Returns:
        Scalar in [-log C, 0]; least when all colours are used equally.
    """
    return -_entropy(assignment.flatten(2).mean(dim=2)).mean()


def confidence_entropy(assignment: Tensor) -> Tensor:
    """R_conf (Eq 15): the mean entropy, in nats, of a pixel's assignment.

    Args:
        assignment: m(x), (B, C, H, W).

    Returns:
        Scalar in [0, log C]; least when every assignment is one-hot.
    """
    return _entropy(assignment.flatten(2)).mean()


def imitation_loss(assignment: Tensor, target_indices: Tensor, pixels: Tensor | None = None) -> Tensor:
    """Relationship-preserving loss (Eq 10-12) in its exact N C^2 form: no N x N matrix is ever built.

    With G = M M^T, G* = M* M*^T and S = M M*^T, row i of the self-correlations has the norms
    |A_i|^2 = m_i^T G m_i and |A*_i|^2 = G*_tt (t the target of pixel i), and the product of the rows is
    m_i^T S m*_i, so that the loss is the mean over i of 2 - 2 m_i^T S m*_i / (|A_i| |A*_i|).

    Args:
        assignment: m_C(x), (B, C, H, W), summing to 1 over C.
        target_indices: the index map to imitate, (B, H, W) integer, any number of clusters.
        pixels: (B, N) flat positions to look at; all pixels where it is not given.

    Returns:
        Scalar in [0, 2]; 0 where the partitions agree, whatever the clusters are called.
    """
    soft = assignment.flatten(2)
    target = target_indices.flatten(1).long()
    if pixels is not None:
        soft = soft.gather(2, pixels.unsqueeze(1).expand(-1, soft.shape[1], -1))
        target = target.gather(1, pixels)
    hard = F.one_hot(target).to(soft.dtype)  # (B, N, C*)
    norm = (soft * ((soft @ soft.transpose(1, 2)) @ soft)).sum(dim=1)
    cluster = target.unsqueeze(1)
    product = ((soft @ hard).transpose(1, 2) @ soft).gather(1, cluster).squeeze(1)
    target_norm = hard.sum(dim=1).gather(1, target)
    return (2 - 2 * product / (norm * target_norm).sqrt()).mean()


def distillation_loss(logits: Tensor, teacher_logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Knowledge distillation: cross-entropy against the classifier's own answer on the original image.

    Args:
        logits: (B, classes) for the quantized images.
        teacher_logits: (B, classes) for the originals; no gradient flows into them.
        temperature: T softens both; the result is scaled by T^2 (Hinton et al., 2015).

    Returns:
        Scalar; its least value is the teacher's entropy.
    """
    target = (teacher_logits.detach() / temperature).softmax(dim=1)
    return F.cross_entropy(logits / temperature, target) * temperature**2
