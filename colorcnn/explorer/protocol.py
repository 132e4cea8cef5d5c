"""Requests and answers of the explorer, as JSON has them. Bytes are base64 there."""

from __future__ import annotations

from typing import Annotated

import msgspec

from colorcnn.quantizers.base import MAX_COLORS

MOST_SIDE = 1024
"""The largest square that pictures can be brought to, in pixels."""

MOST_LISTED = 100
"""Pictures in one answer at most."""

Name = Annotated[str, msgspec.Meta(max_length=300)]
Identity = Annotated[str, msgspec.Meta(max_length=40)]
Size = Annotated[int, msgspec.Meta(ge=1, le=MOST_SIDE)]


class OriginalRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A request for a picture in full colour.

    Attributes:
        picture: its identity, as :class:`Picture` has it.
        size: side of the square that the picture is brought to; None leaves it as it is.
        maps: draw an activation map of the classifier, too.
    """

    picture: Identity
    size: Size | None = None
    maps: bool = False


class QuantizedRequest(OriginalRequest, kw_only=True):
    """A request for a picture in few colours.

    Attributes:
        method: one of those that the explorer offers.
        colors: the most colours that the picture keeps.
        dither: a name of a dithering, or None. A method that names a dithering keeps its own.
    """

    method: Name
    colors: Annotated[int, msgspec.Meta(ge=1, le=MAX_COLORS)]
    dither: Identity | None = None


class ListRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A request for the names of pictures.

    Attributes:
        first: position of the first picture.
        count: how many.
    """

    first: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    count: Annotated[int, msgspec.Meta(ge=1, le=MOST_LISTED)] = 24


class Picture(msgspec.Struct):
    """A picture that can be chosen.

    Attributes:
        id: names the picture in requests.
        name: of its file, or its number.
        label: name of its true class, or None.
    """

    id: str
    name: str
    label: str | None = None


class Pictures(msgspec.Struct):
    """A part of the pictures, and how many pictures there are."""

    first: int
    total: int
    pictures: list[Picture]


class Method(msgspec.Struct):
    """A method that can be chosen.

    Attributes:
        id: as the command line writes it.
        name: as people read it.
        learned: True for a network.
        shown: True where the page shows the method at the beginning.
        dithers: True where the method names a dithering itself.
    """

    id: str
    name: str
    learned: bool
    shown: bool
    dithers: bool


class State(msgspec.Struct):
    """Facts that the page needs at its beginning.

    Attributes:
        title: of the pictures.
        total: number of pictures, without those that were added in the page.
        methods: those that can be chosen.
        dithers: names of the ways to dither.
        classifier: its name, or None.
        size: side of the square that pictures are brought to at the beginning, or None.
        most_bytes: size of the largest file that can be added.
        version: of colorcnn.
        added: pictures that were added in the page and are still in memory, the oldest first.
    """

    title: str
    total: int
    methods: list[Method]
    dithers: list[str]
    classifier: str | None
    size: int | None
    most_bytes: int
    version: str
    added: list[Picture]


class Likely(msgspec.Struct):
    """A class and the classifier's confidence in it, in [0, 1]. ``true`` marks the true class."""

    name: str
    confidence: float
    true: bool


class Recognition(msgspec.Struct):
    """The classifier's answer to a picture.

    Attributes:
        classes: the likeliest ones, the most likely first; none where the classifier was not asked.
        note: a sentence that says why an answer is missing, or None.
        map: a PNG file of the activation map over the picture, or None.
        map_class: the class that the map is of, or None.
    """

    classes: list[Likely]
    note: str | None = None
    map: bytes | None = None
    map_class: str | None = None


class Original(msgspec.Struct):
    """A picture in full colour.

    Attributes:
        width: in pixels.
        height: in pixels.
        colors: number of different colours.
        png: the picture as a PNG file.
        recognition: the classifier's answer, or None without a classifier.
    """

    width: int
    height: int
    colors: int
    png: bytes
    recognition: Recognition | None = None


class Swatch(msgspec.Struct):
    """A colour as ``#rrggbb``, and how many pixels have it."""

    color: str
    pixels: int


class Quantized(msgspec.Struct):
    """A picture in few colours.

    Attributes:
        width: in pixels.
        height: in pixels.
        png: the indexed PNG file.
        bits: bits of a pixel in the file before compression.
        palette: the colours in the order of the file, without the transparent one.
        transparent: number of transparent pixels; where there are any, index 0 of the file is theirs.
        psnr: in dB; None where it has no value.
        exact: True where no pixel changed.
        milliseconds: the time that the method took, without files and classifier.
        gpl: the palette as a GIMP palette file.
        file: a name for the file without its ending.
        recognition: the classifier's answer, or None without a classifier.
    """

    width: int
    height: int
    png: bytes
    bits: int
    palette: list[Swatch]
    transparent: int
    psnr: float | None
    exact: bool
    milliseconds: float
    gpl: str
    file: str
    recognition: Recognition | None = None


class Problem(msgspec.Struct):
    """A request that was refused or failed, in one sentence."""

    error: str
