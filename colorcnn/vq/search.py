"""Search for the nearest codeword, for many vectors and large codebooks, in bounded memory."""

from __future__ import annotations

import torch
from torch import Tensor

CHUNK = 1 << 23
"""Number of distances in memory (32 MB of float32). 4-D codebooks of images would need gigabytes."""


@torch.no_grad()
def nearest(vectors: Tensor, codebooks: Tensor, penalty: Tensor | None = None, chunk: int = CHUNK) -> Tensor:
    """Return the index of the nearest codeword.

    Args:
        vectors: (G, M, k): M vectors for each of G codebooks.
        codebooks: (G, K, k).
        penalty: (G, K), added to the squared distances. An entropy-constrained search uses a codeword's bits
            divided by lambda. Infinite for unused codewords.
        chunk: maximum number of distances in memory.

    Returns:
        (G, M) int64.
    """
    # |y|^2 is left out, since it is equal for all codewords. Codewords are centred, so that float32 is
    # precise enough; unused ones, which may lie far away, are ignored.
    penalty = codebooks.new_zeros(codebooks.shape[:2]) if penalty is None else penalty
    used = penalty.isfinite().unsqueeze(2)
    total = torch.where(used, codebooks, 0).sum(dim=1, keepdim=True)
    centre = total / used.sum(dim=1, keepdim=True).clamp_min(1)
    codebooks = torch.where(used, codebooks - centre, 0)
    offset = codebooks.square().sum(dim=2) + penalty
    transposed = codebooks.transpose(1, 2).contiguous()
    rows = max(1, chunk // (codebooks.shape[0] * codebooks.shape[1]))
    found = [
        torch.baddbmm(offset.unsqueeze(1), part - centre, transposed, alpha=-2).argmin(dim=2)
        for part in vectors.split(rows, dim=1)
    ]
    return torch.cat(found, dim=1) if found else vectors.new_zeros(vectors.shape[:2], dtype=torch.int64)


def gather_codewords(codebooks: Tensor, indices: Tensor) -> Tensor:
    """Return the codewords (G, M, k) of indices; differentiable in the codebooks.

    Args:
        codebooks: (G, K, k).
        indices: (G, M).
    """
    groups, size, dimension = codebooks.shape
    shifted = indices + torch.arange(groups, device=indices.device).unsqueeze(1) * size
    # Faster than indexing: the backward pass of an embedding adds rows, the one of indexing sorts them.
    rows = torch.nn.functional.embedding(shifted.reshape(-1), codebooks.reshape(-1, dimension))
    return rows.view(groups, -1, dimension)
