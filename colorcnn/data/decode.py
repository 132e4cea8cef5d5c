"""Decoding of image files to pixels of one size: once, in parallel and cached, or on demand."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from PIL import Image
from tqdm import tqdm

from colorcnn.data.cache import array_writer, cache_folder, content_key, read_array
from colorcnn.data.datasets import ImageSplit, PixelSource
from colorcnn.errors import ColorCNNError, UsageError, shortened, unknown_name
from colorcnn.files import write_atomically
from colorcnn.images import flatten, open_picture, read_image

ON_CORRUPT = ("error", "skip")

_RECIPE = "2: transparent parts white, shorter side bilinear, centre crop"  # change it if fit_image changes
_Result = TypeVar("_Result")
_CHUNK = 128  # files per task: few enough for a smooth progress bar


class CorruptImageError(ColorCNNError):
    """A file that became unreadable during training."""

    def __init__(self, message: str) -> None:
        # A DataLoader's worker passes its whole traceback as the message; the sentence is the last line.
        super().__init__(message.strip().rsplit("\n", 1)[-1].removeprefix(f"{__name__}.CorruptImageError: "))


def fit_image(
    image: Image.Image,
    size: int | None,
    short_side: int | None = None,
    resample: Image.Resampling = Image.Resampling.BILINEAR,
) -> np.ndarray:
    """Make an image square: resize its shorter side, then crop the centre.

    Args:
        image: a Pillow image of mode RGB, or a mask of mode L or P.
        size: side of the square in pixels; None keeps the image's size.
        short_side: length of the shorter side before the crop, at least ``size``; default ``size``.
        resample: the filter; nearest for masks, whose class numbers must not be averaged.

    Returns:
        (H, W, 3) or (H, W) uint8.
    """
    short_side = short_side or size
    if size is not None and short_side is not None and (image.size != (size, size) or short_side != size):
        scale = short_side / min(image.size)
        width, height = (max(short_side, round(side * scale)) for side in image.size)
        image = image.resize((width, height), resample)
        left, top = (width - size) // 2, (height - size) // 2
        image = image.crop((left, top, left + size, top + size))
    return np.asarray(image)


def read_pixels(path: Path, size: int | None, short_side: int | None = None) -> np.ndarray:
    """Read one file as (H, W, 3) uint8.

    Args:
        path: the image file.
        size: see :func:`fit_image`.
        short_side: see :func:`fit_image`.

    Raises:
        ColorCNNError: the file cannot be read.
    """
    return fit_image(flatten(read_image(path)), size, short_side)


def read_masks(files: Sequence[Path], size: int, short_side: int | None = None) -> np.ndarray:
    """Read the class of every pixel from PNG files with a palette, or in grey.

    Args:
        files: the masks; their pixel values are class numbers.
        size: side of the square masks, see :func:`fit_image`.
        short_side: see :func:`fit_image`.

    Returns:
        (N, size, size) uint8.

    Raises:
        ColorCNNError: a file cannot be read, or has several channels.
    """
    masks = np.empty((len(files), size, size), dtype=np.uint8)
    for row, path in enumerate(files):
        try:
            with open_picture(path, ("PNG",)) as mask:
                masks[row] = fit_image(mask, size, short_side, Image.Resampling.NEAREST)
        except (OSError, ValueError, SyntaxError) as error:
            raise ColorCNNError(
                f"{path} is not a mask ({shortened(str(error))}): use a PNG file of class numbers."
            ) from error
    return masks


class FilePixels:
    """Pixels (N, H, W, 3) of files, decoded on every access.

    Args:
        files: N image files.
        height: H of the decoded images.
        width: W of the decoded images.
        size: side of the square images, see :func:`fit_image`.
        short_side: see :func:`fit_image`.
    """

    def __init__(
        self,
        files: Sequence[Path],
        height: int,
        width: int,
        size: int | None,
        short_side: int | None = None,
    ) -> None:
        self.files = list(files)
        self.shape = (len(self.files), height, width, 3)
        self.size = size
        self.short_side = short_side

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Decode these files; raise CorruptImageError if one is unreadable now."""
        pixels = np.empty((len(rows), *self.shape[1:]), dtype=np.uint8)
        for number, row in enumerate(rows):
            try:
                pixels[number] = read_pixels(self.files[row], self.size, self.short_side)
            except ColorCNNError as error:
                raise CorruptImageError(str(error)) from error
        return pixels


