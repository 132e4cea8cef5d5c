"""Imitation targets: what a classical quantizer makes of every training image, computed once and kept.

The imitation loss (ColorCNN+, equations 10-12) compares a learned index map with them, as partitions: which
pixels share a colour matters, the numbering of the colours does not.
"""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import PIL
import torch
from torch import Tensor
from tqdm import tqdm

from colorcnn.data.cache import array_writer, cache_folder, content_key, read_array
from colorcnn.data.datasets import ImageSplit
from colorcnn.errors import UsageError, unknown_name
from colorcnn.quantizers import QUANTIZERS, Quantizer, check_num_colors

_SHARE_OF_DEVICE = 0.25  # of a GPU's free memory, for the maps of all sizes
_CHUNK_PIXELS = 2**20  # pixels quantized between two steps of the progress bar


class ImitationTargets:
    """Index maps of a quantizer for the images of one split, at several palette sizes.

    What is missing in the cache is computed on construction, on every core: quantizers spread a batch over
    threads, which for Pillow's methods is as fast as processes.

    Args:
        split: the images; a batch's ``index`` counts in it.
        sizes: the palette sizes, each 1..256.
        quantizer: a name in :data:`colorcnn.quantizers.QUANTIZERS`.
        cache_dir: where to keep the maps, see :func:`colorcnn.data.cache.cache_folder`.

    Raises:
        UsageError: an unknown quantizer, a bad palette size, or none.
        ColorCNNError: the maps cannot be written.
    """

    def __init__(
        self,
        split: ImageSplit,
        sizes: Iterable[int],
        quantizer: str = "median-cut",
        cache_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        if quantizer not in QUANTIZERS:
            raise unknown_name("quantizer", quantizer, QUANTIZERS)
        self.sizes = sorted({check_num_colors(size) for size in sizes})
        if not self.sizes:
            raise UsageError("There is no palette size to compute imitation targets for: give at least one.")
        method = QUANTIZERS[quantizer]
        key = content_key(split.key, quantizer, method_version(method), PIL.__version__)
        folder = cache_folder(cache_dir) / "imitation"
        paths = {size: folder / f"{key}-c{size}.npy" for size in self.sizes}
        missing = {size: path for size, path in paths.items() if not path.exists()}
        if missing:
            _compute(split, method(), missing)
        self._maps: dict[int, Tensor] = {size: _as_tensor(read_array(path)) for size, path in paths.items()}

    def to(self, device: torch.device) -> ImitationTargets:
        """Move the maps onto a GPU where they take at most a quarter of its free memory; returns itself.

        There a batch's maps are found without the host; elsewhere they are copied batch by batch.
        """
        if device.type == "cuda":
            size = sum(maps.numel() for maps in self._maps.values())
            if size <= _SHARE_OF_DEVICE * torch.cuda.mem_get_info(device)[0]:
                self._maps = {size: maps.to(device) for size, maps in self._maps.items()}
        return self

    def lookup(self, index: Tensor, num_colors: int, device: torch.device | None = None) -> Tensor:
        """The index maps of a batch; flip them together with the images.

        Args:
            index: int64 (B,), the ``index`` of a :class:`Batch`; one on the host spares waiting for a GPU.
            num_colors: one of the sizes.
            device: where the maps are wanted; default that of ``index``.

        Returns:
            uint8 (B, H, W), each entry below ``num_colors``.

        Raises:
            UsageError: there are no targets of that size.
        """
        if num_colors not in self._maps:
            raise UsageError(
                f"There are no imitation targets of {num_colors} colours, "
                f"only of {', '.join(map(str, self.sizes))}: add that size."
            )
        maps, device = self._maps[num_colors], device or index.device
        if maps.device.type != "cpu":
            return maps.index_select(0, _sent(index, maps.device)).to(device)
        return _sent(maps.index_select(0, index.cpu()), device)


def _as_tensor(array: np.ndarray) -> Tensor:
    """A tensor over a read-only memory map, which is only read."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        return torch.from_numpy(array)


def _sent(values: Tensor, device: torch.device) -> Tensor:
    """Values on a device; a copy to a GPU goes through pinned memory, and the host does not wait for it."""
    if device.type == "cuda" and values.device.type == "cpu":
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


def method_version(method: type[Quantizer]) -> str:
    """A key that changes when the code of a quantizer, or of a class it builds on, does."""
    sources = []
    for ancestor in method.__mro__:
        module = inspect.getmodule(ancestor)
        if module is None or ancestor is object:
            continue
        try:
            sources.append(inspect.getsource(module))
        except (OSError, TypeError):  # defined interactively or compiled: its name must do
            sources.append(f"{ancestor.__module__}.{ancestor.__qualname__}")
    return content_key(*sources)


def _compute(split: ImageSplit, quantizer: Quantizer, paths: dict[int, Path]) -> None:
    """Write the index maps of all sizes in one pass over the images (which may have to be decoded)."""
    height, width = split.image_size
    chunk = max(1, _CHUNK_PIXELS // (height * width))
    with ExitStack() as stack:
        shape = (len(split), height, width)
        writers = {
            size: stack.enter_context(array_writer(path, shape, np.uint8)) for size, path in paths.items()
        }
        progress = stack.enter_context(
            tqdm(total=len(split) * len(paths), desc="Imitation targets", unit="map", disable=None)
        )
        for start in range(0, len(split), chunk):
            images = torch.from_numpy(split.pixels(slice(start, start + chunk)))
            for size, append in writers.items():
                append(quantizer(images, size, channels_last=True).indices.numpy())
                progress.update(len(images))
