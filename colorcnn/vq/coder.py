"""Range coding of indices, which gives real file sizes next to estimated rates."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from colorcnn.errors import ColorCNNError

_SCALE = 1 << 22
"""Grid to which probabilities are rounded. Two machines may differ in the last digits of a softmax, but
encoder and decoder need equal probabilities."""


def frequencies(table: Tensor) -> np.ndarray:
    """Return probabilities (G, n) as counts (G, n), whole numbers of at least 1 as float64."""
    values = table.detach().double().cpu().numpy()
    shares = values / np.maximum(values.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return np.maximum(np.floor(shares * _SCALE + 0.5), 1)


def range_encode(indices: Tensor, table: Tensor) -> bytes:
    """Code the indices of G groups, one group after the other.

    Args:
        indices: (G, M) integers, each in 0..n-1.
        table: (G, n) probabilities.

    Returns:
        The code, a multiple of 4 bytes.
    """
    import constriction  # codecs alone need it

    encoder = constriction.stream.queue.RangeEncoder()
    symbols = indices.cpu().numpy().astype(np.int32)
    for row, counts in zip(symbols, frequencies(table), strict=True):
        if len(counts) > 1:  # the coder takes no model with one symbol, which needs no code
            encoder.encode(np.ascontiguousarray(row), _model(counts))
    return encoder.get_compressed().astype("<u4").tobytes()


def range_decode(code: bytes, table: Tensor, count: int) -> Tensor:
    """Invert :func:`range_encode` exactly.

    Args:
        code: the code.
        table: the probabilities (G, n) that it was made with.
        count: M.

    Returns:
        (G, M) int64 on the CPU.

    Raises:
        ColorCNNError: the code is damaged.
    """
    if len(code) % 4:
        raise ColorCNNError(
            "The code is damaged (it does not consist of whole words)",
            "use an intact copy",
            code="damaged-code",
        )
    import constriction

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


def _model(counts: np.ndarray) -> Any:
    import constriction

    return constriction.stream.model.Categorical(counts, perfect=False)
