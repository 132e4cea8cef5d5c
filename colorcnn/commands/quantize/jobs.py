"""Which pictures ``colorcnn quantize`` reads and which files it writes, settled before any work is done."""

from __future__ import annotations

import argparse
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.images import find_images, num_frames

STDIN = "standard input"


@dataclass(frozen=True)
class Job:
    """A picture, and a file for each of its frames that is wanted; None is standard input or output."""

    source: Path | None
    content: Path | bytes
    """What it is read from: bytes where that can be done only once, from standard input or another pipe."""
    targets: tuple[Path | None, ...]

    @property
    def name(self) -> str:
        """What messages call the picture."""
        return STDIN if self.source is None else str(self.source)


def plan(
    options: argparse.Namespace, data: bytes
) -> tuple[list[Job], list[str], list[tuple[str, ColorCNNError]]]:
    """Expand the folders and name the results.

    Args:
        options: of the command line: inputs, output, out_dir, colors, recursive, all_frames, max_pixels.
        data: what came in on standard input.

    Returns:
        The jobs; notes on what was left out; and each input that fails already, with its error.

    Raises:
        UsageError: two results would get the same name, or one that of a picture still to be read.
    """
    jobs: dict[Path | None, Job] = {}
    notes: list[str] = []
    failures: list[tuple[str, ColorCNNError]] = []
    for text in options.inputs:
        try:
            expanded = _expand(text, options, notes)
        except ColorCNNError as error:
            failures.append((text, error))
            continue
        for source, folder in expanded:
            key = None if source is None else source.resolve()
            if key in jobs:
                continue
            try:
                content = data if source is None else _content(source)
                jobs[key] = Job(source, content, _targets(source, content, folder, options))
            except ColorCNNError as error:
                failures.append((STDIN if source is None else str(source), error))
    if options.output is not None and len(jobs) + len(failures) > 1:
        raise UsageError("-o names one file and there are several pictures: use --out-dir.")
    _refuse_collisions(list(jobs.values()))
    return list(jobs.values()), notes, failures


def _expand(text: str, options: argparse.Namespace, notes: list[str]) -> list[tuple[Path | None, Path]]:
    """The pictures an argument stands for, each with the folder its result's place is relative to."""
    if text == "-":
        return [(None, Path())]
    path = Path(text)
    if not os.path.isdir(path):
        return [(path, path.parent)]
    found = find_images(path, recursive=options.recursive)
    out_dir = options.out_dir.resolve() if options.out_dir is not None else None
    if out_dir is not None and out_dir != path.resolve():
        found = [file for file in found if out_dir not in file.resolve().parents]
    kept = _without_results(found)
    if len(kept) < len(found):
        notes.append(f"{len(found) - len(kept)} earlier results in {path} are left out.")
    if not kept:
        advice = "name another" if options.recursive else "name another, or look below it with --recursive"
        raise ColorCNNError(f"{path} is a folder without pictures: {advice}.")
    return [(file, path) for file in kept]


def _content(source: Path) -> Path | bytes:
    """The path, or what comes out of it where that is a pipe, as `<(command)` makes one."""
    try:
        return source.read_bytes() if stat.S_ISFIFO(os.stat(source).st_mode) else source
    except OSError:
        return source  # the image loader tells what is wrong with it


def _without_results(files: list[Path]) -> list[Path]:
    """Leave out files such as a-c4.png beside a.jpg, so that a second run does not take up the first's."""
    originals = {file.with_suffix("") for file in files}

    def is_result(file: Path) -> bool:
        match = re.fullmatch(r"(.+)-c\d+(-frame\d+)?(-palette)?\.png", file.name)
        return match is not None and file.with_name(match[1]) in originals

    return [file for file in files if not is_result(file)]


def _targets(
    source: Path | None, content: Path | bytes, folder: Path, options: argparse.Namespace
) -> tuple[Path | None, ...]:
    if options.output is not None:
        return (None if options.output == "-" else Path(options.output),)
    if source is None and options.out_dir is None:
        return (None,)
    place = Path("stdin") if source is None else source.with_suffix("")
    if options.out_dir is not None:
        place = options.out_dir / (place if source is None else place.relative_to(folder))
    stem = f"{place.name}-c{options.colors}"
    count = 1
    if options.all_frames:
        name = STDIN if source is None else str(source)
        count = num_frames(content, max_pixels=options.max_pixels, name=name)
    if count == 1:
        return (place.with_name(f"{stem}.png"),)
    digits = max(3, len(str(count)))
    return tuple(place.with_name(f"{stem}-frame{frame:0{digits}}.png") for frame in range(1, count + 1))


def _refuse_collisions(jobs: list[Job]) -> None:
    """Refuse results that would overwrite each other, or a picture that is still to be read."""
    writers: dict[Path, Job] = {}
    sources = {job.source.resolve(): job for job in jobs if job.source is not None}
    for job in jobs:
        for target in job.targets:
            if target is None:
                continue
            key = target.resolve()
            if key in writers:
                raise UsageError(
                    f"{writers[key].name} and {job.name} would both become {target}: "
                    "quantize one of them by itself with -o, or rename it."
                )
            if sources.get(key, job) is not job:
                raise UsageError(
                    f"{job.name} would become {target}, another input: leave that out, or use --out-dir."
                )
            writers[key] = job
