"""One run of ``colorcnn quantize``: threads read, quantize and encode; reports keep their order."""

from __future__ import annotations

import contextlib
import io
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image
from tqdm import tqdm

from colorcnn.alpha import index_visible
from colorcnn.commands.console import Results, say
from colorcnn.commands.messages import CURES
from colorcnn.commands.quantize.advice import advice
from colorcnn.commands.quantize.in_order import in_order, in_workers
from colorcnn.commands.quantize.jobs import Job, strip_path, unreadable
from colorcnn.commands.quantize.options import QuantizeOptions
from colorcnn.commands.quantize.quality import BELOW_QUALITY, LARGER, largest_error, quality_of
from colorcnn.commands.quantize.quantizer import with_palette
from colorcnn.commands.quantize.reduce import Pixels, Reduced, read_pixels, reduce
from colorcnn.errors import ColorCNNError, FileExists, apply_cure
from colorcnn.files import is_taken, write_atomically
from colorcnn.images import frames, read_header, read_image
from colorcnn.parallel import connected
from colorcnn.quantizers.base import is_network
from colorcnn.quantizers.dithered import undithered

Reader = Callable[[], Image.Image]


class Encoded(NamedTuple):
    """The result for one image or frame."""

    size: tuple[int, int]
    reduced: Reduced
    png: bytes
    seconds: float


@dataclass(frozen=True)
class Frame:
    """One image of a job. Its result goes to ``target``; ``number`` counts the frames of the job from 1."""

    job: Job
    number: int
    target: Path | None
    warning: str = ""