def decode_files(
    files: Sequence[Path],
    *,
    image_size: int | None,
    short_side: int | None = None,
    on_corrupt: str = "error",
    cache: bool = True,
    cache_dir: str | None = None,
) -> tuple[PixelSource, np.ndarray, str]:
    """Check and decode image files. Results are cached on disk and reused while no file changes.

    A file that could not be read is tried again on every call, since a change of its access rights, or a
    network that answers again, leaves no trace in the file.

    Args:
        files: the image files, at least one.
        image_size: side of the square images, see :func:`fit_image`; None if all have the same size.
        short_side: length of the shorter side before the centre crop; default ``image_size``.
        on_corrupt: "error" raises an error if a file cannot be read, "skip" leaves such files out.
        cache: True to keep the decoded pixels on disk; False to check the files now and decode on demand.
        cache_dir: folder of the cache, see :func:`colorcnn.data.cache.cache_folder`.

    Returns:
        The pixels of all files, the positions (n,) of the readable ones, and a key of the content.

    Raises:
        UsageError: sizes differ and ``image_size`` is None.
        ColorCNNError: a file is corrupt and ``on_corrupt`` is "error", or no file is readable.
    """
    if on_corrupt not in ON_CORRUPT:
        raise unknown_name("value of on_corrupt", on_corrupt, ON_CORRUPT)
    key = _files_key(files, image_size, short_side)
    folder = cache_folder(cache_dir) / "pixels"
    notes, array = folder / f"{key}.json", folder / f"{key}.npy"
    found = _read_notes(notes)
    if found is None or (cache and not array.exists()) or _repaired(files, found):
        _build(files, image_size, short_side, notes, array if cache else None)
        found = msgspec.json.decode(notes.read_bytes(), type=_Notes)
    corrupt = found.corrupt
    if corrupt:
        _report(corrupt, len(files), on_corrupt)
    kept = np.setdiff1d(np.arange(len(files)), np.array(list(corrupt), dtype=np.int64))
    if cache:
        return read_array(array), kept, key
    return FilePixels(files, found.height, found.width, image_size, short_side), kept, key


class _Notes(msgspec.Struct):
    """Result of a check of files: the common size, and the error of each unreadable row."""

    corrupt: dict[int, str]
    height: int
    width: int


