"""The large pictures of the benchmark: Stochastic Quantization as published; memory, time at 50 megapixels.

``python tools/large_pictures.py FOLDER METHOD KIND MEGAPIXELS`` quantizes one picture to 256 colours and
prints the bytes a pixel it took at the peak, above the decoded picture, and the CPU seconds.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from quantizer_peers import published_sq
from quantizer_targets import Judge

from colorcnn.errors import ColorCNNError
from colorcnn.quantizers import QUANTIZERS
from colorcnn.quantizers.stochastic import Stochastic

MEGAPIXELS = 50
METHODS = ("wu", "variance-cut", "k-means", "stochastic")
AUTHORS = {4: 0.01200, 36: 0.001650}
"""MSE of the SQ authors' program on the mosaic, with its seed."""
AUTHORS_SEED = 42
SEEDS = range(5)


def read_kodak(folder: Path, number: str) -> np.ndarray:
    """One of the Kodak photographs, (512, 768, 3) or (768, 512, 3) uint8."""
    path = folder / f"kodim{number}.png"
    if not path.is_file():
        raise ColorCNNError(f"{path} does not exist: name the folder of the Kodak images.")
    return np.array(Image.open(path).convert("RGB"))


def six_photographs(folder: Path) -> np.ndarray:
    """Six of the Kodak photographs in one picture, (1536, 1536, 3) uint8."""
    pairs = (("03", "23"), ("15", "05"), ("08", "20"))
    return np.vstack([np.hstack([read_kodak(folder, number) for number in pair]) for pair in pairs])


def mosaic(folder: Path) -> np.ndarray:
    """The stand-in for the picture of the SQ paper: six photographs, 1200 wide and 1206 high."""
    return six_photographs(folder)[:1206, :1200].copy()


def judge_stochastic(folder: Path, size: int) -> Judge:
    """Compare Stochastic Quantization with the paper's algorithm as published, on the mosaic."""
    judge = Judge()
    pixels = mosaic(folder)
    Stochastic().quantize_pixels(pixels, size)  # compiled and loaded before the clock runs

    def run(method: Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
        start = time.process_time()
        indices, palette = method(pixels, size)
        seconds = time.process_time() - start
        return float(((palette[indices] / 255 - pixels / 255) ** 2).mean()), seconds

    error, seconds = run(published_sq)
    ours = [run(Stochastic(seed=seed).quantize_pixels) for seed in SEEDS]
    name = f"stochastic on the mosaic, {size} colours"
    share = float(np.mean([mse for mse, _ in ours])) / error
    judge.at_most(f"{name}, MSE of the published algorithm's", share, 1.0, "x")
    share = 1000 * float(np.mean([used for _, used in ours])) / seconds
    judge.at_most(f"{name}, CPU in thousandths of the published algorithm's", share, 1.0)
    others = [Stochastic(preset="faithful", seed=seed).fit(pixels, size, checkpoints=2).mse for seed in SEEDS]
    same = Stochastic(preset="faithful", seed=AUTHORS_SEED).fit(pixels, size, checkpoints=2).mse
    what = f"faithful ({same:.6f}; other seeds {min(others):.6f} to {max(others):.6f})"
    away = 100 * abs(same / AUTHORS[size] - 1)
    judge.at_most(f"{name}, {what} from the authors' {AUTHORS[size]}", away, 2.0, " %")
    return judge


def photographs(folder: Path, megapixels: int) -> np.ndarray:
    """A large picture: the mosaic repeated, a level or two of noise in each copy."""
    tile = mosaic(folder)
    side = int((megapixels * 1e6) ** 0.5)
    picture = np.tile(tile, (-(-side // tile.shape[0]), -(-side // tile.shape[1]), 1))[:side, :side].copy()
    random = np.random.default_rng(0)
    for row in picture:  # in pieces, as the peak of memory is what is measured
        noisy = row.astype(np.int16) + random.integers(-2, 3, row.shape, np.int16)
        np.clip(noisy, 0, 255, out=row, casting="unsafe")
    return picture


def noise(folder: Path, megapixels: int) -> np.ndarray:
    """Uniform random noise, which has nearly all of the 16.8 million colours."""
    side = int((megapixels * 1e6) ** 0.5)
    picture = np.empty((side, side, 3), np.uint8)
    random = np.random.default_rng(0)
    for row in picture:
        row[:] = random.integers(0, 256, row.shape, np.uint8)
    return picture


KINDS = {"photographs": photographs, "noise": noise}


def judge_large(folder: Path, method: str, kind: str) -> Judge:
    """Memory at 50 megapixels, and how time grows from a fifth of them, each in a process of its own."""
    judge = Judge()
    large, small = (_measure(folder, method, kind, size) for size in (MEGAPIXELS, MEGAPIXELS // 5))
    name = f"{method}, {MEGAPIXELS} megapixels of {kind}, 256 colours"
    judge.at_most(f"{name}, peak memory above the picture", large["bytes"], 6.0, " bytes a pixel")
    growth = large["seconds"] / (5 * small["seconds"])
    judge.at_most(f"{name}, CPU of a fifth of it, five times", growth, 1.0, "x")
    return judge


def _measure(folder: Path, method: str, kind: str, megapixels: int) -> dict[str, float]:
    command = [sys.executable, __file__, str(folder), method, kind, str(megapixels)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or f"ended with {done.returncode}").splitlines()[-1]
        raise ColorCNNError(
            f"{method} on {megapixels} megapixels failed ({said}): free some memory, try again."
        )
    return json.loads(done.stdout)


def _print_peak(folder: Path, method: str, kind: str, megapixels: int) -> None:
    pixels = KINDS[kind](folder, megapixels)
    quantizer = QUANTIZERS[method]()
    quantizer.quantize_pixels(pixels[:300, :300].copy(), 16)
    quantizer.quantize_pixels(pixels[:2100, :2100].copy(), 256)  # the way of large pictures is compiled, too
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    start = time.process_time()
    quantizer.quantize_pixels(pixels, 256)
    seconds = time.process_time() - start
    print(json.dumps({"bytes": (_status("VmHWM") - before) / (pixels.size / 3), "seconds": seconds}))


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    _print_peak(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
