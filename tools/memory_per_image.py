"""Memory that grows with the number of images, of ``fit``, ``evaluate`` and ``dcq build``.

    python tools/memory_per_image.py runs/memory

Makes data sets of small images, runs each command on a few and on many of them in a process of its own, and
writes ``results.json``: the peak of the memory that belongs to the process alone, and the straight line
through both. Pages of files, such as cached pixels and imitation targets, are not counted: the system drops
them when memory is short. The size of the images does not matter, because pixels are never in memory
together. What is done is not done again. Linux only.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import tracemalloc
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dcq_scale import line_through, once
from PIL import Image
from torch import nn
from tqdm import tqdm

from colorcnn.data.folders import ImageFolder
from colorcnn.errors import ColorCNNError
from colorcnn.records import Clock, Record

SIDE = 16
CLASSES = 10
COLORS = ("2", "16")
_PAUSE = 0.02  # seconds between two looks at a process

FIT = f"""
kind: fit
model:
  class_path: ColorCNNTask
  init_args:
    classifiers: [memory_per_image:classifier]
    sizes: [{", ".join(COLORS)}]
    quantizer_kwargs:
      backbone: dncnn
      backbone_kwargs: {{width: 4, depth: 2}}
      bottleneck: 0
      feature_channels: 16
data:
  class_path: ImageFolder
  init_args: {{batch_size: 128, val_size: 100, test_size: 100}}
trainer: {{max_epochs: 1, accelerator: cpu, precision: 32-true}}
"""


def classifier(num_classes: int = CLASSES) -> nn.Module:
    """Return a small network with fixed weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.LazyLinear(num_classes)
        )
        network(torch.zeros(1, 3, SIDE, SIDE))
    network.num_classes = num_classes
    return network


def make_images(folder: Path, count: int) -> None:
    """Write PNG files of noise in folders of classes; those that exist are kept."""
    random = np.random.default_rng(0)
    for number in tqdm(range(count), desc=f"{count} images", disable=None):
        path = folder / "train" / str(number % CLASSES) / f"{number:07}.png"
        pixels = random.integers(256, size=(SIDE, SIDE, 3), dtype=np.uint8)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)


def commands(data: Path, out: Path) -> dict[str, list[str]]:
    """Return name -> command line of each measured command.

    Args:
        data: the images.
        out: folder of their results.
    """
    (out / "fit.yaml").write_text(FIT)
    own = ["--allow-module", "memory_per_image", "--data.init_args.path", str(data)]
    fit = ["fit", "--config", str(out / "fit.yaml"), "--name", "memory", "--force", *own]
    judge = ["--split", "all", "--classifier", "memory_per_image:classifier"]
    build = ["dcq", "build", str(data), "--bits", "2", "--force"]
    return {
        "fit": fit,
        "fit, cache false": [*fit, "--data.init_args.cache", "false"],
        "evaluate": ["evaluate", str(data), *judge, "--methods", "wu", "--colors", ",".join(COLORS)],
        "dcq build": [*build, "-o", str(out / "super")],  # dcq_scale.py measures the recipe paper
    }


def measure(command: list[str], out: Path) -> int:
    """Run a command of colorcnn, and return the peak of its own memory in bytes.

    Raises:
        ColorCNNError: the command failed.
    """
    tools = str(Path(__file__).resolve().parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([tools, os.environ.get("PYTHONPATH", "")])}
    environment["COLORCNN_CACHE"] = str(out / "cache")
    process = subprocess.Popen([sys.executable, "-m", "colorcnn", *command], cwd=out, env=environment)
    peak = 0
    while process.poll() is None:
        peak = max(peak, own_memory(process.pid))
        time.sleep(_PAUSE)
    if process.returncode:
        raise ColorCNNError(f"colorcnn {' '.join(command)} failed: see above what it said.")
    return peak


def held_by_data(data: Path, *, cache: bool) -> int:
    """Return the bytes that an open data set of files holds, by the count of Python's allocator.

    Args:
        data: the images.
        cache: True to map the decoded pixels of a file, False to decode files for every batch.
    """
    tracemalloc.start()
    try:
        module = ImageFolder(str(data), val_size=0.1, test_size=0.1, cache=cache)
        parts = module.train, module.val, module.test
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert sum(map(len, parts))
    return held


def own_memory(process: int) -> int:
    """Return the bytes of memory of a process that are no pages of files; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon")), 0)


def measured_row(count: int, command: list[str], out: Path) -> dict[str, Any]:
    """Return the peak of a command for a number of images."""
    return {"images": count, "peak_bytes": measure(command, out)}


def measured(out: Path, counts: list[int]) -> Record:
    """Measure all commands at both numbers of images; measurements of an earlier call are kept."""
    clock = Clock()
    rows: dict[str, list[dict[str, Any]]] = {}
    for count in counts:
        folder = (out / str(count)).resolve()
        data = folder / "images"
        make_images(data, count)
        for name, cache in (("data set", True), ("data set, cache false", False)):
            peak = held_by_data(data, cache=cache)
            rows.setdefault(name, []).append({"images": count, "peak_bytes": peak})
        for name, command in commands(data, folder).items():
            done = folder / f"{name.replace(' ', '-')}.json"
            rows.setdefault(name, []).append(once(done, partial(measured_row, count, command, folder)))
    memory = {name: {"rows": both, **line_through(*both, "peak_bytes")} for name, both in rows.items()}
    return clock.record(
        " ".join(["python tools/memory_per_image.py", out.name, *map(str, counts)]),
        n=counts[-1],
        metrics={"memory_per_image": memory, "colors": list(COLORS)},
        config={"side": SIDE, "classes": CLASSES},
    )


def main() -> int:
    """Measure, and write the record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="for the images, the runs and the record")
    parser.add_argument("counts", type=int, nargs="*", default=[2000, 8000], help="two numbers of images")
    options = parser.parse_args()
    try:
        measured(options.out, options.counts).write(options.out / "results.json")
    except ColorCNNError as error:
        print(f"memory_per_image: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
