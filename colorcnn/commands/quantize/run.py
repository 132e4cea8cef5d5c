"""``colorcnn quantize``: pictures in, indexed PNG files of a few colours out."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from tqdm import tqdm

from colorcnn.alpha import quantize_visible
from colorcnn.commands.quantize.jobs import Job, plan
from colorcnn.commands.quantize.options import CLASSICAL_PIXELS, LEARNED_PIXELS, OPAQUE, parse
from colorcnn.commands.quantize.palette import build_quantizer, with_palette
from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.files import refuse_existing, write_atomically
from colorcnn.images import IMAGE_SUFFIXES, flatten, frames, num_frames, parse_color, read_image
from colorcnn.methods import parse_method
from colorcnn.paletted import Paletted
from colorcnn.quantizers import QUANTIZERS, Dithered, check_num_colors
from colorcnn.quantizers.designed import Designed
from colorcnn.quantizers.palettes import SharedPalette, palette_strip


class Session:
    """One run of the command: its options, the quantizer, and how each picture fared."""

    def __init__(self, options: argparse.Namespace, quantizer: Any) -> None:
        self.options = options
        self.quantizer = quantizer
        self.done = 0
        self.failed = 0

    def fail(self, name: str, error: ColorCNNError) -> None:
        """Report one picture that could not be quantized; the others go on."""
        self.failed += 1
        _say(f"error: {error}")
        if self.options.json:
            _print(json.dumps({"input": name, "error": str(error)}))

    def run(self, jobs: list[Job]) -> None:
        """Quantize all pictures; a bar on a terminal shows how far it is."""
        if self.options.shared_palette:
            jobs = self._share(jobs)
        total = sum(len(job.targets) for job in jobs)
        with tqdm(total=total, unit="image", disable=None, leave=total > 1) as bar:
            for job in jobs:
                try:
                    self._quantize_all(job, bar)
                except ColorCNNError as error:
                    self.fail(job.name, error)

    def _share(self, jobs: list[Job]) -> list[Job]:
        """Design one palette for all pictures; returns the jobs whose pictures could be read."""
        quantizer = self.quantizer.quantizer if isinstance(self.quantizer, Dithered) else self.quantizer
        shared = SharedPalette(quantizer, self.options.colors)
        readable = []
        for job in tqdm(jobs, unit="image", desc="palette", disable=None, leave=False):
            try:
                for picture in self._read(job, warn=False):
                    pixels, visible, transparent = self._pixels(picture)
                    if transparent is not None:
                        shared.num_colors = min(shared.num_colors, 255)
                    if isinstance(quantizer, Designed):
                        shared.show(pixels[visible])
                    else:
                        colors, device = shared.num_colors, self.options.device
                        shared.show_quantized(
                            quantize_visible(quantizer, pixels, visible, colors, device), visible
                        )
                readable.append(job)
            except ColorCNNError as error:
                self.fail(job.name, error)
        if readable:
            self.quantizer = with_palette(self.quantizer, shared.design())
            self.options.device = "cpu"
        return readable

    def _quantize_all(self, job: Job, bar: tqdm) -> None:
        for target in job.targets:
            if target is not None and not self.options.force:
                refuse_existing(target)
                if self.options.strip:
                    refuse_existing(strip_path(target))
        for frame, (target, picture) in enumerate(zip(job.targets, self._read(job)), 1):
            report = self._quantize(job, target, picture)
            if self.options.all_frames:
                report["frame"] = frame
            if self.options.json:
                _print(json.dumps(report))
            elif target is not None:
                _print(str(target))
            self.done += 1
            bar.update()

    def _read(self, job: Job, *, warn: bool = True) -> Iterable[Image.Image]:
        limits = {"max_pixels": self.options.max_pixels, "name": job.name}
        if self.options.all_frames:
            return frames(job.content, **limits)
        count = num_frames(job.content, **limits)
        if count > 1 and warn:
            _say(f"warning: {job.name} holds {count} frames, the first is taken: --all-frames takes all.")
        return [read_image(job.content, **limits)]

    def _quantize(self, job: Job, target: Path | None, picture: Image.Image) -> dict[str, Any]:
        start = time.perf_counter()
        try:
            paletted, transparent = self._reduce(picture)
        except (MemoryError, RuntimeError) as error:  # torch has several errors for a full memory
            if "memory" not in str(error).lower() and not isinstance(error, MemoryError):
                raise
            raise ColorCNNError(
                f"{job.name} ({picture.width} x {picture.height}) does not fit into memory: "
                "scale it down, or use a classical method."
            ) from error
        file = paletted.png(transparent=transparent)
        if target is None:
            sys.stdout.buffer.write(file)
            sys.stdout.buffer.flush()
        else:
            write_atomically(target, file, overwrite=self.options.force)
            if self.options.strip:
                self._write_strip(paletted, transparent, target)
        return {
            "input": "-" if job.source is None else str(job.source),
            "output": "-" if target is None else str(target),
            "method": self.options.method,
            "width": picture.width,
            "height": picture.height,
            "colors": _palette_length(file) - (transparent is not None),
            "transparent": transparent is not None,
            "bits": file[24],  # the bit depth in the header of a PNG file
            "bytes": len(file),
            "seconds": round(time.perf_counter() - start, 3),
        }

    def _write_strip(self, paletted: Paletted, transparent: np.ndarray | None, target: Path) -> None:
        palette = paletted.compact(transparent=transparent)[1]
        if not len(palette):
            return  # nothing can be seen
        buffer = io.BytesIO()
        palette_strip(palette).save(buffer, "PNG")
        write_atomically(strip_path(target), buffer.getvalue(), overwrite=self.options.force)

    def _reduce(self, picture: Image.Image) -> tuple[Paletted, np.ndarray | None]:
        """The quantized picture and the (H, W) mask of what is transparent in it, if anything is."""
        options = self.options
        pixels, visible, transparent = self._pixels(picture)
        colors = options.colors if transparent is None else min(options.colors, 255)
        return quantize_visible(self.quantizer, pixels, visible, colors, options.device), transparent

    def _pixels(self, picture: Image.Image) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """The (H, W, 3) pixels of a picture, which can be seen, and which cannot, if any."""
        options = self.options
        if options.background is not None:
            picture = flatten(picture, options.background)
        transparent = None
        if picture.mode == "RGBA":
            transparent = np.asarray(picture.getchannel("A")) < OPAQUE
            picture = picture.convert("RGB")
            transparent = transparent if transparent.any() else None
        pixels = np.array(picture)
        visible = np.ones(pixels.shape[:2], dtype=bool) if transparent is None else ~transparent
        return pixels, visible, transparent


def main(argv: list[str]) -> int:
    """Run the command.

    Args:
        argv: its arguments.

    Returns:
        0 when all pictures were written, 1 when some failed.

    Raises:
        UsageError: the options cannot be meant; nothing has been written.
        ColorCNNError: the method's checkpoint is damaged.
    """
    options = parse(argv)
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # --max-pixels decides
    session = Session(options, _prepare(options))
    jobs, notes, failures = plan(options, _read_stdin(options))
    for note in notes:
        _say(f"note: {note}")
    for name, error in failures:
        session.fail(name, error)
    session.run(jobs)
    if session.failed and session.done + session.failed > 1:
        _say(f"{session.done} written, {session.failed} failed.")
    return 1 if session.failed else 0


def _prepare(options: argparse.Namespace) -> Any:
    """Check the options against each other, complete them, and load the quantizer."""
    if options.colors is not None:
        check_num_colors(options.colors)
    if options.background is not None:
        parse_color(options.background)
    if options.output is not None:
        if options.out_dir is not None:
            raise UsageError("-o and --out-dir both say where the result goes: give one of them.")
        suffix = Path(options.output).suffix.lower()
        if suffix != ".png" and suffix in IMAGE_SUFFIXES:
            raise UsageError(f"{options.output} would hold a PNG file: give it a name that ends in .png.")
        if os.path.isdir(options.output):
            raise UsageError(f"{options.output} is a folder: write --out-dir {options.output}.")
        if options.all_frames:
            raise UsageError("-o names one file and --all-frames writes several: use --out-dir.")
    if options.out_dir is not None and os.path.isfile(options.out_dir):
        raise UsageError(f"{options.out_dir} is a file: name a folder with --out-dir.")
    method = parse_method(options.method)
    if options.dither is not None:
        if method.dither is not None:
            raise UsageError(f"--method {options.method} and --dither both name a dither: give one of them.")
        options.method = f"{options.method}+{options.dither}"
    if options.max_pixels is None:
        light = method.name in QUANTIZERS or options.palette is not None
        options.max_pixels = CLASSICAL_PIXELS if light else LEARNED_PIXELS
    if options.max_pixels < 1:
        raise UsageError(f"--max-pixels is {options.max_pixels}: give at least 1.")
    quantizer = build_quantizer(options)
    if method.name in QUANTIZERS or options.palette is not None:
        options.device = "cpu"
    # One black pixel shows before any work whether the method can give so many colours.
    quantizer(torch.zeros(1, 3, 1, 1, device=options.device), options.colors)
    _warn_of_untrained_size(quantizer, options)
    return quantizer


def _warn_of_untrained_size(quantizer: Any, options: argparse.Namespace) -> None:
    model = quantizer.quantizer if isinstance(quantizer, Dithered) else quantizer
    sizes = getattr(model, "trained_sizes", ()) if isinstance(model, nn.Module) else ()
    if sizes and options.colors not in sizes:
        _say(
            f"warning: this model was trained for {', '.join(map(str, sizes))} colours, not {options.colors}."
        )


def _read_stdin(options: argparse.Namespace) -> bytes:
    to_stdout = options.output == "-" or ("-" in options.inputs and not (options.output or options.out_dir))
    if to_stdout and len(options.inputs) > 1:
        raise UsageError("Standard output can hold one picture: give a single input, or use --out-dir.")
    if to_stdout and options.json:
        raise UsageError("--json would mix with the picture on standard output: name a file with -o.")
    if to_stdout and options.strip:
        raise UsageError("--strip needs a name to go beside: name a file with -o.")
    if to_stdout and options.all_frames:
        raise UsageError("Standard output can hold one picture: use --out-dir with --all-frames.")
    if to_stdout and sys.stdout.isatty():
        raise UsageError("The picture would be printed on the terminal: add > FILE, or -o FILE.")
    if "-" not in options.inputs:
        return b""
    if sys.stdin.isatty():
        raise UsageError("No picture comes in on standard input: pipe one in, or name a file instead of -.")
    return sys.stdin.buffer.read()


def strip_path(target: Path) -> Path:
    """Where the strip of a result's palette goes."""
    return target.with_name(f"{target.stem}-palette.png")


def _palette_length(png: bytes) -> int:
    """How many entries the palette of a PNG file has; its chunk comes right after the header."""
    start = png.index(b"PLTE")
    return int.from_bytes(png[start - 4 : start]) // 3


def _say(message: str) -> None:
    tqdm.write(f"colorcnn: {message}", file=sys.stderr)


def _print(line: str) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name need not be valid text
        sys.stdout.reconfigure(errors="surrogateescape")
    tqdm.write(line, file=sys.stdout)
    sys.stdout.flush()
