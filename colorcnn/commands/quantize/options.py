"""The options of ``colorcnn quantize``. The options of the palette are in :mod:`.palette`."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from colorcnn.colors import parse_color, parse_colors
from colorcnn.commands.console import Parser, add_device_option, add_parallel_option, check_seed
from colorcnn.commands.quantize.palette import add_palette_options, names_palette
from colorcnn.commands.quantize.quality import QualityRange, parse_quality
from colorcnn.errors import UsageError
from colorcnn.files import check_png_name
from colorcnn.images import LEARNED_PIXELS
from colorcnn.methods import DEFAULT_METHOD, LEARNED_METHODS, parse_method
from colorcnn.parallel import Workers
from colorcnn.pretrained import available
from colorcnn.quantizers import DITHERS, QUANTIZERS, check_num_colors

CLASSICAL_PIXELS = 178_956_970  # Pillow's own limit
OPAQUE = 128  # minimum alpha of a visible pixel
ALPHAS = ("threshold", "full")

DESCRIPTION = """\
Reduce images to a few colours and write them as indexed PNG files of 1, 2, 4 or 8 bits per pixel, whose
palette holds exactly the colours shown. All formats of Pillow can be read. Orientation is applied, colour
profiles are converted to sRGB, 16 bits to 8. Paths of results go to standard output, messages to standard
error. photo.jpg becomes photo-c4.png at 4 colours, frames photo-c4-frame001.png and so on.
"""
EXAMPLES = """\
examples:
  colorcnn quantize photo.jpg --colors 4
      writes photo-c4.png beside it
  colorcnn quantize photos/ --recursive --colors 16 --method median-cut --out-dir small/ --dither
  colorcnn quantize photos/ --colors 16 --method k-means --skip-existing
      resumes an earlier run
  colorcnn quantize a.png a.jpg --colors 8 --method octree --suffix '-{ext}-{colors}'
      writes a-png-8.png and a-jpg-8.png
  colorcnn quantize a.png b.png --colors 32 --method k-means --quality best --space oklab --shared-palette
  colorcnn quantize logo.png --method k-means --quality 50-75 --skip-if-larger --alpha full
      the fewest colours for quality 75 (40 dB); below quality 50 (30 dB) nothing is written
  colorcnn quantize photo.jpg --palette pico-8.hex --dither floyd-steinberg --serpentine
  colorcnn quantize photo.jpg --colors 2 --method colorcnn-plus:checkpoints/mine -o two.png --force
  cat photo.jpg | colorcnn quantize - --colors 8 --method octree > photo.png

