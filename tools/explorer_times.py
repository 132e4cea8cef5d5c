"""Time that the explorer takes for an answer, for a small picture and for a photograph of 2 megapixels.

``python tools/explorer_times.py KODAK [--out FILE]`` asks the explorer's server, in this process, for both
pictures in several numbers of colours. Each repeat has another picture, so that nothing is remembered. It
writes a record with the median and the longest time on the clock: run it on a computer that has nothing else
to do.
"""

from __future__ import annotations

import io
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from large_pictures import six_photographs
from measuring import measure_folder
from PIL import Image
from tqdm import tqdm
from werkzeug.test import Client

from colorcnn.errors import ColorCNNError
from colorcnn.explorer.app import App
from colorcnn.explorer.classifying import load_picture_classifier
from colorcnn.explorer.explorer import Explorer
from colorcnn.records import Clock, Record

METHODS = ("palette-attention", "k-means", "median-cut", "wu")
COLORS = (2, 16, 64, 256)
CLASSIFIER = "resnet9-cifar10"
SIDES = (1536, 1302)  # of a picture of 2 megapixels, a part of six photographs
SMALL = 32
REPEATS = 5
OUT = Path("experiments/results/explorer_times.json")


def pictures(folder: Path, repeats: int) -> dict[str, list[bytes]]:
    """Return PNG files of both sizes, each of ``repeats`` different pictures.

    Args:
        folder: the Kodak photographs.
        repeats: number of pictures.
    """
    photographs, found = six_photographs(folder), dict[str, list[bytes]]()
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


def recorded(folder: Path, clock: Clock) -> Record:
    """Return the record of the times of all answers.

    Args:
        folder: the Kodak photographs.
        clock: runs since the start.
    """
    explorer = Explorer(None, METHODS, load_picture_classifier(CLASSIFIER, None))
    explorer.warm_up()
    files = pictures(folder, REPEATS)
    measured(explorer, {size: files[size][:1] for size in files})  # compiles, and fills the caches
    return clock.record(
        "python tools/explorer_times.py KODAK",
        config={"classifier": CLASSIFIER, "colors": list(COLORS), "repeats": REPEATS},
        n=REPEATS,
        metrics={"explorer_times": measured(explorer, files)},
    )


def main(argv: list[str] | None = None) -> int:
    """Measure, and write the record."""
    return measure_folder(argv, "explorer_times", __doc__, OUT, recorded)


if __name__ == "__main__":
    sys.exit(main())
