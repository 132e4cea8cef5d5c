"""Peak memory of quantizers for large pictures, and tiles beside whole pictures.

``python tools/tiled_pictures.py KODAK [--megapixels 24] [--out FILE]`` quantizes one picture to 16 colours by
learned methods and by Wu, each in a process of its own. It writes a record: peak memory above the decoded
picture, CPU seconds, and the number of pixels whose index differs between tiles and the whole picture.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from large_pictures import _status, photographs

from colorcnn.alpha import index_visible
from colorcnn.errors import ColorCNNError
from colorcnn.images import LEARNED_PIXELS
from colorcnn.methods import load_quantizer
from colorcnn.models.tiling import quantize_in_tiles, tile_side
from colorcnn.records import Clock

METHODS = ("wu", "palette-attention", "colorcnn-plus:colorcnn-plus-cifar10")
COLORS = 16
OUT = Path("experiments/results/tiled_pictures.json")


def measure(folder: Path, method: str, megapixels: float) -> dict[str, Any]:
    """Quantize one picture in this process.

    Args:
        folder: the Kodak photographs.
        method: a method string.
        megapixels: size of the picture.
    """
    pixels = photographs(folder, megapixels)
    visible = np.ones(pixels.shape[:2], dtype=bool)
    quantizer: Any = load_quantizer(method)
    index_visible(quantizer, pixels[:64, :64].copy(), visible[:64, :64], COLORS)  # compiles and loads
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    start = time.process_time()
    index_visible(quantizer, pixels, visible, COLORS)
    seconds = time.process_time() - start
    above = _status("VmHWM") - before
    found = {
        "pixels": pixels.size // 3,
        "mebibytes_above_the_picture": round(above / 2**20),
        "bytes_per_pixel": round(above / (pixels.size / 3), 1),
        "cpu_seconds": round(seconds, 1),
        "in_tiles": getattr(quantizer, "local", False) and pixels.size // 3 > LEARNED_PIXELS,
    }
    return found | (_compared(quantizer, pixels) if getattr(quantizer, "local", False) else {})


def _compared(quantizer: Any, pixels: np.ndarray) -> dict[str, Any]:
    """Count the pixels of a part of a picture whose index differs between tiles and the whole."""
    part = torch.from_numpy(pixels[:1201, :1203].copy())[None].permute(0, 3, 1, 2)
    sizes = [2, COLORS, 64]
    whole = quantizer.quantize_many(part, sizes)
    tiled = quantize_in_tiles(quantizer, part, sizes, 256)
    differ = {str(size): int((whole[size].indices != tiled[size].indices).sum()) for size in sizes}
    return {
        "tile_side": tile_side(quantizer, COLORS),
        "compared_pixels": part[0, 0].numel(),
        "pixels_that_differ": differ,
    }


def main(argv: list[str] | None = None) -> int:
    """Measure all methods, and write the record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="KODAK", help="folder of the Kodak photographs")
    parser.add_argument("--megapixels", type=float, default=24.0, help="size (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=OUT, help="the record (default: %(default)s)")
    parser.add_argument("--method", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.method is not None:
        print(json.dumps(measure(options.folder, options.method, options.megapixels)))
        return 0
    clock, found = Clock(), {}
    for method in METHODS:
        command = [sys.executable, __file__, str(options.folder), "--method", method]
        command += ["--megapixels", str(options.megapixels)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr.strip() or f"ended with {done.returncode}").splitlines()[-1]
            raise ColorCNNError(f"{method} failed ({said}): free some memory, try again.")
        found[method] = json.loads(done.stdout)
        print(method, found[method], flush=True)
    record = clock.record(
        f"python tools/tiled_pictures.py KODAK --megapixels {options.megapixels:g}",
        config={"colors": COLORS, "megapixels": options.megapixels},
        n=1,
        metrics=found,
    )
    record.write(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