exit status: 0 when all images were written, 1 when some failed (the others are written), 2 for a wrong
option, 98 when --skip-if-larger and 99 when --quality left some out and nothing failed.
"""


@dataclass(frozen=True)
class QuantizeOptions:
    """The parsed and checked command line. ``None`` means that an option was not given."""

    inputs: tuple[str, ...]
    colors: int | None = None
    method: str = DEFAULT_METHOD
    dither: str | None = None
    device: str = "cpu"
    seed: int = 0
    output: str | None = None
    out_dir: Path | None = None
    suffix: str | None = None
    force: bool = False
    skip_existing: bool = False
    json: bool = False
    recursive: bool = False
    background: str | None = None
    alpha: str = "threshold"
    all_frames: bool = False
    max_pixels: int | None = None
    effort: str | None = None
    """Effort of k-means: ``--quality`` with a name."""
    quality: QualityRange | None = None
    """``--quality`` with numbers."""
    skip_if_larger: bool = False
    space: str | None = None
    keep: tuple[tuple[int, int, int], ...] = ()
    shared_palette: bool = False
    palette: Path | None = None
    strip: bool = False
    serpentine: bool = False
    parallel: Workers | None = None

    def name_of(self, stem: str, ending: str) -> str:
        """Return the name of a result without ``.png``.

        Args:
            stem: the image's name without its suffix.
            ending: the image's suffix, such as ``.jpg``.
        """
        parts = {"colors": str(self.colors), "ext": ending.lstrip(".").lower(), "method": self.method}
        parts["method"] = re.sub(r"[^\w.+-]", "_", self.method)
        suffix = "-c{colors}" if self.suffix is None else self.suffix
        return stem + re.sub(r"\{(\w+)\}", lambda match: parts[match[1]], suffix)


def parse(argv: Sequence[str]) -> QuantizeOptions:
    """Read the command line.

    Raises:
        UsageError: an option is out of range, or two of them conflict.
    """
    words = vars(_parser(argv).parse_intermixed_args(_split_dither(_joined(_without_dashes(list(argv))))))
    quality = words.pop("quality")
    keep = words.pop("keep")
    limits = parse_quality(quality)
    if words["colors"] is None and limits is not None:
        words["colors"] = 256
    options = QuantizeOptions(
        **{**words, "inputs": tuple(words["inputs"])},
        quality=limits,
        effort=quality if limits is None else None,
        keep=tuple(parse_colors(keep)) if keep is not None else (),
    )
    _check(options)
    return options


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    parser = Parser(
        prog="colorcnn quantize",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    add = parser.add_argument
    add("inputs", nargs="+", metavar="IMG|DIR|-", help="image files, folders, or - for standard input")
    needed = not names_palette(argv) and not _names_limits(argv)
    add("--colors", type=int, required=needed, metavar="N", help="maximum number of colours, 1 to 256")
    _add_method(parser)
    add_palette_options(parser)
    _add_output(parser)
    add("--recursive", action="store_true", help="include the folders below a DIR (default: only DIR itself)")
    add(
        "--background",
        metavar="COLOR",
        help="draw transparent images over a colour such as white or #ff8800 (default: see --alpha)",
    )
    add(
        "--alpha",
        choices=ALPHAS,
        default="threshold",
        help=f"threshold: pixels with alpha below {OPAQUE} become one transparent palette entry, beside at "
        "most 255 colours; full: colours keep their alpha, only with k-means (default: threshold)",
    )
    add(
        "--all-frames",
        action="store_true",
        help="all frames of an animation, in a file each (default: the first frame)",
    )
    add(
        "--max-pixels",
        type=int,
        metavar="N",
        help=f"refuse images of more pixels (default: {CLASSICAL_PIXELS}, as in Pillow; {LEARNED_PIXELS} "
        "for an ONNX file, which needs more memory)",
    )
    return parser


def _add_method(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    classical, learned = ", ".join(sorted(QUANTIZERS)), " or ".join(LEARNED_METHODS)
    pretrained = ", ".join(available("quantizer")) or "none"
    add(
        "--method",
        default=DEFAULT_METHOD,
        metavar="NAME[:CHECKPOINT][+DITHER]",
        help=f"{classical}; or {learned}, or its pretrained name ({pretrained}), checkpoint folder, .ckpt or "
        "hf:USER/REPO; or FILE.onnx of colorcnn export; or module:Class, a quantizer of your own (default: "
        f"{DEFAULT_METHOD})",
    )
    add(
        "--dither",
        nargs="?",
        const="floyd-steinberg",
        metavar="NAME",
        help=f"spread the rounding error: {', '.join(sorted(DITHERS))} (default: none; if unnamed: "
        "floyd-steinberg)",
    )
    add_device_option(parser)
    add_parallel_option(parser, "work of classical methods")
    add("--seed", type=int, default=0, metavar="N", help="seed of random methods (default: 0)")


def _add_output(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-o", "--output", metavar="FILE", help="the result of a single image; - is standard output")
    add("--out-dir", type=Path, metavar="DIR", help="folder for the results (default: beside each image)")
    add(
        "--suffix",
        metavar="TEXT",
        help="text after the image's name, with {colors}, {ext} and {method} replaced by their values; "
        ".png follows (default: -c{colors})",
    )
    add("--force", action="store_true", help="overwrite results that exist (default: refuse)")
    add(
        "--skip-existing",
        action="store_true",
        help="skip images whose results exist (default: they fail)",
    )
    add(
        "--skip-if-larger",
        action="store_true",
        help="skip images whose result would be larger than their file; exit status 98",
    )
    add(
        "--json",
        action="store_true",
        help="print a JSON object per image instead of its path: input, output, method, width and height in "
        "pixels, colors shown, transparent, bits per pixel, bytes, seconds; quality and mse with --quality "
        "MIN-MAX; or input and error, or input and skipped",
    )


def _check(options: QuantizeOptions) -> None:
    """Raise UsageError for values out of range and for options that conflict."""
    if options.colors is not None:
        check_num_colors(options.colors)
    check_seed(options.seed)
    if options.background is not None:
        parse_color(options.background)
    if options.max_pixels is not None and options.max_pixels < 1:
        raise UsageError(f"--max-pixels is {options.max_pixels}: give at least 1.")
    if options.force and options.skip_existing:
        raise UsageError("--force and --skip-existing both apply to results that exist: use one of them.")
    _check_output(options)
    _check_suffix(options)
    method = parse_method(options.method)
    if options.dither is not None and method.dither is not None:
        raise UsageError(f"--method {options.method} and --dither both name a dither: give one of them.")
    if options.parallel is not None and options.palette is None and method.name not in QUANTIZERS:
        raise UsageError(
            f"--parallel is for classical methods, and {method.name} is a network: choose another method, or "
            "leave it out."
        )
    if options.alpha == "full":
        _check_full_alpha(options, method.name, options.dither or method.dither)


def _check_output(options: QuantizeOptions) -> None:
    if options.output is not None:
        if options.out_dir is not None:
            raise UsageError("-o and --out-dir both say where the result goes: give one of them.")
        check_png_name(options.output)
        if os.path.isdir(options.output):
            raise UsageError(f"{options.output} is a folder: write --out-dir {options.output}.")
        if options.all_frames:
            raise UsageError("-o names one file and --all-frames writes several: use --out-dir.")
    if options.out_dir is not None and os.path.isfile(options.out_dir):
        raise UsageError(f"{options.out_dir} is a file: name a folder with --out-dir.")


def _check_suffix(options: QuantizeOptions) -> None:
    if options.suffix is None:
        return
    if options.output is not None:
        raise UsageError("-o names the result, so --suffix changes nothing: omit it.")
    known = {"colors", "ext", "method"}
    if "/" in options.suffix or os.sep in options.suffix or "\0" in options.suffix:
        raise UsageError(
            f"--suffix {options.suffix!r} cannot be part of a file's name: use --out-dir for folders."
        )
    if unknown := set(re.findall(r"\{(\w+)\}", options.suffix)) - known:
        raise UsageError(f"--suffix has no {{{sorted(unknown)[0]}}}: use {{colors}}, {{ext}} or {{method}}.")


def _check_full_alpha(options: QuantizeOptions, method: str, dither: str | None) -> None:
    if options.background is not None:
        raise UsageError(
            "--background removes all transparency, so --alpha full changes nothing: use one of them."
        )
    if method != "k-means" or options.palette is not None:
        raise UsageError("--alpha full works only with k-means: add --method k-means.")
    for name, value in (
        ("dither", dither), ("space", options.space), ("keep", options.keep),
        ("shared-palette", options.shared_palette), ("quality NAME", options.effort),
    ):  # fmt: skip
        if value:
            raise UsageError(f"--{name} is not available with --alpha full: use one of them.")


def _names_limits(argv: Sequence[str]) -> bool:
    """Return True if the arguments have ``--quality MIN-MAX``, so that ``--colors`` is optional."""
    values = [word.partition("=")[2] for word in _joined(argv) if word.startswith("--quality=")]
    return any(re.fullmatch(r"[0-9-]+", value) for value in values)


def _joined(argv: Sequence[str]) -> list[str]:
    """Join ``--suffix -small`` and ``--quality -80`` with ``=``, because argparse would read options."""
    words: list[str] = []
    for word in argv:
        if words and words[-1] in ("--suffix", "--quality"):
            words[-1] += f"={word}"
        else:
            words.append(word)
    return words


def _without_dashes(argv: list[str]) -> list[str]:
    """Turn ``-- -photo.jpg`` into ``./-photo.jpg``, because argparse would read an option."""
    if "--" not in argv:
        return argv
    at = argv.index("--")
    names = [os.path.join(".", name) if name.startswith("-") else name for name in argv[at + 1 :]]
    if at and argv[at - 1] in _WITH_VALUE:
        raise UsageError(f"{argv[at - 1]} has no value: write the value before --.")
    return argv[:at] + names


_WITH_VALUE = (
    *(
        "--colors",
        "--method",
        "--device",
        "--seed",
        "-o",
        "--output",
        "--out-dir",
        "--suffix",
        "--background",
    ),
    *("--alpha", "--max-pixels", "--quality", "--space", "--keep", "--palette"),
)


def _split_dither(argv: list[str]) -> list[str]:
    """Read ``--dither photo.jpg`` as the flag and an image, although the flag can have a value."""
    return [
        "--dither=floyd-steinberg" if word == "--dither" and (after == "-" or os.path.exists(after)) else word
        for word, after in zip(argv, [*argv[1:], ""])
    ]
