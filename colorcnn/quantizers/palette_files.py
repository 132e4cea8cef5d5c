"""Palette files: GIMP .gpl, .hex lists, Adobe .act, JASC .pal, PNG's ``sPLT`` chunk, and images."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.files import IMAGE_SUFFIXES, cure
from colorcnn.images import flatten, read_image
from colorcnn.quantizers.base import MAX_COLORS, distinct

_WEIGHT = np.array([65536, 256, 1], np.int32)
_MOST_BYTES = 1 << 20  # maximum size of a palette file; 256 lines are a few kilobytes
_SHOWN = 40  # characters of a wrong line that a message shows
_COLOR = re.compile(r"([0-9]{1,3})\s+([0-9]{1,3})\s+([0-9]{1,3})(?:\s|$)", re.ASCII)
_PNG = b"\x89PNG\r\n\x1a\n"


def read_palette(path: str | os.PathLike[str]) -> np.ndarray:
    """Read the distinct colours of a palette file, in its order.

    Args:
        path: a GIMP palette (.gpl), rrggbb lines (.hex), an Adobe colour table (.act), a JASC palette
            (.pal), a PNG file with a suggested palette (``sPLT``), or an image of at most 256 colours.

    Returns:
        (n, 3) uint8, 1 <= n <= 256.

    Raises:
        ColorCNNError: the file is missing, or holds no palette.
        UsageError: the extension is unknown.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in _READERS:
        palette = distinct(_READERS[suffix](_content(path), path))
    elif suffix in IMAGE_SUFFIXES:
        suggested = _suggested(path) if suffix == ".png" else None
        palette = _of_image(path) if suggested is None else distinct(suggested)
    else:
        known = ", ".join(sorted(_READERS))
        raise UsageError(f"{path} is not a palette file: use one that ends in {known}, or an image.")
    if not 1 <= len(palette) <= MAX_COLORS:
        raise ColorCNNError(
            f"{path} holds {len(palette)} different colours: use a palette of 1 to {MAX_COLORS}."
        )
    return palette


def gpl_text(palette: np.ndarray, name: str) -> str:
    """Write a palette as a GIMP palette file (.gpl), which GIMP, Inkscape and Krita read.

    Args:
        palette: (n, 3) uint8.
        name: a title, in one line.
    """
    head = ["GIMP Palette", f"Name: {name}", f"Columns: {min(16, max(1, len(palette)))}", "#"]
    rows = [f"{red:3d} {green:3d} {blue:3d}\t#{red:02x}{green:02x}{blue:02x}" for red, green, blue in palette]
    return "\n".join([*head, *rows, ""])


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise ColorCNNError(f"{path} does not exist: check the path.") from error
    except (OSError, ValueError) as error:
        advice = cure(error, "check its access rights") if isinstance(error, OSError) else "check the path"
        reason = getattr(error, "strerror", None) or error
        raise ColorCNNError(f"{path} could not be read ({reason}): {advice}.") from error
    if len(data) > _MOST_BYTES:
        raise ColorCNNError(f"{path} has more than {_MOST_BYTES:,} bytes: use a palette file.")
    return data


def _of_image(path: Path) -> np.ndarray:
    from colorcnn.quantizers.histogram import Histogram

    palette = Histogram(np.array(flatten(read_image(path)))).colors
    return palette[np.argsort(palette.astype(np.int32) @ _WEIGHT)]


def _lines(data: bytes) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text (without a byte order mark), with their numbers from 1."""
    for number, line in enumerate(data.decode("utf-8-sig", "replace").splitlines(), 1):
        yield number, line.strip()


def _no_color(path: Path, number: int, text: str, advice: str) -> ColorCNNError:
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return ColorCNNError(f"{path}, line {number}, {shown!r}, is not a colour: {advice}.")


def _three_numbers(path: Path, number: int, text: str) -> list[int]:
    match = _COLOR.match(text)
    if match is None or max(values := [int(part) for part in match.groups()]) > 255:
        raise _no_color(path, number, text, "write three numbers from 0 to 255")
    return values


def _read_gpl(data: bytes, path: Path) -> np.ndarray:
    lines = list(_lines(data))
    if not lines or lines[0][1] != "GIMP Palette":
        raise ColorCNNError(f"{path} does not begin with 'GIMP Palette': save it again in GIMP or Inkscape.")
    rows = [
        _three_numbers(path, number, text)
        for number, text in lines[1:]
        if text and not text.startswith("#") and not re.match(r"[A-Za-z]+:", text)
    ]
    return np.array(rows, np.uint8).reshape(-1, 3)


def _read_hex(data: bytes, path: Path) -> np.ndarray:
    rows = []
    for number, line in _lines(data):
        text = line.removeprefix("#")
        if not text or text.startswith(";"):
            continue
        if re.fullmatch(r"[0-9a-fA-F]{6}", text) is None:
            raise _no_color(path, number, line, "write rrggbb")
        rows.append(list(bytes.fromhex(text)))
    return np.array(rows, np.uint8).reshape(-1, 3)


def _read_act(data: bytes, path: Path) -> np.ndarray:
    """Read 256 colours of three bytes. A file of 772 bytes then has their number and a transparent index."""
    if len(data) not in (768, 772):
        raise ColorCNNError(
            f"{path} has {len(data)} bytes, an Adobe colour table has 768 or 772: save it again."
        )
    count = int.from_bytes(data[768:770], "big") if len(data) == 772 else MAX_COLORS
    return np.frombuffer(data[:768], np.uint8).reshape(-1, 3)[: count or MAX_COLORS]


def _read_pal(data: bytes, path: Path) -> np.ndarray:
    """Read JASC's text: a name, a version, the number of colours, then one colour per line."""
    lines = [(number, text) for number, text in _lines(data) if text]
    if not lines or lines[0][1] != "JASC-PAL" or len(lines) < 3:
        raise ColorCNNError(f"{path} does not begin with 'JASC-PAL': save it again as a JASC palette.")
    count = lines[2][1]
    rows = [_three_numbers(path, number, text) for number, text in lines[3:]]
    if re.fullmatch(r"[0-9]{1,5}", count) is None or int(count) != len(rows):
        raise ColorCNNError(f"{path} claims {count[:_SHOWN]!r} colours and has {len(rows)}: save it again.")
    return np.array(rows, np.uint8).reshape(-1, 3)


def _suggested(path: Path) -> np.ndarray | None:
    """Read the first ``sPLT`` chunk of a PNG file; return None if it has none.

    A chunk holds a name, a depth of 8 or 16 bits, then red, green, blue, alpha and two bytes of frequency for
    each colour. Colours with alpha 0 are left out.
    """
    try:
        with path.open("rb") as stream:
            if stream.read(8) != _PNG:
                return None
            while len(head := stream.read(8)) == 8 and head[4:] not in (b"IDAT", b"IEND"):
                size = int.from_bytes(head[:4], "big")
                if head[4:] != b"sPLT":
                    stream.seek(size + 4, os.SEEK_CUR)
                    continue
                if size > _MOST_BYTES:
                    break
                data = stream.read(size)
                if zlib.crc32(b"sPLT" + data) != int.from_bytes(stream.read(4), "big"):
                    break
                return _splt_colors(data, path)
            else:
                return None
    except OSError:
        return None  # the image loader reports the error
    raise ColorCNNError(f"{path} has a damaged sPLT palette: save it again.")


def _splt_colors(data: bytes, path: Path) -> np.ndarray:
    rows = data[data.find(b"\0") + 1 :]
    depth, entries = rows[:1], rows[1:]
    kinds = {b"\x08": ("u1", 6), b"\x10": (">u2", 10)}
    if b"\0" not in data or depth not in kinds or len(entries) % kinds[depth][1]:
        raise ColorCNNError(f"{path} has a damaged sPLT palette: save it again.")
    kind, size = kinds[depth]
    channels = np.frombuffer(entries, np.uint8).reshape(-1, size)[:, : size - 2]
    values = np.ascontiguousarray(channels).view(kind).astype(np.uint32)
    if depth == b"\x10":
        values = (values + 128) // 257
    return values[values[:, 3] > 0, :3].astype(np.uint8)


_READERS: dict[str, Callable[[bytes, Path], np.ndarray]] = {
    ".act": _read_act, ".gpl": _read_gpl, ".hex": _read_hex, ".pal": _read_pal,
}  # fmt: skip
