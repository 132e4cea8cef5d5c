"""The options of ``colorcnn quantize``; those of the palette are in :mod:`.palette`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from colorcnn.commands.quantize.palette import add_palette_options, names_palette
from colorcnn.methods import LEARNED_METHODS
from colorcnn.pretrained import available
from colorcnn.quantizers import DITHERS, QUANTIZERS

CLASSICAL_PIXELS = 178_956_970  # where Pillow, too, stops trusting a file
LEARNED_PIXELS = 4_194_304  # at 0.7 (4 colours) to 1.2 kB (256) a pixel in a light U-Net of width 16
OPAQUE = 128  # the least alpha that is seen

DESCRIPTION = """\
Reduce pictures to a few colours and write them as indexed PNG files of 1, 2, 4 or 8 bits a pixel,
whose palette is exactly the colours shown. Reads whatever Pillow can; orientation is applied, colour
profiles become sRGB, 16 bits become 8. The paths written go to standard output, messages to standard
error. photo.jpg becomes photo-c4.png at 4 colours, frames photo-c4-frame001.png and so on.
"""
EXAMPLES = """\
examples:
  colorcnn quantize photo.jpg --colors 4
      writes photo-c4.png beside it
  colorcnn quantize photos/ --recursive --colors 16 --method median-cut --out-dir small/ --dither
  colorcnn quantize a.png b.png --colors 32 --method k-means --quality best --space oklab --shared-palette
  colorcnn quantize photo.jpg --palette pico-8.hex --dither floyd-steinberg --serpentine
  colorcnn quantize photo.jpg --colors 2 --method colorcnn-plus:checkpoints/mine -o two.png --force
  cat photo.jpg | colorcnn quantize - --colors 8 --method octree > photo.png

exit status: 0 when all pictures were written, 1 when some failed (the others are written), 2 for a
wrong option.
"""


def parse(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="colorcnn quantize",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("inputs", nargs="+", metavar="IMG|DIR|-", help="picture files, folders, or - for standard input")
    needed = not names_palette(argv)
    add("--colors", type=int, required=needed, metavar="N", help="the most colours a picture keeps, 1 to 256")
    _add_method(parser)
    add_palette_options(parser)
    _add_output(parser)
    add("--recursive", action="store_true", help="look in the folders below a DIR, too (default: it alone)")
    add(
        "--background",
        metavar="COLOR",
        help="lay transparent pictures over a colour such as white or #ff8800 (default: pixels of alpha "
        f"below {OPAQUE} of 255 become one transparent entry, beside at most 255 colours)",
    )
    add(
        "--all-frames",
        action="store_true",
        help="all frames of an animation, a file each (default: the first)",
    )
    add(
        "--max-pixels",
        type=int,
        metavar="N",
        help=f"refuse pictures of more pixels (default: {CLASSICAL_PIXELS}, as Pillow; {LEARNED_PIXELS} for "
        "learned methods, which need more memory)",
    )
    return parser.parse_intermixed_args(_split_dither(_without_dashes(argv)))


def _add_method(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    classical, learned = ", ".join(sorted(QUANTIZERS)), " or ".join(LEARNED_METHODS)
    add(
        "--method",
        default="colorcnn-plus",
        metavar="NAME[:CHECKPOINT][+DITHER]",
        help=f"{classical}; or {learned} with a pretrained name, a checkpoint folder or a .ckpt "
        f"(default: colorcnn-plus; pretrained: {', '.join(available('quantizer')) or 'none'})",
    )
    add(
        "--dither",
        nargs="?",
        const="floyd-steinberg",
        metavar="NAME",
        help=f"spread the rounding error: {', '.join(sorted(DITHERS))} (default: none; if unnamed: "
        "floyd-steinberg)",
    )
    add(
        "--device", default="cpu", help="where a learned model computes: cpu, cuda, cuda:1 ... (default: cpu)"
    )
    add("--seed", type=int, default=0, metavar="N", help="for methods that draw random numbers (default: 0)")


def _add_output(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-o", "--output", metavar="FILE", help="the result of a single picture; - is standard output")
    add("--out-dir", type=Path, metavar="DIR", help="folder for the results (default: beside each picture)")
    add("--force", action="store_true", help="overwrite results that exist (default: refuse)")
    add(
        "--json",
        action="store_true",
        help="print a JSON object a picture instead of its path: input, output, method, width and height in "
        "pixels, colors shown, transparent, bits a pixel, bytes, seconds; or input and error",
    )


def _without_dashes(argv: list[str]) -> list[str]:
    """Let ``-- -photo.jpg`` mean a picture, which argparse does not when options may follow the inputs."""
    if "--" not in argv:
        return argv
    at = argv.index("--")
    names = [os.path.join(".", name) if name.startswith("-") else name for name in argv[at + 1 :]]
    return argv[:at] + names


def _split_dither(argv: list[str]) -> list[str]:
    """Let ``--dither photo.jpg`` mean the flag and a picture, though the flag may take a name."""
    return [
        "--dither=floyd-steinberg" if word == "--dither" and (after == "-" or os.path.exists(after)) else word
        for word, after in zip(argv, [*argv[1:], ""])
    ]
