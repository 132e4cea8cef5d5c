"""The options of ``colorcnn quantize`` for the design and the source of the palette."""

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
        help=f"effort of k-means: {', '.join(QUALITIES)} (default: default); or numbers from 0 to 100: the "
        "fewest colours for quality MAX, and no image below MIN, with exit status 99; quality Q is a PSNR of "
        "at least 10 + 0.4 Q dB (25: 20 dB, 50: 30 dB, 75: 40 dB), 100 is exact; --colors is then optional "
        "(default: 256)",
    )
    add(
        "--space",
        metavar="NAME",
        help=f"colour space for distances: {', '.join(sorted(SPACES))} (default: srgb; Pillow's and learned "
        "methods use it only for dithering)",
    )
    add(
        "--keep",
        metavar="COLORS",
        help="colours that the palette must have, as '#000000,#ffffff' or black,white (default: none; "
        "colours that no pixel uses are not written)",
    )
    add(
        "--shared-palette",
        action="store_true",
        help="one palette for all images, which are read twice (default: one palette per image)",
    )
    add(
        "--palette",
        type=Path,
        metavar="FILE",
        help="use the colours of a .gpl, .hex, .act or .pal file, of a PNG file's sPLT palette or of an "
        "image, in place of a method's; --colors is then optional",
    )
    add(
        "--strip",
        action="store_true",
        help="write an image of each palette, too: photo-c4-palette.png beside photo-c4.png",
    )
    add("--serpentine", action="store_true", help="process every second row of Floyd-Steinberg backwards")


def names_palette(argv: Sequence[str]) -> bool:
    """Return True if the arguments name a palette file, so that ``--colors`` is optional."""
    return any(word == "--palette" or word.startswith("--palette=") for word in argv)
