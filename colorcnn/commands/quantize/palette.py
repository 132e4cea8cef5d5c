"""The options of ``colorcnn quantize`` that say how a palette is designed, or where it comes from."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from colorcnn.errors import UsageError
from colorcnn.images import parse_color
from colorcnn.methods import load_quantizer, parse_method
from colorcnn.quantizers import Dithered
from colorcnn.quantizers.k_means import QUALITIES
from colorcnn.quantizers.palettes import Fixed, read_palette
from colorcnn.quantizers.spaces import SPACES


def add_palette_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to the parser."""
    add = parser.add_argument
    add(
        "--quality",
        metavar="NAME",
        help=f"how long k-means searches: {', '.join(QUALITIES)} (default: default)",
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
        help="take the colours of a .gpl, .hex or .act file or of an image, in place of a method's; --colors "
        "may be left out then",
    )
    add(
        "--strip",
        action="store_true",
        help="write a picture of each palette, too: photo-c4-palette.png beside photo-c4.png",
    )
    add("--serpentine", action="store_true", help="let every second row of Floyd-Steinberg run backwards")


def names_palette(argv: list[str]) -> bool:
    """Whether the arguments name a palette file, so that the number of colours need not be told."""
    return any(word == "--palette" or word.startswith("--palette=") for word in argv)


def build_quantizer(options: argparse.Namespace) -> Any:
    """Load the quantizer that the options describe; ``options.method`` has the dither attached.

    Raises:
        UsageError: they contradict each other or do not fit the method.
        ColorCNNError: the palette file cannot be read.
    """
    keep = parse_colors(options.keep) if options.keep is not None else []
    if options.palette is None:
        chosen = {"quality": options.quality} if options.quality is not None else {}
        return load_quantizer(
            options.method,
            options.device,
            options.seed,
            keep=keep,
            serpentine=options.serpentine,
            space=options.space,
            **chosen,
        )
    for name in ("quality", "keep", "shared_palette"):
        if getattr(options, name):
            raise UsageError(
                f"--palette gives all colours, so --{name.replace('_', '-')} changes nothing: omit it."
            )
    dither = parse_method(options.method).dither
    palette = read_palette(options.palette)
    if options.colors is None:
        options.colors = len(palette)
    options.method = f"palette{f'+{dither}' if dither else ''}"
    if options.serpentine and not dither:
        raise UsageError("--serpentine belongs to dithering: add --dither.")
    fixed = Fixed(palette, space=options.space or "srgb")
    return Dithered(fixed, dither, serpentine=options.serpentine) if dither else fixed


def with_palette(quantizer: Any, palette: Any) -> Any:
    """A quantizer with a palette in place of its own: same space, same dithering."""
    dithered = quantizer if isinstance(quantizer, Dithered) else None
    inner = dithered.quantizer if dithered else quantizer
    fixed = Fixed(palette, space=getattr(inner, "space", "srgb"))
    if dithered is None:
        return fixed
    return Dithered(fixed, dithered.dither, space=dithered.space, **dithered.options)


def parse_colors(text: str) -> list[tuple[int, int, int]]:
    """Colours as the command line lists them, separated by commas outside brackets.

    Raises:
        UsageError: one of them is no colour.
    """
    words, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            words.append("")
        else:
            words[-1] += letter
    return [parse_color(word.strip()) for word in words]
