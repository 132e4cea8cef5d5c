"""``colorcnn compress`` and ``decompress``: a picture as a small file of a learned codec, and back."""

from __future__ import annotations

import argparse
import io
import logging
import math
from pathlib import Path

from PIL import Image
from torch import Tensor

from colorcnn.colors import parse_color
from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.files import refuse_existing, write_atomically
from colorcnn.images import read_image, to_tensor
from colorcnn.pretrained import DEFAULT_CODEC, available, find_device, load_compressor
from colorcnn.vq.bitstream import SUFFIX, unpack
from colorcnn.vq.codec import MAX_PIXELS, compress_pixels, decompress_pixels

_log = logging.getLogger(__name__)

COMPRESS = f"""\
Compress a picture with a learned codec: a factorized-prior autoencoder whose latent is quantized by scalars
or vectors and range coded. The file ({SUFFIX}) names the model that wrote it, which is needed to read it.
"""
DECOMPRESS = "Read a file of colorcnn compress and write the picture as a PNG file."
EXAMPLES = """\
examples:
  colorcnn compress photo.png -o photo.cvq
  colorcnn decompress photo.cvq -o photo-back.png
  colorcnn compress photo.png --model runs/vq-tiny/checkpoints/best.ckpt     a codec of one's own

exit status: 0 when the file was written, 1 when the work failed, 2 for a wrong option.
"""


def main(argv: list[str]) -> int:
    """Run ``colorcnn compress`` or ``colorcnn decompress``.

    Args:
        argv: the command's name and its arguments.

    Returns:
        The exit code.

    Raises:
        ColorCNNError: the work failed, or the request cannot be meant.
    """
    name, rest = argv[0], argv[1:]
    options = _parser(name).parse_args(rest)
    if options.max_pixels < 1:
        raise UsageError(f"--max-pixels is {options.max_pixels}: give at least 1.")
    return _compress(options) if name == "compress" else _decompress(options)


def _parser(name: str) -> argparse.ArgumentParser:
    packing = name == "compress"
    parser = argparse.ArgumentParser(
        prog=f"colorcnn {name}",
        description=COMPRESS if packing else DECOMPRESS,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("input", type=Path, metavar="IMG" if packing else "FILE", help="the file to read")
    suffix = SUFFIX if packing else ".png"
    add(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help=f"the result (default: the input's name and {suffix})",
    )
    add(
        "--model",
        default=DEFAULT_CODEC if packing else None,
        metavar="MODEL",
        help="a pretrained name, a checkpoint folder or a .ckpt of VQTask (default: "
        f"{DEFAULT_CODEC if packing else 'the name the file holds'})",
    )
    if packing:
        add("--background", default="white", metavar="COLOR", help="laid under what is transparent (white)")
    add("--device", default="cpu", help="where the networks compute (default: cpu)")
    add(
        "--max-pixels", type=int, default=MAX_PIXELS, metavar="N", help=f"refuse more (default: {MAX_PIXELS})"
    )
    add("--force", action="store_true", help="overwrite a result that exists (default: refuse)")
    return parser


def _compress(options: argparse.Namespace) -> int:
    target = _target(options, SUFFIX)
    parse_color(options.background)
    _check_target(target, options)
    picture = read_image(options.input, max_pixels=options.max_pixels)
    pixels = to_tensor(picture, options.background)
    compressor = load_compressor(options.model).to(find_device(options.device))
    data = compress_pixels(compressor, pixels, _model_name(options.model))
    kept = decompress_pixels(compressor, data, str(target), options.max_pixels)
    write_atomically(target, data, overwrite=options.force)
    size = pixels.shape[1] * pixels.shape[2]
    _log.info(
        f"{pixels.shape[2]} x {pixels.shape[1]}, {len(data)} bytes, {8 * len(data) / size:.3f} bits a pixel, "
        f"PSNR {_psnr(pixels, kept):.2f} dB"
    )
    print(target)
    return 0


def _decompress(options: argparse.Namespace) -> int:
    target = _target(options, ".png")
    if target.suffix.lower() != ".png":
        raise UsageError(f"{target} would hold a PNG file: give it a name that ends in .png.")
    _check_target(target, options)
    data = _read(options.input)
    header, _ = unpack(data, str(options.input))
    # What a stranger's file names is a name, never a path.
    if options.model is None and header.model not in available("compressor"):
        raise ColorCNNError(
            f"{options.input} was written by the model {header.model!r}, which is not installed: "
            "name its checkpoint with --model."
        )
    compressor = load_compressor(options.model or header.model)
    compressor = compressor.to(find_device(options.device))
    pixels = decompress_pixels(compressor, data, str(options.input), options.max_pixels)
    buffer = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(buffer, "PNG")
    write_atomically(target, buffer.getvalue(), overwrite=options.force)
    print(target)
    return 0


def _target(options: argparse.Namespace, suffix: str) -> Path:
    if not options.input.name:
        raise UsageError(f"{options.input} is a folder: name a file.")
    return options.output or options.input.with_suffix(suffix)


def _check_target(target: Path, options: argparse.Namespace) -> None:
    if target.resolve() == options.input.resolve():
        raise UsageError(f"{target} would overwrite the input: name another file with -o.")
    if not options.force:
        refuse_existing(target)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ColorCNNError(f"{path} does not exist: check the path.") from error
    except IsADirectoryError as error:
        raise UsageError(f"{path} is a folder: name a file.") from error
    except OSError as error:
        raise ColorCNNError(f"{path} could not be read ({error.strerror}): check its rights.") from error


def _model_name(spec: str) -> str:
    """What the file calls the model: a name as it is, a folder's own, the run's of a checkpoint in it."""
    path = Path(spec)
    if path.suffix == ".ckpt":
        path = path.resolve()
        return path.parent.parent.name if path.parent.name == "checkpoints" else path.stem
    return path.resolve().name if path.is_dir() else spec


def _psnr(first: Tensor, second: Tensor) -> float:
    mse = float((first.double() - second.double()).square().mean())
    return 10 * math.log10(255**2 / mse) if mse else math.inf
