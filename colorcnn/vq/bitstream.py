"""File format of a compressed image. Damaged files are rejected.

Layout: magic, version (1 byte), model's name (length and UTF-8), fingerprint of its weights (4 bytes),
height, width, smallest and largest index, length of the code, the code, CRC-32 of all bytes before it
(4 bytes). Numbers without a fixed size have a variable length: 7 bits per byte, lowest bits first. Signed
numbers are mapped to 0, 1, 2, 3, ... in the order 0, -1, 1, -2, ...
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from colorcnn.errors import ColorCNNError

MAGIC = b"\x89CVQ"
VERSION = 1
SUFFIX = ".cvq"
MAX_PIXELS = 33_554_432
"""Default limit of an image's size, because coding needs several kilobytes of memory per pixel."""

_LONGEST_NAME = 255
_MOST_SYMBOLS = 1 << 16  # maximum size of the alphabet in a valid file
_LARGEST_INDEX = 1 << 30  # maximum absolute index in a valid file


@dataclass(frozen=True)
class Header:
    """Header of a file: everything that a decoder needs.

    Attributes:
        model: name of the model that wrote the file.
        fingerprint: the model's :meth:`colorcnn.vq.compressor.Compressor.fingerprint`.
        height: height of the image.
        width: width of the image.
        low: smallest index.
        high: largest index.
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
        header: header of the file.
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
        name: name of the file in error messages.

    Returns:
        The header and the code.

    Raises:
        ColorCNNError: the file has another format or a later version, is truncated or corrupt.
    """
    if not data:
        raise ColorCNNError(f"{name} is empty: use a {SUFFIX} file.")
    if data[: len(MAGIC)] != MAGIC[: len(data)]:
        raise ColorCNNError(f"{name} is not a compressed image: use a {SUFFIX} file.")
    if len(data) > len(MAGIC) and data[len(MAGIC)] > VERSION:
        raise ColorCNNError(
            f"{name} has version {data[len(MAGIC)]}, this colorcnn reads up to {VERSION}: update colorcnn."
        )
    reader = _Reader(data, name, len(MAGIC))
    if not reader.take(1)[0]:
        raise reader.corrupt("there is no version 0")
    try:
        model = reader.take(reader.take(1)[0]).decode()
    except UnicodeDecodeError as error:
        raise reader.corrupt("its model's name is not text") from error
    fingerprint = int.from_bytes(reader.take(4), "big")
    height, width = reader.varint(), reader.varint()
    low, high = (_unzigzag(reader.varint()) for _ in range(2))
    code = reader.take(reader.varint())
    checksum = int.from_bytes(reader.take(4), "big")
    if reader.position != len(data):
        raise reader.corrupt("bytes follow its end")
    if checksum != zlib.crc32(data[:-4]):
        raise reader.corrupt("its checksum is wrong")
    if not (height and width and fits(low, high)):
        raise reader.corrupt("its header is invalid")
    return Header(model, fingerprint, height, width, low, high), code


def fits(low: int, high: int) -> bool:
    """Return True if a file can hold a range of indices.

    Args:
        low: smallest index.
        high: largest index.
    """
    return 0 <= high - low < _MOST_SYMBOLS and -_LARGEST_INDEX <= low <= _LARGEST_INDEX


class _Reader:
    def __init__(self, data: bytes, name: str, position: int) -> None:
        self.data = data
        self.name = name
        self.position = position

    def take(self, count: int) -> bytes:
        if self.position + count > len(self.data):
            raise ColorCNNError(
                f"{self.name} is truncated ({len(self.data)} bytes): download or write the file again."
            )
        self.position += count
        return self.data[self.position - count : self.position]

    def varint(self) -> int:
        number = shift = 0
        while True:
            byte = self.take(1)[0]
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number
            if shift > 63:
                raise self.corrupt("a number in its header is not terminated")

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
