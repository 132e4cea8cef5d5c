"""Copies of networks on several devices."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from queue import SimpleQueue
from typing import Any

from torch import nn


def modules_of(quantizer: object) -> Iterator[nn.Module]:
    """Yield the network of a quantizer, or of the quantizer inside a wrapper such as ``Dithered``."""
    for candidate in (quantizer, getattr(quantizer, "quantizer", None)):
        if isinstance(candidate, nn.Module):
            yield candidate


class Replicas:
    """Copies of a quantizer on several devices. A call uses one that is free; they give the same results.

    Args:
        quantizer: a network, or an object around one. It works on the first device.
        devices: the devices.
    """

    def __init__(self, quantizer: Any, devices: Sequence[str]) -> None:
        self._free: SimpleQueue[Any] = SimpleQueue()
        copies = [quantizer, *(copy.deepcopy(quantizer) for _ in devices[1:])]
        for each, device in zip(copies, devices, strict=True):
            for network in modules_of(each):
                network.to(device)
            self._free.put(each)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Call a copy of the quantizer."""
        free = self._free.get()
        try:
            return free(*arguments, **options)
        finally:
            self._free.put(free)
