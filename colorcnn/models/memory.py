"""Estimate of the memory that a learned quantizer needs for an image, on tensors without data."""

from __future__ import annotations

import contextlib
import copy
import weakref
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from colorcnn.errors import ColorCNNError
from colorcnn.images import LEARNED_PIXELS

_ROOM = 1.15
"""Factor for memory of libraries outside the tensors, such as copies of a convolution's input."""

_A_PIXEL = 40
"""Bytes per pixel outside the network: the image and its indices."""

_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")


class _Peak(TorchDispatchMode):
    """Counter of the maximum number of bytes of all tensors that exist at the same time."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and count its results."""
        found = func(*args, **(kwargs or {}))
        for value in tree_iter(found):
            if isinstance(value, Tensor):
                self._count(value.untyped_storage())
        return found

    def _count(self, storage: Any) -> None:
        key = storage._cdata
        if key in self._known:
            return
        size = storage.nbytes()
        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


def needed_bytes(model: Any, height: int, width: int, num_colors: int) -> int:
    """Estimate the memory in bytes that a quantizer needs for one image, without decoding its file.

    Args:
        model: a :class:`colorcnn.models.learned.LearnedQuantizer`.
        height: height of the image.
        width: width of the image.
        num_colors: C.
    """
    shapes = copy.deepcopy(model).to("meta")
    images = torch.empty(1, 3, height, width, device="meta")
    with torch.no_grad(), _Peak() as counter:
        shapes.rehearse(images, num_colors)
    return int(_ROOM * counter.peak) + _A_PIXEL * height * width


def free_bytes(device: torch.device) -> int | None:
    """Return the free memory of a device in bytes; None if it is unknown."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type != "cpu":
        return None
    found = []
    with contextlib.suppress(OSError, ValueError, StopIteration):
        line = next(each for each in _MEMINFO.read_text().splitlines() if each.startswith("MemAvailable"))
        found.append(1024 * int(line.split()[1]))
    with contextlib.suppress(OSError, ValueError):  # a container's limit
        limit, used = ((_CGROUP / f"memory.{name}").read_text() for name in ("max", "current"))
        found.append(int(limit) - int(used))
    return min(found, default=None)


def check_memory(model: Any, images: Tensor, num_colors: int) -> None:
    """Raise an error if large images do not fit into memory.

    Args:
        model: a :class:`colorcnn.models.learned.LearnedQuantizer`.
        images: (B, 3, H, W) on the device of the model.
        num_colors: C.

    Raises:
        ColorCNNError: the images need more memory than is free.
    """
    count, _, height, width = images.shape
    if count * height * width <= LEARNED_PIXELS or (free := free_bytes(images.device)) is None:
        return
    needed = count * needed_bytes(model, height, width, num_colors)
    if needed > free:
        raise ColorCNNError(
            f"{width} x {height} pixels need about {needed / 2**30:.1f} GiB of memory with this network, and "
            f"{free / 2**30:.1f} GiB are free",
            "scale the image down, or use a classical method",
            code="too-little-memory",
            needed=needed,
            free=free,
        )
