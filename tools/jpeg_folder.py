"""Save a data set as a folder of JPEG images: how "CIFAR-10 (JPEG)" is made.

    python tools/jpeg_folder.py cifar10 $COLORCNN_DATA/cifar10-jpeg --download

Images lie in {train,test}/<class>/NNNN.jpg, numbered in the order of the data set; those that are there stay.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from colorcnn.data import CIFAR10, CIFAR100, STL10
from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.files import write_atomically

KINDS = {kind.name: kind for kind in (CIFAR10, CIFAR100, STL10)}


def save(pixels: np.ndarray, labels: np.ndarray, classes: Sequence[str], folder: Path, quality: int) -> int:
    """Write one split below a folder.

    Args:
        pixels: (N, H, W, 3) uint8.
        labels: (N,), each the place of a class in ``classes``.
        classes: names of folders.
        folder: of the split.
        quality: of the JPEG files, 1 to 95; chroma has half the resolution.

    Returns:
        How many images were written.
    """
    numbers = {name: count() for name in classes}
    made = 0
    for image, label in tqdm(zip(pixels, labels), folder.name, len(labels), unit=" images", disable=None):
        name = classes[label]
        path = folder / name / f"{next(numbers[name]):04d}.jpg"
        if not path.exists():
            buffer = io.BytesIO()
            Image.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
            write_atomically(path, buffer.getvalue())
            made += 1
    return made


def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns its exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", choices=KINDS, help="the data set")
    parser.add_argument("target", type=Path, help="the folder to write")
    parser.add_argument("--quality", type=int, default=75, help="of the JPEG files (default: 75)")
    parser.add_argument("--root", help="where the data set is (default: $COLORCNN_DATA)")
    parser.add_argument("--download", action="store_true", help="fetch the data set where it is not there")
    options = parser.parse_args(argv)
    try:
        if not 1 <= options.quality <= 95:
            raise UsageError(f"--quality is {options.quality}: choose 1 to 95.")
        data = KINDS[options.data](root=options.root, download=options.download)
        for part in ("train", "test"):
            split = data.open_torchvision(part)
            made = save(*split, data.class_names, options.target / part, options.quality)
            print(f"jpeg_folder: wrote {made} images below {options.target / part}")
    except ColorCNNError as error:
        print(f"jpeg_folder: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
