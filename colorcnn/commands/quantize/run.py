"""The work of ``colorcnn quantize``: read, quantize and write images, and report."""

from __future__ import annotations

import io
import json
import os
import sys
import time
import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from colorcnn.alpha import index_visible
from colorcnn.commands.console import Results, say
from colorcnn.commands.messages import CURES
from colorcnn.commands.quantize.advice import advice
from colorcnn.commands.quantize.jobs import Job, make_plan, strip_path, unreadable
from colorcnn.commands.quantize.options import CLASSICAL_PIXELS, QuantizeOptions, parse
from colorcnn.commands.quantize.quality import BELOW_QUALITY, LARGER, largest_error, quality_of
from colorcnn.commands.quantize.quantizer import build_quantizer, with_palette
from colorcnn.commands.quantize.reduce import Reduced, read_pixels, reduce
from colorcnn.errors import ColorCNNError, FileExists, UsageError, apply_cure
from colorcnn.files import is_taken, write_atomically
from colorcnn.images import LEARNED_PIXELS, frames, num_frames, read_bounded, read_image
from colorcnn.methods import needs_torch, parse_method, takes_large_images
from colorcnn.pretrained import find_device
from colorcnn.quantizers import Dithered


class Session:
    """One run of the command: its options, the quantizer, and counts of results."""

    def __init__(self, options: QuantizeOptions, quantizer: Any) -> None:
        self.options = options
        self.quantizer = quantizer
        self.device = options.device
        self.results = Results()
        self.advised = False
        self.done = self.failed = self.existing = self.larger = self.below = 0

    @property
    def status(self) -> int:
        """The exit status."""
        if self.failed:
            return ColorCNNError.exit_code
        return BELOW_QUALITY if self.below else LARGER if self.larger else 0

    def fail(self, name: str, error: ColorCNNError) -> None:
        """Report an image that could not be quantized. The work on others continues.

        Args:
            name: name of the image.
            error: the problem and its cure.
        """
        self.failed += 1
        apply_cure(error, CURES)
        say(f"error: {error}")
        if self.options.json:
            self.results.print(json.dumps({"input": name, "error": str(error)}))

    def leave_out(self, job: Job, reason: str, message: str = "") -> None:
        """Report an image that is skipped because of an option.

        Args:
            job: the image and its output.
            reason: a short reason for the list of results.
            message: a sentence for the terminal; empty for none.
        """
        if message:
            say(f"note: {message}")
        if self.options.json:
            self.results.print(json.dumps({"input": _input(job), "skipped": reason}))

    def run(self, jobs: list[Job]) -> None:
        """Quantize all images, with a progress bar on a terminal."""
        if self.options.shared_palette:
            jobs = self._share(jobs)
        total = sum(len(job.targets) for job in jobs)
        with tqdm(total=total, unit="image", disable=None, leave=total > 1) as bar:
            for job in jobs:
                try:
                    self._quantize_all(job, bar)
                except (ColorCNNError, OSError) as error:
                    self.fail(job.name, unreadable(job.name, error))

    def _share(self, jobs: list[Job]) -> list[Job]:
        """Design one palette for all images. Return the jobs whose images could be read."""
        from colorcnn.quantizers.designed import Designed
        from colorcnn.quantizers.palettes import SharedPalette

        quantizer = self.quantizer.quantizer if isinstance(self.quantizer, Dithered) else self.quantizer
        shared = SharedPalette(quantizer, self.options.colors or 256)
        readable = []
        for job in tqdm(jobs, unit="image", desc="palette", disable=None, leave=False):
            try:
                for picture in self._read(job, warn=False):
                    pixels = read_pixels(picture, self.options)
                    if pixels.transparent is not None:
                        shared.num_colors = min(shared.num_colors, 255)
                    if isinstance(quantizer, Designed):
                        shared.show(pixels.colors[pixels.visible])
                    else:
                        result = index_visible(
                            quantizer, pixels.colors, pixels.visible, shared.num_colors, self.device
                        )
                        shared.show_quantized(result, pixels.visible)
                readable.append(job)
            except (ColorCNNError, OSError) as error:
                self.fail(job.name, unreadable(job.name, error))
        if readable:
            self.quantizer = with_palette(self.quantizer, shared.design())
            self.device = "cpu"
        return readable

    def _quantize_all(self, job: Job, bar: tqdm) -> None:
        options = self.options
        files = job.files(options.strip)
        taken = [] if options.force else [file for file in files if is_taken(file)]
        if taken and len(taken) == len(files):
            if not options.skip_existing:
                raise FileExists.at(taken[0])
            self.existing += 1
            self.leave_out(job, "exists")
            bar.update(len(job.targets))
            return
        # If only some files exist, an earlier run was interrupted, and this run completes it.
        for frame, (target, picture) in enumerate(zip(job.targets, self._read(job)), 1):
            report = self._quantize(job, target, picture)
            bar.update()
            if report is None:
                continue
            if options.all_frames:
                report["frame"] = frame
            if options.json:
                self.results.print(json.dumps(report))
            elif target is not None:
                self.results.print(str(target))
            self.done += 1

    def _read(self, job: Job, *, warn: bool = True) -> Iterable[Image.Image]:
        max_pixels = self.options.max_pixels
        if self.options.all_frames:
            return frames(job.content, max_pixels=max_pixels, name=job.name)
        count = num_frames(job.content, max_pixels=max_pixels, name=job.name)
        if count > 1 and warn:
            say(f"warning: {job.name} has {count} frames and only the first is used: --all-frames uses all.")
        return [read_image(job.content, max_pixels=max_pixels, name=job.name)]

    def _quantize(self, job: Job, target: Path | None, picture: Image.Image) -> dict[str, Any] | None:
        """Write one image and return its report, or None if the image is skipped."""
        start = time.perf_counter()
        if not self.advised and (found := advice(self.options, picture.size)):
            self.advised = True
            say(f"note: {job.name} is {picture.width} x {picture.height}: {found}")
        reduced = self._reduce(job, picture)
        if self._is_left_out(job, reduced):
            return None
        if target is None:
            self.results.write(reduced.png)
        else:
            self._write(target, reduced.png)
            if self.options.strip and len(reduced.palette):
                from colorcnn.quantizers.palettes import palette_strip

                buffer = io.BytesIO()
                palette_strip(reduced.palette).save(buffer, "PNG")
                self._write(strip_path(target), buffer.getvalue())
        report = {
            "input": _input(job),
            "output": "-" if target is None else str(target),
            "method": self.options.method,
            "width": picture.width,
            "height": picture.height,
            "colors": len(reduced.palette),
            "transparent": reduced.transparent,
            "bits": reduced.bits,
            "bytes": len(reduced.png),
            "seconds": round(time.perf_counter() - start, 3),
        }
        if self.options.quality is not None:
            report |= {"quality": quality_of(reduced.error), "mse": round(reduced.error, 8)}
        return report

    def _reduce(self, job: Job, picture: Image.Image) -> Reduced:
        try:
            pixels = read_pixels(picture, self.options)
            return reduce(pixels, self.quantizer, self.options, self.device)
        except ColorCNNError as error:
            if error.code == "too-little-memory":
                raise ColorCNNError(f"{job.name}: {error.problem}", error.cure) from error
            raise
        except (MemoryError, RuntimeError) as error:  # torch has several errors for full memory
            if "memory" not in str(error).lower() and not isinstance(error, MemoryError):
                raise
            raise ColorCNNError(
                f"{job.name} ({picture.width} x {picture.height}) does not fit into memory: "
                "scale it down, or use a classical method."
            ) from error

    def _is_left_out(self, job: Job, reduced: Reduced) -> bool:
        limits = self.options.quality
        if limits is not None and reduced.error > largest_error(limits.least):
            self.below += 1
            found = f"{job.name} reaches quality {quality_of(reduced.error)}, below {limits.least}"
            self.leave_out(job, "quality", f"{found}: it is not written.")
            return True
        if self.options.skip_if_larger and len(reduced.png) > (size := job.num_bytes()):
            self.larger += 1
            found = f"{job.name} would become {len(reduced.png)} bytes, more than its {size}"
            self.leave_out(job, "larger", f"{found}: it is not written.")
            return True
        return False

    def _write(self, path: Path, data: bytes) -> None:
        """Write a file, unless an earlier, unfinished run has written it."""
        if self.options.force or not is_taken(path):
            write_atomically(path, data, overwrite=self.options.force)
        elif not self.options.skip_existing and not (path.is_file() and path.read_bytes() == data):
            raise FileExists.at(path)


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
    model = quantizer.quantizer if isinstance(quantizer, Dithered) else quantizer
    sizes = getattr(model, "trained_sizes", ())
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


def _input(job: Job) -> str:
    return "-" if job.source is None else str(job.source)
