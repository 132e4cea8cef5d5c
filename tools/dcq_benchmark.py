"""Time, memory and size of ``colorcnn dcq build`` on a whole training set, and how fast its stores are read.

    python tools/dcq_benchmark.py cifar10-jpeg runs/dcq-benchmark --classifier resnet9-cifar10

Builds a store for each number of bits, in a process of its own, reads random batches of 256 images from it
and from the files it was made of, and writes ``results.json``. What is done is not done again.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from dcq_scale import measure, once

from colorcnn.data.datamodule import DATASETS, open_data
from colorcnn.data.quantized import training_images
from colorcnn.dcq.storage import Store
from colorcnn.errors import ColorCNNError
from colorcnn.records import Clock, Record

BATCH = 256
BATCHES = 40


def main() -> int:
    """Build, read, and write the record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", help="a data set of image files: a folder, or its name below the data root")
    parser.add_argument("out", type=Path, help="for the stores and the record")
    parser.add_argument("--bits", type=int, nargs="+", default=[1, 2, 3], help="q (default: 1 2 3)")
    parser.add_argument("--clusters", type=int, default=20, help="as of colorcnn dcq build (default: 20)")
    parser.add_argument("--classifier", help="as of colorcnn dcq build")
    options = parser.parse_args()
    try:
        measured(options).write(options.out / "results.json")
    except ColorCNNError as error:
        print(f"dcq_benchmark: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def measured(options: argparse.Namespace) -> Record:
    """The record of all stores; what a call before has done is taken over."""
    clock = Clock()
    build = ["--clusters", str(options.clusters)]
    build += ["--classifier", options.classifier] if options.classifier else []

    def work(bits: int) -> dict[str, Any]:
        store = options.out / f"store-{bits}"
        built = measure(options.data, store, ["--bits", str(bits), *build, "--force"])
        return {"bits": bits, **built, **reading(options.data, store)}

    rows = [once(options.out / f"{bits}.json", partial(work, bits)) for bits in options.bits]
    words = ["python tools/dcq_benchmark.py", options.data, options.out.name, *build]
    return clock.record(
        " ".join(words),
        n=rows[0]["images"],
        metrics={"dcq_stores": rows, "batch": BATCH, "batches": BATCHES},
        config={"build": build},
        seeds={"build": 0, "batches": 0},
    )


def reading(data: str, store: Path) -> dict[str, Any]:
    """Milliseconds of CPU for random batches: medians, of the store and of the files, read by turns."""
    # The build took every image of a folder that has no test split, so none is set aside here either.
    files = open_data(data) if data in DATASETS else open_data(data, test_size=0)
    sources: dict[str, Callable[[np.ndarray], Any]] = {
        "store_milliseconds": Store(store).read,
        "files_milliseconds": training_images(files).read,
    }
    random = np.random.default_rng(0)
    count = len(Store(store))
    seconds: dict[str, list[float]] = {name: [] for name in sources}
    for number in range(BATCHES + 1):
        rows = random.permutation(count)[:BATCH]
        for name, read in sources.items():
            start = time.process_time()
            read(rows)
            if number:  # the first of each warms up
                seconds[name].append(time.process_time() - start)
    return {name: round(1000 * statistics.median(times), 2) for name, times in seconds.items()}


if __name__ == "__main__":
    sys.exit(main())
