"""Full precision: IEEE float32 instead of bfloat16 and TF32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Compute in the tensors' own type: without autocast, and on a GPU without TF32.

    By default a GPU computes float32 convolutions with 10 bits of mantissa (TF32). An index map is the argmax
    of close logits, so it would depend on the device. The backward pass is not covered.

    Args:
        device: device of the computation.
    """
    if device.type == "meta":  # tensors without data
        yield
        return
    with torch.autocast(device.type, enabled=False):
        if device.type != "cuda":
            yield
            return
        cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
        before = cudnn.allow_tf32, matmul.allow_tf32
        cudnn.allow_tf32, matmul.allow_tf32 = False, False
        try:
            yield
        finally:
            cudnn.allow_tf32, matmul.allow_tf32 = before
