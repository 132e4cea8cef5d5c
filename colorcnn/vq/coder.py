"""Indices to bytes and back with a range coder: what a code really costs, beside what a model estimates."""

from __future__ import annotations

import constriction
import numpy as np
import torch
from torch import Tensor

from colorcnn.errors import ColorCNNError

_SCALE = 1 << 22
"""Probabilities are rounded to this grid first: two machines may differ in the last digits of a softmax, and
encoder and decoder must not differ at all."""


def frequencies(table: Tensor) -> np.ndarray:
    """A table of probabilities (G, n) as counts (G, n), float64 whole numbers of at least 1."""
    values = table.detach().double().cpu().numpy()
    shares = values / np.maximum(values.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return np.maximum(np.floor(shares * _SCALE + 0.5), 1)


def range_encode(indices: Tensor, table: Tensor) -> bytes:
    """Code the indices of G groups one group after the other.

    Args:
        indices: (G, M) integers, each in 0..n-1.
        table: (G, n) probabilities.

    Returns:
        The code, a multiple of 4 bytes.
    """
    encoder = constriction.stream.queue.RangeEncoder()
    symbols = indices.cpu().numpy().astype(np.int32)
    for row, counts in zip(symbols, frequencies(table), strict=True):
        if len(counts) > 1:  # a single symbol needs no code, and the coder takes no such model
            encoder.encode(np.ascontiguousarray(row), _model(counts))
    return encoder.get_compressed().astype("<u4").tobytes()


def range_decode(code: bytes, table: Tensor, count: int) -> Tensor:
    """Invert :func:`range_encode`, bit for bit.

    Args:
        code: what it returned.
        table: the same probabilities (G, n).
        count: M.

    Returns:
        (G, M) int64 on the CPU.

    Raises:
        ColorCNNError: ``code`` is no such code.
    """
    if len(code) % 4:
        raise ColorCNNError(
            "The code is damaged (it does not consist of whole words)",
            "use an intact copy",
            code="damaged-code",
        )
    decoder = constriction.stream.queue.RangeDecoder(np.frombuffer(code, dtype="<u4").astype(np.uint32))
    rows = []
    try:
        for counts in frequencies(table):
            single = len(counts) == 1
            rows.append(np.zeros(count, np.int32) if single else decoder.decode(_model(counts), count))
    except (AssertionError, ValueError) as error:
        raise ColorCNNError(
            f"The code is damaged ({error})", "use an intact copy", code="damaged-code"
        ) from error
    return torch.from_numpy(np.stack(rows)).long()


def _model(counts: np.ndarray) -> constriction.stream.model.Categorical:
    return constriction.stream.model.Categorical(counts, perfect=False)
