"""Image loader: any image that Pillow can decode, as upright 8-bit sRGB in mode RGB or RGBA."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from colorcnn.colors import parse_color
from colorcnn.errors import ColorCNNError, UsageError, shortened
from colorcnn.files import IMAGE_SUFFIXES, cure
from colorcnn.srgb import SIXTEEN_TO_EIGHT, low_byte_mode, normalize, with_raw_mode

if TYPE_CHECKING:
    from torch import Tensor

Source = str | os.PathLike[str] | bytes | BinaryIO

FORMATS = (
    *("AVIF", "BMP", "DDS", "DIB", "GIF", "ICNS", "ICO", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "PSD"),
    *("QOI", "SGI", "SUN", "TGA", "TIFF", "WEBP"),
)
"""Pillow's names of the formats that are read. PostScript is left out: it would start another program."""

# Maximum number of pixels per byte of a file. Formats that compress better are not listed.
_PIXELS_A_BYTE = {"BMP": 128, "DDS": 4, "DIB": 128, "PCX": 512, "PPM": 8, "SGI": 64, "SUN": 1024, "TGA": 128}
_PIXELS_A_BYTE |= {"TIFF": 10_000}
_FREE_PIXELS = 1 << 22  # headers up to this number of pixels are not checked

# In other formats several "frames" are previews, layers or depth maps, not an animation.
_ANIMATED = frozenset({"AVIF", "GIF", "PNG", "TIFF", "WEBP"})

_pillow_limit = threading.Lock()

_STREAM_BYTES = 1 << 29

LEARNED_PIXELS = 4_194_304
"""Number of pixels up to which a learned quantizer computes an image as a whole.

A small U-Net of width 16 needs 0.7 kB (4 colours) to 1.2 kB (256 colours) per pixel. It is the default limit
where a method cannot compute in tiles."""


def read_image(
    source: Source, *, max_pixels: int | None = None, frame: int = 0, name: str | None = None
) -> Image.Image:
    """Read one image.

    EXIF orientation is applied. An ICC profile is converted to sRGB (damaged or unsuitable ones are ignored,
    as in browsers). Grey, CMYK, LAB, 1-bit, indexed, 16-bit (divided by 257) and float images become RGB, or
    RGBA if the file has transparency. Pillow keeps only the high bytes of 16-bit *colour* animations, so
    these may differ by one level.

    Args:
        source: a path, the bytes of an image file, or a binary file, which is read to its end.
        max_pixels: maximum number of pixels; by default Pillow's limit of 178 million.
        frame: number of the frame of an animation or page of a TIFF, from 0.
        name: name of ``source`` in error messages; by default its path.

    Returns:
        A Pillow image of mode RGB or RGBA, loaded, without metadata.

    Raises:
        ColorCNNError: the file is missing, not an image, corrupt, empty, or too large.
        UsageError: ``max_pixels`` is below 1, or the frame does not exist.
    """
    with _opened(source, max_pixels, name) as reader:
        return reader.read(frame)


def frames(
    source: Source, *, max_pixels: int | None = None, name: str | None = None
) -> Iterator[Image.Image]:
    """Read every frame of an animated GIF, PNG, WebP or AVIF, or every page of a TIFF, one after the other.

    Args:
        source: a path, bytes or a binary file; an image without animation has one frame.
        max_pixels: maximum number of pixels; by default Pillow's limit.
        name: name of ``source`` in error messages; by default its path.
    """
    with _opened(source, max_pixels, name) as reader:
        for frame in range(reader.num_frames):
            yield reader.read(frame)


class Header(NamedTuple):
    """The size of an image, before its orientation is applied, and its number of frames."""

    width: int
    height: int
    num_frames: int


def read_header(source: Source, *, max_pixels: int | None = None, name: str | None = None) -> Header:
    """Read the size of an image and its number of frames, without decoding it.

    Args:
        source: a path, bytes or a binary file.
        max_pixels: maximum number of pixels; by default Pillow's limit.
        name: name of ``source`` in error messages; by default its path.

    Raises:
        ColorCNNError: the file is missing, not an image, or empty.
    """
    with _opened(source, max_pixels, name) as reader:
        return Header(*reader.picture.size, reader.num_frames)


