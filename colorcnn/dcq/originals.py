"""The file ``originals.json`` in a folder of recompressed images: the names of the images' own files."""

from __future__ import annotations

from pathlib import Path

import msgspec

from colorcnn import schema
from colorcnn.dcq.sources import ImageSource, names_of, plain_text
from colorcnn.files import write_atomically

ORIGINALS = "originals.json"
_CURE = "recompress the images again"


class _Originals(msgspec.Struct):
    """Schema of the file: the position of an image in its data set -> the name of its file."""

    names: dict[str, str]


def write_originals(folder: Path, source: ImageSource) -> None:
    """Write the names of the files that images come from; write nothing for images without files.

    Args:
        folder: the folder of the recompressed images.
        source: the images.
    """
    names = names_of(source)
    if names is not None:
        rows = (str(int(row)) for row in source.rows)
        content = _Originals(dict(zip(rows, map(plain_text, names), strict=True)))
        write_atomically(folder / ORIGINALS, msgspec.json.encode(content))


def read_originals(folder: Path) -> dict[str, str]:
    """Return the names of the originals' files by position in digits; empty if the folder records none.

    Args:
        folder: the folder of the recompressed images.

    Raises:
        ColorCNNError: the file is damaged.
    """
    path = folder / ORIGINALS
    try:
        data = schema.read_file(path, _CURE)
    except FileNotFoundError:
        return {}
    return schema.convert(schema.parse_json(data, path, _CURE), _Originals, path, _CURE).names
