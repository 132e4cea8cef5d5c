"""The input and output files of ``colorcnn quantize``, decided before any work."""

from __future__ import annotations

import os
import re
import stat
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from colorcnn.commands.quantize.options import QuantizeOptions
from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.files import cure
from colorcnn.images import find_images, num_frames, read_bounded

STDIN = "standard input"


@dataclass(frozen=True)
class Job:
    """An image, and an output file for each requested frame. None is standard input or output."""

    source: Path | None
    content: Path | bytes
    """The path, or the bytes that came from standard input or another pipe, which can be read only once."""
    targets: tuple[Path | None, ...]

    @property
    def name(self) -> str:
        """The image's name in messages."""
        return STDIN if self.source is None else str(self.source)

    def num_bytes(self) -> int:
        """Return the size of the image's file."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size

    def files(self, strip: bool) -> list[Path]:
        """Return all output files of this image.

        Args:
            strip: True to include the images of palettes.
        """
        found = [target for target in self.targets if target is not None]
        return found + ([strip_path(target) for target in found] if strip else [])


@dataclass
class Plan:
    """The images to work on, and the inputs that failed already."""

    jobs: list[Job] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failures: list[tuple[str, ColorCNNError]] = field(default_factory=list)


def strip_path(target: Path) -> Path:
    """Return the path for the image of a result's palette."""
    return target.with_name(f"{target.stem}-palette.png")


def make_plan(options: QuantizeOptions, data: bytes) -> Plan:
    """Expand the folders and name the results.

    Args:
        options: the command line's options.
        data: the bytes from standard input.

    Raises:
        UsageError: there are several images, and ``-o`` names one file.
    """
    for name in (options.output, options.out_dir, options.suffix):
        if "\0" in str(name):
            raise UsageError("The name of a result has a null byte: choose another.")
    plan = Plan()
    jobs: dict[str | None, Job] = {}
    for text in options.inputs:
        try:
            expanded = _expand(text, options, plan.notes)
        except (ColorCNNError, OSError) as error:
            plan.failures.append((text, unreadable(text, error)))
            continue
        for source, folder in expanded:
            key = None if source is None else os.path.realpath(source)
            if key in jobs:
                continue
            name = STDIN if source is None else str(source)
            try:
                content = data if source is None else _content(source)
                jobs[key] = Job(source, content, _targets(source, content, folder, options))
            except (ColorCNNError, OSError) as error:
                plan.failures.append((name, unreadable(name, error)))
    if options.output is not None and len(jobs) + len(plan.failures) > 1:
        raise UsageError("-o names one file and there are several pictures: use --out-dir.")
    clashes = dict(_clashes(list(jobs.values()), options.strip))
    plan.failures += [(job.name, clashes[job.name]) for job in jobs.values() if job.name in clashes]
    plan.jobs = [job for job in jobs.values() if job.name not in clashes]
    return plan


def unreadable(name: str, error: ColorCNNError | OSError) -> ColorCNNError:
    """Return a ColorCNNError for an error of the system. A ColorCNNError is returned unchanged.

    Args:
        name: name of the image.
        error: the error.
    """
    if isinstance(error, ColorCNNError):
        return error
    advice = cure(error, "check its access rights")
    return ColorCNNError(f"{name} could not be read ({error.strerror or error}): {advice}.")


def _expand(text: str, options: QuantizeOptions, notes: list[str]) -> list[tuple[Path | None, Path]]:
    """Return the images of an argument, each with the folder that its output path is relative to."""
    if text == "-":
        return [(None, Path())]
    path = Path(text)
    if not os.path.isdir(path):
        return [(path, path.parent)]
    found = find_images(path, recursive=options.recursive)
    out_dir = os.path.realpath(options.out_dir) if options.out_dir is not None else None
    if out_dir is not None and out_dir != os.path.realpath(path):
        found = [file for file in found if Path(out_dir) not in Path(os.path.realpath(file)).parents]
    kept = _without_results(found, options)
    if len(kept) < len(found):
        notes.append(f"{len(found) - len(kept)} earlier results in {path} are left out.")
    if not kept:
        advice = "name another" if options.recursive else "name another, or look below it with --recursive"
        raise ColorCNNError(f"{path} is a folder without pictures: {advice}.")
    return [(file, path) for file in kept]


def _content(source: Path) -> Path | bytes:
    """Return the path, or the bytes if the path is a pipe such as `<(command)`."""
    try:
        if stat.S_ISFIFO(os.stat(source).st_mode):
            with source.open("rb") as stream:
                return read_bounded(stream, str(source))
    except (OSError, ValueError):
        pass  # the image loader reports it
    return source


def _without_results(files: list[Path], options: QuantizeOptions) -> list[Path]:
    """Leave out files such as a-c4.png beside a.jpg, which are results of an earlier run."""
    originals = defaultdict(set)
    for file in files:
        originals[file.with_suffix("")].add(file.suffix)

    def is_result(file: Path) -> bool:
        match = re.fullmatch(r"(.+)-c\d+(-frame\d+)?(-palette)?\.png", file.name)
        if match is not None and file.with_name(match[1]) in originals:
            return True
        if not options.suffix:
            return False
        stem = re.sub(r"(-frame\d+)?(-palette)?$", "", file.stem)
        return any(
            options.name_of(place.name, ending) == stem
            for place, endings in originals.items()
            if place.parent == file.parent and stem.startswith(place.name)
            for ending in endings
        )

    return [file for file in files if not is_result(file)]


def _targets(
    source: Path | None, content: Path | bytes, folder: Path, options: QuantizeOptions
) -> tuple[Path | None, ...]:
    if options.output is not None:
        return (None if options.output == "-" else Path(options.output),)
    if source is None and options.out_dir is None:
        return (None,)
    place = Path("stdin") if source is None else source.with_suffix("")
    if options.out_dir is not None:
        place = options.out_dir / (place if source is None else place.relative_to(folder))
    stem = options.name_of(place.name, "" if source is None else source.suffix)
    count = 1
    if options.all_frames:
        name = STDIN if source is None else str(source)
        count = num_frames(content, max_pixels=options.max_pixels, name=name)
    if count == 1:
        return (place.with_name(f"{stem}.png"),)
    digits = max(3, len(str(count)))
    return tuple(place.with_name(f"{stem}-frame{frame:0{digits}}.png") for frame in range(1, count + 1))


def _clashes(jobs: list[Job], strip: bool) -> Iterator[tuple[str, ColorCNNError]]:
    """Yield the images whose results would overwrite each other or another input, with an error."""
    writers: dict[str, list[Job]] = defaultdict(list)
    sources = {os.path.realpath(job.source): job for job in jobs if job.source is not None}
    for job in jobs:
        for file in job.files(strip):
            writers[os.path.realpath(file)].append(job)
    for job in jobs:
        for file in job.files(strip):
            key = os.path.realpath(file)
            others = [other.name for other in writers[key] if other is not job]
            if others:
                yield (
                    job.name,
                    ColorCNNError(
                        f"{job.name} and {others[0]} would both become {file}: use different names with "
                        "--suffix '-{ext}-c{colors}', rename one, or quantize it by itself with -o."
                    ),
                )
                break
            if sources.get(key, job) is not job:
                yield (
                    job.name,
                    ColorCNNError(
                        f"{job.name} would become {file}, another input: leave that out, or use --out-dir."
                    ),
                )
                break