def num_frames(source: Source, *, max_pixels: int | None = None, name: str | None = None) -> int:
    """Return the number of frames of :func:`frames`.

    Args:
        source: a path, bytes or a binary file.
        max_pixels: maximum number of pixels; by default Pillow's limit.
        name: name of ``source`` in error messages; by default its path.
    """
    return read_header(source, max_pixels=max_pixels, name=name).num_frames


def open_picture(
    stream: str | os.PathLike[str] | BinaryIO, formats: tuple[str, ...] = FORMATS
) -> Image.Image:
    """Open an image with Pillow. No other code of the package calls ``Image.open``.

    Args:
        stream: a path or a binary file.
        formats: Pillow's names of the allowed formats.
    """
    Image.init()
    return Image.open(stream, formats=[name for name in formats if name in Image.OPEN])


def find_images(folder: str | os.PathLike[str], *, recursive: bool = False) -> list[Path]:
    """Return the image files of a folder by their extension, sorted, without hidden files.

    Args:
        folder: the folder.
        recursive: True to include subfolders.

    Raises:
        ColorCNNError: the folder does not exist or cannot be read.
    """
    folder = Path(folder)
    try:
        entries = sorted(folder.iterdir())  # rglob raises no error for a missing folder
        if recursive:
            entries = sorted(folder.rglob("*"))
    except OSError as error:
        raise ColorCNNError(f"{folder} could not be read ({error.strerror}): use another folder.") from error
    return [
        path
        for path in entries
        if path.suffix.lower() in IMAGE_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    ]


def flatten(picture: Image.Image, background: Any = "white") -> Image.Image:
    """Blend an image with a background colour: mode RGB. An image without alpha is returned unchanged.

    Args:
        picture: an image from :func:`read_image`.
        background: colour behind transparent pixels.
    """
    if picture.mode == "RGB":
        return picture
    if picture.mode != "RGBA":
        raise UsageError(f"This image has mode {picture.mode}: read it with read_image first.")
    canvas = Image.new("RGBA", picture.size, (*parse_color(background), 255))
    return Image.alpha_composite(canvas, picture).convert("RGB")


def to_tensor(picture: Image.Image, background: str = "white") -> Tensor:
    """Convert an image from :func:`read_image` to a uint8 tensor (3, H, W).

    Args:
        picture: an image from :func:`read_image`.
        background: colour behind transparent pixels.
    """
    import torch

    pixels = np.array(flatten(picture, background))
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


class _Reader:
    """An open image file, with a name for error messages."""

    def __init__(self, stream: BinaryIO, max_pixels: int | None, name: str) -> None:
        self.stream = stream
        self.max_pixels = max_pixels
        self.name = name
        with self._errors():
            self.picture: Image.Image = open_picture(stream)
            self._check_header()
            animated = self.picture.format in _ANIMATED
            self.num_frames = int(getattr(self.picture, "n_frames", 1)) if animated else 1
            self.deep_mode = low_byte_mode(self.picture)

    def _check_header(self) -> None:
        """Raise an error if a header claims more pixels than the file can hold."""
        width, height = self.picture.size
        ratio = _PIXELS_A_BYTE.get(self.picture.format or "")
        if ratio is None or width * height <= _FREE_PIXELS:
            return
        position = self.stream.tell()
        size = self.stream.seek(0, io.SEEK_END)
        self.stream.seek(position)
        if width * height > ratio * size:
            raise ColorCNNError(
                f"{self.name} claims {width} x {height} pixels and has {size} bytes",
                "use an intact copy",
                code="lying-header",
            )

    def read(self, frame: int) -> Image.Image:
        if not 0 <= frame < self.num_frames:
            raise UsageError(f"{self.name} has no frame {frame}: it holds {self.num_frames}, counted from 0.")
        with self._errors():
            if self.num_frames > 1:
                self.picture.seek(frame)
            width, height = self.picture.size
            if self.max_pixels is not None and width * height > self.max_pixels:
                raise ColorCNNError(
                    f"{self.name} is {width} x {height}, more than {self.max_pixels} pixels",
                    "scale it down, or allow more with max_pixels",
                    code="too-many-pixels",
                )
            self.picture.load()
            if self.num_frames == 1 and self.deep_mode is not None:
                return normalize(self._all_bits(self.deep_mode))
            return normalize(self.picture)

    def _all_bits(self, raw_mode: str) -> Image.Image:
        """Return an image of 16 bits per channel, of which Pillow keeps only the high bytes."""
        self.stream.seek(0)
        other: Any = open_picture(self.stream)
        other.tile = [with_raw_mode(tile, raw_mode) for tile in other.tile]
        high, low = np.asarray(self.picture), np.asarray(other)
        if raw_mode == "RGBA":  # it holds the four bytes of grey and alpha
            high, low = low[..., [0, 2]], low[..., [1, 3]]
        deep = Image.fromarray(SIXTEEN_TO_EIGHT[high.astype(np.uint16) << 8 | low])
        deep.info = {key: value for key, value in self.picture.info.items() if key != "transparency"}
        return deep

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            with _raised_limit(self.max_pixels):
                yield
        except UsageError as error:
            raise ColorCNNError(f"{self.name}: {error}") from error
        except ColorCNNError:
            raise
        except Image.DecompressionBombError as error:
            raise ColorCNNError(
                f"{self.name} is too large to be opened safely (over {2 * (Image.MAX_IMAGE_PIXELS or 0)} "
                "pixels)",
                "scale it down, or allow more with max_pixels",
                code="too-many-pixels",
            ) from error
        except UnidentifiedImageError as error:
            raise ColorCNNError(
                f"{self.name} is not an image of a known format: use an image file such as PNG or JPEG."
            ) from error
        except MemoryError as error:
            raise ColorCNNError(f"{self.name} does not fit into memory: scale it down first.") from error
        except Exception as error:  # Pillow's decoders raise almost any exception for damaged files
            reason = shortened(str(error).strip().rstrip("."), 120) or type(error).__name__
            raise ColorCNNError(f"{self.name} is corrupt ({reason}): use an intact copy.") from error