class Session:
    """One run of the command: its options, the quantizer, and counts of results."""

    def __init__(self, options: QuantizeOptions, quantizer: Any) -> None:
        self.options = options
        self.quantizer = quantizer
        self.device = options.device
        self.results = Results()
        self.advised = False
        self.done = self.failed = self.existing = self.larger = self.below = 0
        self._model_turn: Any = contextlib.nullcontext()
        if is_network(undithered(quantizer)):
            self._model_turn = threading.Lock()  # one network uses all cores, or the GPU, by itself

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a worker, which prints nothing and has no network."""
        return {**vars(self), "results": None, "_model_turn": contextlib.nullcontext()}

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
        """Quantize all images, with a progress bar on a terminal; write and report them in order."""
        if self.options.shared_palette:
            jobs = self._share(jobs)
        total = sum(len(job.targets) for job in jobs)
        failed: set[str] = set()
        with (
            connected(self.options.parallel),
            tqdm(total=total, unit="image", disable=None, leave=total > 1) as bar,
        ):
            calls = self._calls(jobs)
            results = in_workers(calls) if self.options.parallel else in_order(calls, _workers(total))
            for frame, result in results:
                if frame.job.name in failed:  # an earlier frame failed
                    continue
                try:
                    encoded = result()
                    if encoded is None:
                        self.existing += 1
                        self.leave_out(frame.job, "exists")
                    else:
                        self._finish(frame, encoded)
                    bar.update(1 if encoded else len(frame.job.targets))
                except (ColorCNNError, OSError) as error:
                    failed.add(frame.job.name)
                    self.fail(frame.job.name, unreadable(frame.job.name, error))

    def _calls(self, jobs: list[Job]) -> Iterator[tuple[Frame, int, Callable[[], Encoded | None]]]:
        """Yield the frames of all images, their numbers of pixels, and the work on them.

        The work returns None if the results of the image exist and are skipped.
        """
        for job in jobs:
            files = [] if self.options.force else job.files(self.options.strip)
            # If only some files exist, an earlier run was interrupted, and this run completes it.
            if files and all(is_taken(file) for file in files):
                there = _raiser(FileExists.at(files[0]))
                yield Frame(job, 1, files[0]), 0, _nothing if self.options.skip_existing else there
                continue
            for frame, pixels, read in self._frames(job):
                yield frame, pixels, partial(self._encode, job, read)

    def _frames(self, job: Job) -> Iterator[tuple[Frame, int, Reader]]:
        """Yield the frames of an image, their numbers of pixels, and functions that read them.

        An image that cannot be opened yields one frame, whose function raises the error.
        """
        frame, limit = Frame(job, 1, job.targets[0]), self.options.max_pixels
        try:
            width, height, count = read_header(job.content, max_pixels=limit, name=job.name)
            self._advise(job, width, height)
            if self.options.all_frames:
                pictures = frames(job.content, max_pixels=limit, name=job.name)
                for number, (target, picture) in enumerate(zip(job.targets, pictures), 1):
                    frame = Frame(job, number, target)
                    yield frame, width * height, partial(_same, picture)
                return
        except (ColorCNNError, OSError) as error:
            yield frame, 0, _raiser(error)
            return
        if count > 1:
            text = f"{job.name} has {count} frames and only the first is used: --all-frames uses all."
            frame = Frame(job, 1, job.targets[0], f"warning: {text}")
        content = job.content  # a worker may have another working folder
        content = content.absolute() if isinstance(content, Path) and self.options.parallel else content
        yield frame, width * height, partial(read_image, content, max_pixels=limit, name=job.name)

    def _advise(self, job: Job, width: int, height: int) -> None:
        if not self.advised and (found := advice(self.options, (width, height))):
            self.advised = True
            say(f"note: {job.name} is {width} x {height}: {found}")

    def _share(self, jobs: list[Job]) -> list[Job]:
        """Design one palette for all images. Return the jobs whose images could be read."""
        from colorcnn.quantizers.palettes import SharedPalette

        shared = SharedPalette(undithered(self.quantizer), self.options.colors or 256)
        failed: set[str] = set()
        with tqdm(total=len(jobs), unit="image", desc="palette", disable=None, leave=False) as bar:
            for frame, read in in_order(self._pixels(jobs), _workers(len(jobs))):
                if frame.job.name in failed:
                    continue
                try:
                    self._show(shared, read())
                except (ColorCNNError, OSError) as error:
                    failed.add(frame.job.name)
                    self.fail(frame.job.name, unreadable(frame.job.name, error))
                bar.update(frame.number == 1)
        readable = [job for job in jobs if job.name not in failed]
        if readable:
            self.quantizer = with_palette(self.quantizer, shared.design())
            self.device = "cpu"
            self._model_turn = contextlib.nullcontext()
        return readable

    def _pixels(self, jobs: list[Job]) -> Iterator[tuple[Frame, int, Callable[[], Pixels]]]:
        """Yield the frames of all images, their numbers of pixels, and functions that read their pixels."""
        for job in jobs:
            for frame, pixels, read in self._frames(job):
                yield frame, pixels, partial(self._read, read)

    def _read(self, read: Reader) -> Pixels:
        return read_pixels(read(), self.options)

    def _show(self, shared: Any, pixels: Pixels) -> None:
        """Add the visible pixels of an image to a shared palette."""
        from colorcnn.quantizers.designed import Designed

        if pixels.transparent is not None:
            shared.num_colors = min(shared.num_colors, 255)
        if isinstance(shared.quantizer, Designed):
            shared.show(pixels.colors[pixels.visible])
            return
        result = index_visible(
            shared.quantizer, pixels.colors, pixels.visible, shared.num_colors, self.device
        )
        shared.show_quantized(result, pixels.visible)

    def _encode(self, job: Job, read: Reader) -> Encoded:
        """Read, quantize and encode one image. It runs in a thread."""
        try:
            pixels = self._read(read)
            with self._model_turn:
                start = time.perf_counter()
                reduced = self._reduce(job, pixels)
                seconds = time.perf_counter() - start
            start = time.perf_counter()
            png = reduced.encode()
        except MemoryError as error:
            raise ColorCNNError(f"{job.name} does not fit into memory: scale it down first.") from error
        height, width = pixels.visible.shape
        reduced = replace(reduced, encode=_no_bytes)  # its pixels are not needed any more
        return Encoded((width, height), reduced, png, seconds + time.perf_counter() - start)

    def _finish(self, frame: Frame, encoded: Encoded) -> None:
        """Write the result of one image and report it."""
        start, job, reduced = time.perf_counter(), frame.job, encoded.reduced
        if frame.warning:
            say(frame.warning)
        if self._is_left_out(job, encoded):
            return
        if frame.target is None:
            self.results.write(encoded.png)
        else:
            self._write(frame.target, encoded.png)
            if self.options.strip and len(reduced.palette):
                self._write(strip_path(frame.target), _strip(reduced))
        self.done += 1
        if self.options.json:
            self.results.print(json.dumps(self._report(frame, encoded, time.perf_counter() - start)))
        elif frame.target is not None:
            self.results.print(str(frame.target))

    def _report(self, frame: Frame, encoded: Encoded, writing: float) -> dict[str, Any]:
        reduced = encoded.reduced
        report = {
            "input": _input(frame.job),
            "output": "-" if frame.target is None else str(frame.target),
            "method": self.options.method,
            "width": encoded.size[0],
            "height": encoded.size[1],
            "colors": len(reduced.palette),
            "transparent": reduced.transparent,
            "bits": encoded.png[24],  # of the header
            "bytes": len(encoded.png),
            "seconds": round(encoded.seconds + writing, 3),
        }
        if self.options.quality is not None:
            report |= {"quality": quality_of(reduced.error), "mse": round(reduced.error, 8)}
        return report | ({"frame": frame.number} if self.options.all_frames else {})

    def _reduce(self, job: Job, pixels: Pixels) -> Reduced:
        try:
            return reduce(pixels, self.quantizer, self.options, self.device)
        except ColorCNNError as error:
            if error.code == "too-little-memory":
                raise ColorCNNError(f"{job.name}: {error.problem}", error.cure) from error
            raise
        except (MemoryError, RuntimeError) as error:  # torch has several errors for full memory
            if "memory" not in str(error).lower() and not isinstance(error, MemoryError):
                raise
            height, width = pixels.visible.shape
            raise ColorCNNError(
                f"{job.name} ({width} x {height}) does not fit into memory: "
                "scale it down, or use a classical method."
            ) from error

    def _is_left_out(self, job: Job, encoded: Encoded) -> bool:
        limits, reduced = self.options.quality, encoded.reduced
        if limits is not None and reduced.error > largest_error(limits.least):
            self.below += 1
            found = f"{job.name} reaches quality {quality_of(reduced.error)}, below {limits.least}"
            self.leave_out(job, "quality", f"{found}: it is not written.")
            return True
        if self.options.skip_if_larger and len(encoded.png) > (size := job.num_bytes()):
            self.larger += 1
            found = f"{job.name} would become {len(encoded.png)} bytes, more than its {size}"
            self.leave_out(job, "larger", f"{found}: it is not written.")
            return True
        return False

    def _write(self, path: Path, data: bytes) -> None:
        """Write a file, unless an earlier, unfinished run has written it."""
        if self.options.force or not is_taken(path):
            write_atomically(path, data, overwrite=self.options.force)
        elif not self.options.skip_existing and not (path.is_file() and path.read_bytes() == data):
            raise FileExists.at(path)


def _workers(images: int) -> int:
    """Return the number of threads for a number of images."""
    return min(images, os.cpu_count() or 1)


def _same(value: Any) -> Any:
    return value


def _nothing() -> None:
    return None


def _raiser(error: Exception) -> Callable[[], Any]:
    """Return a function that raises an error."""
    return partial(_raise, error)


def _raise(error: Exception) -> Any:
    raise error


def _no_bytes() -> bytes:
    return b""


def _strip(reduced: Reduced) -> bytes:
    """Return the PNG file of a palette."""
    from colorcnn.quantizers.palettes import palette_strip

    buffer = io.BytesIO()
    palette_strip(reduced.palette).save(buffer, "PNG")
    return buffer.getvalue()


def _input(job: Job) -> str:
    return "-" if job.source is None else str(job.source)
