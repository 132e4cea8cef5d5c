"""``colorcnn compress`` and ``decompress``: encode an image with a learned codec, and decode it."""

from __future__ import annotations

import argparse
import io
import logging
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from colorcnn.colors import parse_color
from colorcnn.commands.console import Parser, Results, add_device_option
from colorcnn.commands.messages import CURES
from colorcnn.compression import codec_name, decompress, read_file
from colorcnn.errors import ColorCNNError, UsageError, apply_cure
from colorcnn.files import refuse_existing, write_atomically
from colorcnn.images import read_bounded, read_image, to_tensor
from colorcnn.pretrained import DEFAULT_CODEC, find_device, load_compressor
from colorcnn.vq.bitstream import MAX_PIXELS, SUFFIX, unpack

if TYPE_CHECKING:
    from torch import Tensor

    from colorcnn.vq.compressor import ImageCompressor

_log = logging.getLogger(__name__)

COMPRESS = f"""\
Compress an image with a learned codec: a factorized-prior autoencoder with scalar or vector quantization
and range coding. The file ({SUFFIX}) holds the name of the model that wrote it, which is needed to read it.
Transparency is not kept: transparent pixels are drawn over --background.
"""
DECOMPRESS = "Read a file of colorcnn compress and write the image as a PNG file."
EXAMPLES = """\
examples:
  colorcnn compress photo.png -o photo.cvq
  colorcnn compress a.png b.png --out-dir small
  cat photo.png | colorcnn compress - > photo.cvq
  colorcnn decompress photo.cvq -o photo-back.png
  colorcnn compress photo.png --model runs/vq-tiny/checkpoints/best.ckpt     your own codec

exit status: 0 when all files were written, 1 when some failed (the others are written), 2 for a wrong option.
"""


def main(argv: list[str]) -> int:
    """Run ``colorcnn compress`` or ``colorcnn decompress``.

    Args:
        argv: the command's name and its arguments.

    Returns:
        The exit code: 0, or 1 when some of the files failed.

    Raises:
        ColorCNNError: the only file failed, or the request is invalid.
    """
    name, rest = argv[0], argv[1:]
    options = _parser(name).parse_args(rest)
    if options.max_pixels < 1:
        raise UsageError(f"--max-pixels is {options.max_pixels}: give at least 1.")
    suffix = SUFFIX if name == "compress" else ".png"
    _check(options, suffix)
    work = _compressing(options) if name == "compress" else _decompress
    results, failed = Results(), 0
    for source in options.inputs:
        target = _target(source, options, suffix)
        try:
            _write(work(source, target, options), target, options, results)
        except ColorCNNError as error:
            if len(options.inputs) == 1:
                raise
            failed += 1
            apply_cure(error, CURES)
            _log.error("%s", error)
    results.finish()
    return 1 if failed else 0


def _parser(name: str) -> argparse.ArgumentParser:
    packing = name == "compress"
    parser = Parser(
        prog=f"colorcnn {name}",
        description=COMPRESS if packing else DECOMPRESS,
        epilog=EXAMPLES,
    )
    add = parser.add_argument
    add("inputs", nargs="+", metavar="IMG|-" if packing else "FILE|-", help="files; - is standard input")
    suffix = SUFFIX if packing else ".png"
    add(
        "-o",
        "--output",
        metavar="FILE",
        help=f"the result of a single file; - is standard output (default: the input's name and {suffix})",
    )
    add("--out-dir", type=Path, metavar="DIR", help="folder for the results (default: beside each file)")
    add(
        "--model",
        default=DEFAULT_CODEC if packing else None,
        metavar="MODEL",
        help="a pretrained name, a checkpoint folder or a .ckpt of VQTask (default: "
        f"{DEFAULT_CODEC if packing else 'the name the file holds'})",
    )
    if packing:
        add(
            "--background",
            default="white",
            metavar="COLOR",
            help="colour behind transparent pixels (default: white)",
        )
    add_device_option(parser)
    add(
        "--max-pixels", type=int, default=MAX_PIXELS, metavar="N", help=f"refuse more (default: {MAX_PIXELS})"
    )
    add("--force", action="store_true", help="overwrite a result that exists (default: refuse)")
    return parser


