"""Time and memory of ``colorcnn dcq build`` over the number of images.

    python tools/dcq_scale.py $COLORCNN_DATA/tiny-imagenet-200-mini runs/scale \
        --classifier resnet9-cifar10

Enlarges the images of a data set (a folder) to JPEG files of 224 x 224 pixels, builds a store of a quarter of
them and one of all, each in a process of its own, and writes ``results.json``: seconds, peak memory and bytes
of both, and the straight line through them, reckoned for 1.2 million images. What is done is not done again.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import joblib
from PIL import Image
from tqdm import tqdm

from colorcnn.dcq.storage import read_manifest
from colorcnn.errors import ColorCNNError
from colorcnn.files import write_atomically
from colorcnn.images import find_images, flatten, read_image
from colorcnn.records import Clock, Record

MANY = 1_200_000


def enlarge(files: list[Path], source: Path, folder: Path, side: int) -> None:
    """Write a JPEG file of ``side`` x ``side`` pixels for every image, by the same path below ``folder``."""

    def one(path: Path) -> None:
        out = (folder / path.relative_to(source)).with_suffix(".jpg")
        if out.exists():
            return
        buffer = io.BytesIO()
        picture = flatten(read_image(path))
        picture.resize((side, side), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out, buffer.getvalue())

    work = (joblib.delayed(one)(path) for path in tqdm(files, desc="Enlarging", disable=None))
    joblib.Parallel(n_jobs=-1, prefer="threads")(work)


def measure(data: Path, store: Path, options: list[str]) -> dict[str, Any]:
    """Build a store in a process of its own.

    Returns:
        ``images``, ``wall_seconds``, ``cpu_seconds``, ``peak_bytes`` of memory, and ``coded`` and ``source``
        bytes of the store and of the files it was built from.

    Raises:
        ColorCNNError: the build failed.
    """
    command = [sys.executable, "-m", "colorcnn", "dcq", "build", str(data), "-o", str(store), *options]
    start = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise ColorCNNError(f"The build of {data} failed: see above what it said.")
    manifest = read_manifest(store)
    return {
        "images": manifest.images,
        "wall_seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_bytes": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        "coded": manifest.bytes["coded"],
        "source": manifest.bytes["source"],
    }


def once(done: Path, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the result of ``work``, read from the file ``done`` if that exists, else written to it."""
    if not done.exists():
        write_atomically(done, json.dumps(work()).encode())
    return json.loads(done.read_text())


def line_through(few: dict[str, Any], many: dict[str, Any], key: str) -> dict[str, float]:
    """The line through two builds, and its value at :data:`MANY` images."""
    slope = (many[key] - few[key]) / (many["images"] - few["images"])
    start = many[key] - slope * many["images"]
    return {"start": start, "per_image": slope, "at_many": start + slope * MANY}


def main() -> int:
    """Enlarge, build twice, and write the record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", type=Path, help="a data set: a folder of classes, or of train and val")
    parser.add_argument("out", type=Path, help="for the enlarged images, the stores and the record")
    parser.add_argument("--side", type=int, default=224, help="pixels (default: 224)")
    parser.add_argument("--classifier", help="as of colorcnn dcq build")
    options = parser.parse_args()
    try:
        record = measured(options)
        record.write(options.out / "results.json")
    except ColorCNNError as error:
        print(f"dcq_scale: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def measured(options: argparse.Namespace) -> Record:
    """The record of both builds; what a call before has done is taken over."""
    clock = Clock()
    files = find_images(options.images, recursive=True)
    judge = ["--classifier", options.classifier] if options.classifier else []
    # Its attention is for what it predicts: it need not know the classes of these images.
    build = ["--recipe", "paper", "--bits", "2", "--clusters", "20", *judge, *["--predicted"] * bool(judge)]

    def work(name: str, part: list[Path]) -> dict[str, Any]:
        enlarged = options.out / f"{name}-{options.side}"
        enlarge(part, options.images, enlarged, options.side)
        return measure(enlarged, options.out / name, [*build, "--force"])

    parts = {"quarter": files[::4], "whole": files}
    rows = [once(options.out / f"{name}.json", partial(work, name, part)) for name, part in parts.items()]
    lines = {key: line_through(*rows, key) for key in ("wall_seconds", "cpu_seconds", "peak_bytes")}
    metrics = {"dcq_scale": rows, "side": options.side, "lines": lines, "many": MANY}
    told = [options.images.name, options.out.name, "--side", str(options.side), *judge]
    return clock.record(
        " ".join(["python tools/dcq_scale.py", *told]),
        n=rows[-1]["images"],
        metrics=metrics,
        config={"build": build},
        seeds={"build": 0},
    )


if __name__ == "__main__":
    sys.exit(main())