def _read_notes(path: Path) -> _Notes | None:
    """Read the notes; None if there are none, or they are damaged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Notes)
    except (OSError, ValueError, msgspec.DecodeError):
        return None


def fitted_split(
    pixels: np.ndarray, labels: np.ndarray, size: int | None, short_side: int | None = None
) -> ImageSplit:
    """Return a split of images in memory, resized with :func:`fit_image`.

    Args:
        pixels: (N, S, S, 3) uint8.
        labels: their labels, or masks (N, S, S) uint8, which are resized like the images.
        size: side of the square; None keeps S.
        short_side: see :func:`fit_image`.
    """
    key = content_key(pixels)
    if size in (None, pixels.shape[1]) and short_side is None:
        return ImageSplit(pixels, labels, key=key)
    size = size or pixels.shape[1]
    if labels.ndim == 3:
        nearest = Image.Resampling.NEAREST
        labels = np.stack([fit_image(Image.fromarray(mask), size, short_side, nearest) for mask in labels])
    pixels, key = resize_array(pixels, size, key, short_side)
    return ImageSplit(pixels, labels, key=key)


def fitted_key(key: str, size: int, short_side: int | None = None) -> str:
    """Return the key of images after :func:`fit_image`.

    Args:
        key: key of the images before.
        size: see :func:`fit_image`.
        short_side: see :func:`fit_image`.
    """
    return content_key(key, _RECIPE, f"{size} of {short_side}" if short_side else str(size))


def _repaired(files: Sequence[Path], found: _Notes) -> bool:
    """Return True if a file that could not be read can be read now."""
    return any(not isinstance(_try(files[row], None, None), str) for row in found.corrupt)


def resize_array(
    pixels: np.ndarray, size: int, key: str, short_side: int | None = None
) -> tuple[np.ndarray, str]:
    """Resize an array of images with :func:`fit_image`, and cache the result.

    Args:
        pixels: (N, H, W, 3) uint8.
        size: side of the square.
        key: key of the content of ``pixels``.
        short_side: see :func:`fit_image`.

    Returns:
        (N, size, size, 3) uint8, and its key.
    """
    key = fitted_key(key, size, short_side)
    path = cache_folder() / "pixels" / f"{key}.npy"
    if not path.exists():
        parts = [pixels[start : start + _CHUNK] for start in range(0, len(pixels), _CHUNK)]

        def resize(part: np.ndarray) -> np.ndarray:
            return np.stack([fit_image(Image.fromarray(image), size, short_side) for image in part])

        shape = (len(pixels), size, size, 3)
        with (
            array_writer(path, shape, np.uint8) as append,
            closing(_map_in_threads(resize, parts)) as chunks,
            tqdm(total=len(pixels), desc="Resizing images", unit="img", disable=None) as progress,
        ):
            for chunk in chunks:
                append(chunk)
                progress.update(len(chunk))
    return read_array(path), key


def _map_in_threads(work: Callable[[Any], _Result], parts: Iterable[Any]) -> Generator[_Result, None, None]:
    """Map a function over parts, in order. Pillow releases the GIL while it decodes and resizes."""
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    try:
        yield from pool.map(work, parts)
    finally:
        pool.shutdown(cancel_futures=True)


def _files_key(files: Sequence[Path], image_size: int | None, short_side: int | None) -> str:
    states = (path.stat() for path in files)
    listing = "\n".join(
        f"{os.path.abspath(path)}\t{state.st_size}\t{state.st_mtime_ns}"
        for path, state in zip(files, states, strict=True)
    )
    size = f"{image_size} of {short_side}" if short_side else str(image_size)
    return content_key("files", _RECIPE, size, listing)


def _build(
    files: Sequence[Path], image_size: int | None, short_side: int | None, notes: Path, array: Path | None
) -> None:
    height, width = _common_size(files, image_size)
    corrupt: dict[int, str] = {}
    chunks = _checked(files, image_size, short_side, (height, width, 3), corrupt)
    if array is None:
        for _ in chunks:
            continue
    else:
        with array_writer(array, (len(files), height, width, 3), np.uint8) as append:
            for chunk in chunks:
                append(chunk)
    text = json.dumps({"height": height, "width": width, "corrupt": corrupt})
    write_atomically(notes, text.encode())


def _common_size(files: Sequence[Path], image_size: int | None) -> tuple[int, int]:
    if image_size is not None:
        return image_size, image_size
    for path in files:
        try:
            height, width, _ = read_pixels(path, None).shape
        except ColorCNNError:
            continue
        return height, width
    raise ColorCNNError(
        f"None of {len(files)} files like {files[0]} can be read as an image: check the data set."
    )


def _checked(
    files: Sequence[Path],
    image_size: int | None,
    short_side: int | None,
    shape: tuple[int, int, int],
    corrupt: dict[int, str],
) -> Iterator[np.ndarray]:
    """Yield (n, H, W, 3) chunks in order; corrupt files are black and recorded in ``corrupt``."""
    parts = [files[start : start + _CHUNK] for start in range(0, len(files), _CHUNK)]
    row = 0
    with (
        closing(
            _map_in_threads(lambda part: [_try(path, image_size, short_side) for path in part], parts)
        ) as decoded,
        tqdm(total=len(files), desc="Decoding images", unit="img", disable=None) as progress,
    ):
        for results in decoded:
            chunk = np.zeros((len(results), *shape), dtype=np.uint8)
            for number, result in enumerate(results):
                if isinstance(result, str):
                    corrupt[row + number] = result
                elif result.shape != shape:
                    raise _sizes_differ(files[row + number], result.shape, shape)
                else:
                    chunk[number] = result
            row += len(results)
            progress.update(len(results))
            yield chunk


def _try(path: Path, size: int | None, short_side: int | None) -> np.ndarray | str:
    try:
        return read_pixels(path, size, short_side)
    except ColorCNNError as error:
        return str(error)


def _sizes_differ(path: Path, shape: tuple[int, ...], common: tuple[int, ...]) -> UsageError:
    return UsageError(
        f"{path} has {shape[1]}x{shape[0]} pixels and the first image {common[1]}x{common[0]}",
        f"resize all with image_size, such as {min(common[:2])}",
        code="sizes-differ",
        size=min(common[:2]),
    )


def _report(corrupt: dict[int, str], total: int, on_corrupt: str) -> None:
    shown = " ".join(list(corrupt.values())[:3]) + (" ..." if len(corrupt) > 3 else "")
    count = f"{len(corrupt)} of {total} image files cannot be read"
    if on_corrupt == "error":
        raise ColorCNNError(
            f"{count} ({shown})",
            "repair or remove them, or leave them out with on_corrupt='skip'",
            code="corrupt-images",
        )
    warnings.warn(f"{count} and are left out. {shown}", stacklevel=3)
