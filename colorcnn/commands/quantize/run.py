"""The command ``colorcnn quantize``: its quantizer, its plan, and its exit status."""

from __future__ import annotations

import os
import sys
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from colorcnn.alpha import index_visible
from colorcnn.commands.console import say
from colorcnn.commands.quantize.jobs import make_plan, unreadable
from colorcnn.commands.quantize.options import CLASSICAL_PIXELS, QuantizeOptions, parse
from colorcnn.commands.quantize.quantizer import build_quantizer
from colorcnn.commands.quantize.session import Session
from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.images import LEARNED_PIXELS, read_bounded
from colorcnn.methods import needs_torch, parse_method, takes_large_images
from colorcnn.pretrained import find_device
from colorcnn.quantizers.dithered import undithered


def main(argv: list[str]) -> int:
    """Run the command.

    Args:
        argv: the arguments of the command.

    Returns:
        0 if all images were written, 1 if some failed, 98 or 99 if options skipped some.

    Raises:
        UsageError: the options are invalid; nothing has been written.
        ColorCNNError: the method's checkpoint is damaged.
        OSError: the results could not be printed; the files have been written.
    """
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # --max-pixels decides
    options = parse(argv)
    if missing := _nothing_there(options):
        session = Session(options, None)
        for name in missing:
            session.fail(name, ColorCNNError(f"{name} does not exist: check the path."))
        session.results.finish()
        return session.status
    quantizer, options = _prepare(options)
    session = Session(options, quantizer)
    plan = make_plan(options, _read_stdin(options))
    for note in plan.notes:
        say(f"note: {note}")
    for name, error in plan.failures:
        session.fail(name, error)
    session.run(plan.jobs)
    if session.existing:
        say(f"note: {session.existing} left out, whose results exist.")
    if session.failed and session.done + session.failed > 1:
        say(f"{session.done} written, {session.failed} failed.")
    session.results.finish()
    return session.status


def _nothing_there(options: QuantizeOptions) -> tuple[str, ...]:
    """Return all inputs if none of them exists, so that no method is loaded."""
    try:
        there = any(name == "-" or os.path.lexists(name) for name in options.inputs)
    except ValueError:  # a null byte, which the image loader reports
        return ()
    return () if there else options.inputs


def _prepare(options: QuantizeOptions) -> tuple[Any, QuantizeOptions]:
    """Load the quantizer, and fill in missing options."""
    method = parse_method(options.method)
    light = options.palette is not None or not needs_torch(method)
    large = options.palette is not None or takes_large_images(method)
    options = replace(
        options,
        method=options.method if options.dither is None else f"{options.method}+{options.dither}",
        max_pixels=options.max_pixels or (CLASSICAL_PIXELS if large else LEARNED_PIXELS),
    )
    quantizer, options = build_quantizer(options)
    place = "cpu" if light else str(find_device(options.device))
    options = replace(options, device=place)
    # One black pixel shows before any work if the method accepts the number of colours.
    black = np.zeros((1, 1, 3), np.uint8)
    index_visible(quantizer, black, np.ones((1, 1), bool), options.colors or 256, place)
    _warn_of_untrained_size(quantizer, options)
    return quantizer, options


def _warn_of_untrained_size(quantizer: Any, options: QuantizeOptions) -> None:
    sizes = getattr(undithered(quantizer), "trained_sizes", ())
    if sizes and options.colors not in sizes:
        say(
            f"warning: this model was trained for {', '.join(map(str, sizes))} colours, not {options.colors}."
        )


def _read_stdin(options: QuantizeOptions) -> bytes:
    to_stdout = options.output == "-" or ("-" in options.inputs and not (options.output or options.out_dir))
    if to_stdout and len(options.inputs) > 1:
        raise UsageError("Standard output can hold one image: give a single input, or use --out-dir.")
    if to_stdout and options.json:
        raise UsageError("--json and the image cannot both go to standard output: give a file with -o.")
    if to_stdout and options.strip:
        raise UsageError("--strip writes beside a file: give a file with -o.")
    if to_stdout and options.all_frames:
        raise UsageError("Standard output can hold one image: use --out-dir with --all-frames.")
    if to_stdout and sys.stdout.isatty():
        raise UsageError("The image would be printed on the terminal: add > FILE, or -o FILE.")
    if "-" not in options.inputs:
        return b""
    if sys.stdin.isatty():
        raise UsageError("Standard input is a terminal: pipe an image in, or give a file instead of -.")
    try:
        return read_bounded(sys.stdin.buffer, "standard input")
    except OSError as error:
        raise unreadable("standard input", error) from error
