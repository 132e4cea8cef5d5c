"""Results of a classical quantizer for every image of a split, computed once and cached."""

from __future__ import annotations

import inspect
import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import PIL
import torch
from torch import Tensor
from tqdm import tqdm

from colorcnn import quantizers
from colorcnn.data.cache import array_writer, cache_folder, content_key, read_array
from colorcnn.data.datasets import ImageSplit, sent
from colorcnn.errors import UsageError, unknown_name
from colorcnn.paletted import Paletted
from colorcnn.parallel import Workers, connected, in_parallel
from colorcnn.quantizers import QUANTIZERS, Quantizer, check_num_colors

_SHARE_OF_DEVICE = 0.25  # share of a GPU's free memory for the results of all sizes
_QUANTIZERS = Path(quantizers.__path__[0])
_CHUNK_PIXELS = 2**20  # pixels quantized between two steps of the progress bar


class ClassicalResults(ABC):
    """Base class of a quantizer's results (index maps or palettes) for one split and several palette sizes.

    Missing results are computed on construction, on all cores: quantizers process a batch in threads, which
    is as fast as processes. The workers of a cluster get the pixels of a few images with each call, so they
    need no data set.

    Args:
        split: the images; a batch's ``index`` holds positions in it.
        sizes: the palette sizes, each 1..256.
        quantizer: a name in :data:`colorcnn.quantizers.QUANTIZERS`.
        cache_dir: folder of the results, see :func:`colorcnn.data.cache.cache_folder`.
        workers: processes or a cluster for missing results; None to compute them here.

    Raises:
        UsageError: the quantizer is unknown, or ``sizes`` is empty or invalid.
        ColorCNNError: the results cannot be written.
    """

    folder: ClassVar[str]
    """Name of the folder in the cache."""
    title: ClassVar[str]
    """Plural name of the results in messages."""

    def __init__(
        self,
        split: ImageSplit,
        sizes: Iterable[int],
        quantizer: str = "median-cut",
        cache_dir: str | os.PathLike[str] | None = None,
        *,
        workers: Workers | None = None,
    ) -> None:
        if quantizer not in QUANTIZERS:
            raise unknown_name("quantizer", quantizer, QUANTIZERS)
        self.image_size = split.image_size
        self.sizes = sorted({check_num_colors(size) for size in sizes})
        if not self.sizes:
            raise UsageError(f"No palette sizes for the {self.title}: give at least one.")
        method = QUANTIZERS[quantizer]
        key = content_key(split.key, quantizer, method_version(method), PIL.__version__)
        folder = cache_folder(cache_dir) / self.folder
        paths = {size: folder / f"{key}-c{size}.npy" for size in self.sizes}
        missing = {size: path for size, path in paths.items() if not path.exists()}
        if missing:
            shapes = {size: (len(split), *self.shape(size)) for size in missing}
            with connected(workers):
                _compute(split, method(), missing, shapes, self.kept, self.title)
        self._kept: dict[int, Tensor] = {size: _as_tensor(read_array(path)) for size, path in paths.items()}

    @abstractmethod
    def shape(self, num_colors: int) -> tuple[int, ...]:
        """Return the shape of one image's result."""

    @abstractmethod
    def kept(self, paletted: Paletted) -> np.ndarray:
        """Return the part of a quantized batch that is cached, uint8 (B, ...)."""

    def to(self, device: torch.device) -> Self:
        """Move the results to a GPU if they take at most a quarter of its free memory; return itself.

        Otherwise the results are copied batch by batch.
        """
        if device.type == "cuda":
            size = sum(rows.numel() for rows in self._kept.values())
            if size <= _SHARE_OF_DEVICE * torch.cuda.mem_get_info(device)[0]:
                self._kept = {size: rows.to(device) for size, rows in self._kept.items()}
        return self

    def lookup(self, index: Tensor, num_colors: int, device: torch.device | None = None) -> Tensor:
        """Return the results of a batch.

        Args:
            index: int64 (B,), the ``index`` of a :class:`Batch`; on the host it needs no wait for a GPU.
            num_colors: one of the sizes.
            device: device of the result; None is the device of ``index``.

        Returns:
            uint8 (B, ...).

        Raises:
            UsageError: there are no results for this size.
        """
        if num_colors not in self._kept:
            raise UsageError(
                f"There are no {self.title} of {num_colors} colours, "
                f"only of {', '.join(map(str, self.sizes))}: add that size."
            )
        rows, device = self._kept[num_colors], device or index.device
        if rows.device.type != "cpu":
            return rows.index_select(0, sent(index, rows.device)).to(device)
        return sent(rows.index_select(0, index.cpu()), device)


def _as_tensor(array: np.ndarray) -> Tensor:
    """Return a tensor of a read-only array, such as a memory map; it must not be written to."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        return torch.from_numpy(array)


def method_version(method: type[Quantizer]) -> str:
    """Return a hash of the source code of a quantizer, its base classes, and all our quantizers.

    Quantizers share code in modules of their folder, so a change of any module changes the hash.
    """
    sources = [sources_key(_QUANTIZERS)]
    for ancestor in method.__mro__:
        module = inspect.getmodule(ancestor)
        if module is None or ancestor is object:
            continue
        try:
            sources.append(inspect.getsource(module))
        except (OSError, TypeError):  # defined interactively or compiled: use the name only
            sources.append(f"{ancestor.__module__}.{ancestor.__qualname__}")
    return content_key(*sources)


@cache
def sources_key(folder: Path) -> str:
    """Return a hash of the Python files in a folder, computed once a process.

    Args:
        folder: the folder.
    """
    files = sorted(folder.glob("*.py"))
    return content_key(*(part for file in files for part in (file.name, file.read_bytes())))


def _compute(
    split: ImageSplit,
    quantizer: Quantizer,
    paths: Mapping[int, Path],
    shapes: Mapping[int, tuple[int, ...]],
    kept: Callable[[Paletted], np.ndarray],
    title: str,
) -> None:
    """Write the results of all sizes in one pass over the images, whose decoding may be slow."""
    height, width = split.image_size
    chunk = max(1, _CHUNK_PIXELS // (height * width))
    with ExitStack() as stack:
        writers = {
            size: stack.enter_context(array_writer(path, shapes[size], np.uint8))
            for size, path in paths.items()
        }
        progress = stack.enter_context(
            tqdm(total=len(split) * len(paths), desc=title.capitalize(), unit="image", disable=None)
        )
        starts = range(0, len(split), chunk)
        calls = ((split.pixels(slice(start, start + chunk)),) for start in starts)
        for results in in_parallel(_Quantized(quantizer, tuple(writers), kept), calls):
            for append, rows in zip(writers.values(), results):
                append(rows)
                progress.update(len(rows))


@dataclass(frozen=True)
class _Quantized:
    """Callable that returns the cached part of some images (n, H, W, 3) for each palette size."""

    quantizer: Quantizer
    sizes: tuple[int, ...]
    kept: Callable[[Paletted], np.ndarray]

    def __call__(self, pixels: np.ndarray) -> list[np.ndarray]:
        images = _as_tensor(pixels)
        return [self.kept(self.quantizer(images, size, channels_last=True)) for size in self.sizes]
