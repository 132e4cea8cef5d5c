"""The options of ``colorcnn quantize`` that say how a palette is designed, or where it comes from."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colorcnn.errors import UsageError
from colorcnn.images import parse_color
from colorcnn.methods import load_quantizer, parse_method
from colorcnn.quantizers import Dithered
from colorcnn.quantizers.k_means import QUALITIES
from colorcnn.quantizers.palette_files import read_palette
from colorcnn.quantizers.palettes import Fixed
from colorcnn.quantizers.spaces import SPACES

if TYPE_CHECKING:
    from colorcnn.commands.quantize.options import QuantizeOptions


def add_palette_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to the parser."""
    add = parser.add_argument
    add(
        "--quality",
        metavar="NAME|MIN-MAX",
        help=f"how long k-means searches: {', '.join(QUALITIES)} (default: default); or numbers from 0 to "
        "100 on pngquant's scale: as few colours as MAX needs, and no picture below MIN, which gives exit "
        "status 99; --colors may be left out then (default: 256)",
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


def build_quantizer(options: QuantizeOptions) -> tuple[Any, QuantizeOptions]:
    """Load the quantizer that the options describe.

    Args:
        options: ``method`` has the dither attached.

    Returns:
        The quantizer, and the options with the number of colours and the method of a palette file filled in.

    Raises:
        UsageError: they contradict each other or do not fit the method.
        ColorCNNError: the palette file cannot be read.
    """
    if options.palette is None:
        chosen = {"quality": options.effort} if options.effort is not None else {}
        quantizer = load_quantizer(
            options.method,
            options.device,
            options.seed,
            keep=options.keep,
            serpentine=options.serpentine,
            space=options.space,
            **chosen,
        )
        return quantizer, options
    for name, value in (
        ("quality", options.effort), ("keep", options.keep), ("shared-palette", options.shared_palette)
    ):  # fmt: skip
        if value:
            raise UsageError(f"--palette gives all colours, so --{name} changes nothing: omit it.")
    dither = parse_method(options.method).dither
    palette = read_palette(options.palette)
    if options.serpentine and not dither:
        raise UsageError("--serpentine belongs to dithering: add --dither.")
    options = replace(
        options,
        colors=len(palette) if options.colors is None else options.colors,
        method=f"palette{f'+{dither}' if dither else ''}",
    )
    fixed = Fixed(palette, space=options.space or "srgb")
    quantizer = Dithered(fixed, dither, serpentine=options.serpentine) if dither else fixed
    return quantizer, options


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
