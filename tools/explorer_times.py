"""Time that the explorer takes for an answer, for a small picture and for a photograph of 2 megapixels.

``python tools/explorer_times.py KODAK [--out FILE]`` asks the explorer's server, in this process, for both
pictures in several numbers of colours. Each repeat has another picture, so that nothing is remembered. It
writes a record with the median and the longest time on the clock: run it on a computer that has nothing else
to do.
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from large_pictures import read_kodak
from PIL import Image
from tqdm import tqdm
from werkzeug.test import Client

from colorcnn.errors import ColorCNNError
from colorcnn.explorer.app import App
from colorcnn.explorer.classifying import load_picture_classifier
from colorcnn.explorer.explorer import Explorer
from colorcnn.records import Clock

METHODS = ("palette-attention", "k-means", "median-cut", "wu")
COLORS = (2, 16, 64, 256)
CLASSIFIER = "resnet9-cifar10"
PHOTOGRAPHS = (("03", "23"), ("15", "05"), ("08", "20"))
SIDES = (1536, 1302)  # of a picture of 2 megapixels, put together of six photographs
SMALL = 32
REPEATS = 5
OUT = Path("experiments/results/explorer_times.json")


def pictures(folder: Path, repeats: int) -> dict[str, list[bytes]]:
    """Return PNG files of both sizes, each of ``repeats`` different pictures.

    Args:
        folder: the Kodak photographs.
        repeats: number of pictures.
    """
    photographs = np.vstack([np.hstack([read_kodak(folder, each) for each in row]) for row in PHOTOGRAPHS])
    found: dict[str, list[bytes]] = {}
    for repeat in range(repeats):
        shifted = np.roll(photographs, 61 * repeat, axis=1)[: SIDES[1], : SIDES[0]]
        picture = Image.fromarray(shifted)
        for shown in (picture.resize((SMALL, SMALL), Image.Resampling.BOX), picture):
            file = io.BytesIO()
            shown.save(file, "png", compress_level=1)
            found.setdefault(f"{shown.width} x {shown.height}", []).append(file.getvalue())
    return found


def measured(explorer: Explorer, files: dict[str, list[bytes]]) -> list[dict[str, Any]]:
    """Return the times of all answers, a row for each size of the picture and each method.

    Args:
        explorer: it has loaded all that it needs.
        files: size in words -> PNG files.
    """
    client, rows = Client(App(explorer)), []
    asked = [(size, method) for size in files for method in explorer.methods]
    for size, method in tqdm(asked, disable=None):
        row: dict[str, Any] = {"picture": size, "method": method, "median_ms": {}, "longest_ms": {}}
        for colors in COLORS:
            times = []
            for data in files[size]:
                picture = explorer.add("picture.png", data).id
                body = {"picture": picture, "method": method, "colors": colors, "maps": True}
                start = time.perf_counter()
                answer = client.post("/api/quantized", json=body, headers={"Origin": "http://localhost"})
                times.append(1000 * (time.perf_counter() - start))
                if answer.status_code != 200:
                    raise ColorCNNError(f"{method}: the explorer failed: {answer.text}")
            row["median_ms"][str(colors)] = round(statistics.median(times), 1)
            row["longest_ms"][str(colors)] = round(max(times), 1)
        rows.append(row)
    return rows


def main(argv: list[str] | None = None) -> int:
    """Measure all answers, and write the record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="KODAK", help="folder of the Kodak photographs")
    parser.add_argument("--out", type=Path, default=OUT, help="the record (default: %(default)s)")
    options = parser.parse_args(argv)
    clock = Clock()
    try:
        explorer = Explorer(None, METHODS, load_picture_classifier(CLASSIFIER, None))
        explorer.warm_up()
        files = pictures(options.folder, REPEATS)
        measured(explorer, {size: files[size][:1] for size in files})  # compiles, and fills the caches
        rows = measured(explorer, files)
    except ColorCNNError as error:
        print(f"explorer_times: error: {error}", file=sys.stderr)
        return error.exit_code
    record = clock.record(
        "python tools/explorer_times.py KODAK",
        config={"classifier": CLASSIFIER, "colors": list(COLORS), "repeats": REPEATS},
        n=REPEATS,
        metrics={"explorer_times": rows},
    )
    record.write(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
