"""The options of ``colorcnn quantize`` that say how a palette is designed, or where it comes from."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from colorcnn.quantizers.registry import QUALITIES
from colorcnn.quantizers.spaces import SPACES


def add_palette_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to the parser."""
    add = parser.add_argument
    add(
        "--quality",
        metavar="NAME|MIN-MAX",
        help=f"how long k-means searches: {', '.join(QUALITIES)} (default: default); or numbers from 0 to "
        "100: as few colours as MAX needs, and no picture below MIN, which gives exit status 99; quality Q "
        "is a PSNR of at least 10 + 0.4 Q dB (25: 20 dB, 50: 30 dB, 75: 40 dB), 100 is exact; --colors may "
        "be left out then (default: 256)",
    )
    add(
        "--space",
        metavar="NAME",
        help=f"where colours are compared: {', '.join(sorted(SPACES))} (default: srgb; the methods of Pillow "
        "and learned ones take it for dithering alone)",
    )
    add(
        "--keep",
        metavar="COLORS",
        help="colours that the palette must have, as '#000000,#ffffff' or black,white (default: none; those "
        "that no pixel is nearest to are not written)",
    )
    add(
        "--shared-palette",
        action="store_true",
        help="one palette for all pictures, which are read twice (default: one each)",
    )
    add(
        "--palette",
        type=Path,
        metavar="FILE",
        help="take the colours of a .gpl, .hex, .act or .pal file, of a PNG file's sPLT palette or of an "
        "image, in place of a method's; --colors may be left out then",
    )
    add(
        "--strip",
        action="store_true",
        help="write a picture of each palette, too: photo-c4-palette.png beside photo-c4.png",
    )
    add("--serpentine", action="store_true", help="let every second row of Floyd-Steinberg run backwards")


def names_palette(argv: Sequence[str]) -> bool:
    """Tell whether the arguments name a palette file, so that the number of colours may be left out."""
    return any(word == "--palette" or word.startswith("--palette=") for word in argv)