@contextlib.contextmanager
def _opened(source: Source, max_pixels: int | None, name: str | None) -> Iterator[_Reader]:
    if max_pixels is not None and max_pixels < 1:
        raise UsageError(f"max_pixels is {max_pixels}: choose at least 1.")
    if name is None:
        name = os.fspath(source) if isinstance(source, str | os.PathLike) else "The image data"
    with _stream(source, name) as stream:
        try:
            if not stream.read(1):
                raise ColorCNNError(f"{name} is empty: it holds no image.")
            stream.seek(0)
        except OSError as error:
            raise _unreadable(name, error) from error
        yield _Reader(stream, max_pixels, name)


def _stream(source: Source, name: str) -> BinaryIO:
    """Open the source as a seekable binary file."""
    if isinstance(source, bytes | bytearray | memoryview):
        return io.BytesIO(source)
    try:
        if not isinstance(source, str | os.PathLike):
            return io.BytesIO(source.read())
        mode = os.stat(source).st_mode
        if stat.S_ISDIR(mode):
            raise ColorCNNError(f"{name} is a directory: use an image file.")
        if stat.S_ISREG(mode):
            return open(source, "rb")
        with open(source, "rb") as stream:  # a pipe, for example of `<(command)`, is not seekable
            return io.BytesIO(read_bounded(stream, name))
    except FileNotFoundError as error:
        raise ColorCNNError(f"{name} does not exist: check the path.") from error
    except ValueError as error:
        raise ColorCNNError(f"{name} is not a path ({error}): check it.") from error
    except OSError as error:
        raise _unreadable(name, error) from error


def read_bounded(stream: BinaryIO, name: str) -> bytes:
    """Read a stream that is not seekable to its end.

    Args:
        stream: a pipe, standard input or a device.
        name: name of the stream in error messages.

    Raises:
        ColorCNNError: the stream does not end within 512 MiB, like /dev/zero.
        OSError: the stream cannot be read.
    """
    data = stream.read(_STREAM_BYTES + 1)
    if len(data) > _STREAM_BYTES:
        raise ColorCNNError(f"{name} does not end within {_STREAM_BYTES >> 20} MiB: use an image file.")
    return data


def _unreadable(name: str, error: OSError) -> ColorCNNError:
    advice = cure(error, "check its access rights")
    return ColorCNNError(f"{name} could not be read ({error.strerror or error}): {advice}.")


@contextlib.contextmanager
def _raised_limit(max_pixels: int | None) -> Iterator[None]:
    """Raise Pillow's limit of pixels, a global variable, within the context."""
    limit = Image.MAX_IMAGE_PIXELS
    if max_pixels is None or limit is None or max_pixels <= 2 * limit:
        yield
        return
    with _pillow_limit:
        Image.MAX_IMAGE_PIXELS = max_pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit
