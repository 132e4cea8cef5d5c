"""The file of a compressed picture: small, self-describing, and refused where it is not whole.

Layout: magic, version (1 byte), model's name (length and UTF-8), fingerprint of its weights (4 bytes),
height, width, least and greatest index, length of the code, the code, CRC-32 of all before (4 bytes). Numbers
without a size are of 7 bits a byte, the lowest first; signed ones alternate 0, -1, 1, -2, ...
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from colorcnn.errors import ColorCNNError

MAGIC = b"\x89CVQ"
VERSION = 1
SUFFIX = ".cvq"
MAX_PIXELS = 33_554_432
"""The largest picture coded without being asked to: some kilobytes of memory a pixel add up."""

_LONGEST_NAME = 255
_MOST_SYMBOLS = 1 << 16  # of an alphabet; what is beyond is no honest file
_LARGEST_INDEX = 1 << 30  # likewise


@dataclass(frozen=True)
class Header:
    """Header of a file: everything that a decoder must know.

    Attributes:
        model: the name of the model that wrote the file.
        fingerprint: :meth:`colorcnn.vq.compressor.Compressor.fingerprint` of it.
        height: of the picture.
        width: of the picture.
        low: the least index.
        high: the greatest index.
    """

    model: str
    fingerprint: int
    height: int
    width: int
    low: int
    high: int


def pack(header: Header, code: bytes) -> bytes:
    """Write a header and a code as the bytes of a file.

    Args:
        header: of the file.
        code: bytes of the range coder.

    Raises:
        ColorCNNError: the model's name is too long.
    """
    name = header.model.encode()
    if len(name) > _LONGEST_NAME:
        raise ColorCNNError(f"The model's name {header.model!r} is too long for a file: shorten it.")
    body = MAGIC + bytes([VERSION, len(name)]) + name + header.fingerprint.to_bytes(4, "big")
    for number in (header.height, header.width, _zigzag(header.low), _zigzag(header.high), len(code)):
        body += _varint(number)
    body += code
    return body + zlib.crc32(body).to_bytes(4, "big")


def unpack(data: bytes, name: str) -> tuple[Header, bytes]:
    """Read the bytes of a file.

    Args:
        data: the whole file.
        name: what error messages call it.

    Returns:
        Its header and its code.

    Raises:
        ColorCNNError: the file is foreign, of a later version, truncated or corrupt.
    """
    if not data:
        raise ColorCNNError(f"{name} is empty: give a file that colorcnn compress wrote.")
    if data[: len(MAGIC)] != MAGIC[: len(data)]:
        raise ColorCNNError(f"{name} is no compressed picture: give a file that colorcnn compress wrote.")
    if len(data) > len(MAGIC) and data[len(MAGIC)] > VERSION:
        raise ColorCNNError(
            f"{name} has version {data[len(MAGIC)]} and this colorcnn reads up to {VERSION}: update colorcnn."
        )
    reader = _Reader(data, name, len(MAGIC))
    if not reader.take(1)[0]:
        raise reader.corrupt("there is no version 0")
    try:
        model = reader.take(reader.take(1)[0]).decode()
    except UnicodeDecodeError as error:
        raise reader.corrupt("its model's name is no text") from error
    fingerprint = int.from_bytes(reader.take(4), "big")
    height, width = reader.varint(), reader.varint()
    low, high = (_unzigzag(reader.varint()) for _ in range(2))
    code = reader.take(reader.varint())
    checksum = int.from_bytes(reader.take(4), "big")
    if reader.place != len(data):
        raise reader.corrupt("bytes follow its end")
    if checksum != zlib.crc32(data[:-4]):
        raise reader.corrupt("its checksum does not fit")
    if not (height and width and fits(low, high)):
        raise reader.corrupt("its header makes no sense")
    return Header(model, fingerprint, height, width, low, high), code


def fits(low: int, high: int) -> bool:
    """Tell if a file can hold a range of indices.

    Args:
        low: the least index.
        high: the greatest index.
    """
    return 0 <= high - low < _MOST_SYMBOLS and -_LARGEST_INDEX <= low <= _LARGEST_INDEX


class _Reader:
    def __init__(self, data: bytes, name: str, place: int) -> None:
        self.data = data
        self.name = name
        self.place = place

    def take(self, count: int) -> bytes:
        if self.place + count > len(self.data):
            raise ColorCNNError(
                f"{self.name} is truncated ({len(self.data)} bytes): fetch or write the whole file again."
            )
        self.place += count
        return self.data[self.place - count : self.place]

    def varint(self) -> int:
        number = shift = 0
        while True:
            byte = self.take(1)[0]
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number
            if shift > 63:
                raise self.corrupt("a number in its header has no end")

    def corrupt(self, reason: str) -> ColorCNNError:
        return ColorCNNError(f"{self.name} is corrupt ({reason}): use an intact copy.")


def _varint(number: int) -> bytes:
    digits = bytearray()
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    return bytes([*digits, number])


def _zigzag(number: int) -> int:
    return 2 * number if number >= 0 else -2 * number - 1


def _unzigzag(number: int) -> int:
    return number // 2 if number % 2 == 0 else -(number + 1) // 2