def _check(options: argparse.Namespace, suffix: str) -> None:
    """Raise if options conflict, or if results would overwrite each other."""
    if options.output is not None and options.out_dir is not None:
        raise UsageError("-o and --out-dir both say where the result goes: give one of them.")
    if options.output is not None and len(options.inputs) > 1:
        raise UsageError("-o names one file and there are several inputs: use --out-dir.")
    targets = [_target(source, options, suffix) for source in options.inputs]
    if None in targets and len(targets) > 1:
        raise UsageError("Standard output can hold one file: give a single input, or use --out-dir.")
    named = [target for target in targets if target is not None]
    if suffix == ".png" and (wrong := [target for target in named if target.suffix.lower() != ".png"]):
        raise UsageError(f"{wrong[0]} would hold a PNG file: give it a name that ends in .png.")
    if len({os.path.realpath(target) for target in named}) < len(named):
        raise UsageError("Two inputs would become one file: rename one, or name the results with -o.")
    if None in targets and sys.stdout.isatty():
        raise UsageError("The file would be printed on the terminal: add > FILE, or -o FILE.")
    if "background" in options:
        parse_color(options.background)


def _target(source: str, options: argparse.Namespace, suffix: str) -> Path | None:
    """Return the path of a result, or None for standard output."""
    if options.output is not None:
        return None if options.output == "-" else Path(options.output)
    if source == "-":
        return None if options.out_dir is None else options.out_dir / f"stdin{suffix}"
    if not Path(source).name:
        raise UsageError(f"{source} is a folder: use a file.")
    place = Path(source).with_suffix(suffix)
    return place if options.out_dir is None else options.out_dir / place.name


def _check_target(source: str, target: Path | None, options: argparse.Namespace) -> None:
    if target is None:
        return
    if source != "-" and os.path.realpath(target) == os.path.realpath(source):
        raise UsageError(f"{target} would overwrite the input: name another file with -o.")
    if not options.force:
        refuse_existing(target)


def _write(data: bytes, target: Path | None, options: argparse.Namespace, results: Results) -> None:
    if target is None:
        results.write(data)
    else:
        write_atomically(target, data, overwrite=options.force)
        results.print(str(target))


def _compressing(options: argparse.Namespace) -> Callable[[str, Path | None, argparse.Namespace], bytes]:
    """Return a function that compresses one image. It loads the model when it is first called."""
    loaded: list[ImageCompressor] = []

    def compress(source: str, target: Path | None, options: argparse.Namespace) -> bytes:
        _check_target(source, target, options)
        name = "standard input" if source == "-" else source
        content = read_bounded(sys.stdin.buffer, name) if source == "-" else source
        picture = read_image(content, max_pixels=options.max_pixels, name=name)
        if picture.mode == "RGBA" and np.asarray(picture.getchannel("A")).min() < 255:
            _log.info(f"note: the transparency of {name} is not kept: it is drawn over {options.background}.")
        from colorcnn.vq.codec import compress_pixels, decompress_pixels

        pixels = to_tensor(picture, options.background)
        if not loaded:
            loaded.append(load_compressor(options.model).to(find_device(options.device)))
        data = compress_pixels(loaded[0], pixels, codec_name(options.model))
        kept = decompress_pixels(loaded[0], data, str(target or name), options.max_pixels)
        size = pixels.shape[1] * pixels.shape[2]
        _log.info(
            f"{pixels.shape[2]} x {pixels.shape[1]}, {len(data)} bytes, "
            f"{8 * len(data) / size:.3f} bits per pixel, PSNR {_psnr(pixels, kept):.2f} dB"
        )
        return data

    return compress


def _decompress(source: str, target: Path | None, options: argparse.Namespace) -> bytes:
    name = "standard input" if source == "-" else source
    data = read_bounded(sys.stdin.buffer, name) if source == "-" else read_file(source)
    unpack(data, name)  # check the signature before the target
    _check_target(source, target, options)
    picture = decompress(data, options.model, max_pixels=options.max_pixels, device=options.device, name=name)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _psnr(first: Tensor, second: Tensor) -> float:
    mse = float((first.double() - second.double()).square().mean())
    return 10 * math.log10(255**2 / mse) if mse else math.inf
