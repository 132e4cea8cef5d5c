"""Full precision: IEEE float32 instead of bfloat16 and TF32."""

from __future__ import annotations

import threading
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
        _without_tf32.enter()
        try:
            yield
        finally:
            _without_tf32.leave()


class _WithoutTF32:
    """Switch of TF32 for the whole process. The last thread that leaves restores the settings."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = 0
        self.before = False, False

    def enter(self) -> None:
        cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
        with self.lock:
            if not self.inside:
                self.before = cudnn.allow_tf32, matmul.allow_tf32
                cudnn.allow_tf32, matmul.allow_tf32 = False, False
            self.inside += 1

    def leave(self) -> None:
        with self.lock:
            self.inside -= 1
            if not self.inside:
                torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = self.before


_without_tf32 = _WithoutTF32()
