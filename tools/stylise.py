"""Paint a folder of images in the colours of one another: stylised images without a network and its weights.

    python tools/stylise.py $COLORCNN_DATA/cifar10-jpeg $COLORCNN_DATA/cifar10-jpeg-stylised

Every image gets brush-like patches (a filter of M. Kuwahara et al., 1976) and the mean and covariance of
the colours of a style image (F. Pitié and A. Kokaram, 2007). These are NOT the data of the ColorCNN paper's
Table 3, which a network (AdaIN) stylised from paintings: numbers on them compare with no published ones.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.files import write_atomically
from colorcnn.images import find_images, flatten, read_image

_SETTINGS = "stylise.json"
_STEADY = 1e-4  # added to a covariance, so that an image of one colour has an inverse


def stylise(image: np.ndarray, style: np.ndarray, radius: int) -> np.ndarray:
    """Patches of the image's own shapes, in the colours of the style.

    Args:
        image: (H, W, 3) uint8.
        style: (h, w, 3) uint8.
        radius: of the patches, in pixels; 0 keeps all detail.

    Returns:
        (H, W, 3) uint8.
    """
    painted = kuwahara(image / 255.0, radius)
    recoloured = transfer_colors(painted, style / 255.0)
    return (recoloured.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def kuwahara(image: np.ndarray, radius: int) -> np.ndarray:
    """Give every pixel the mean of that one of its four corner squares which varies least.

    Args:
        image: (H, W, 3) float.
        radius: a square has radius + 1 pixels a side.
    """
    if radius == 0:
        return image
    side = radius + 1
    padded = np.pad(image, ((radius, radius), (radius, radius), (0, 0)), mode="edge")
    mean, square = _box_means(padded, side), _box_means(padded**2, side)
    spread = (square - mean**2).sum(axis=2)
    height, width = image.shape[:2]
    corners = [(row, column) for row in (0, radius) for column in (0, radius)]
    spreads = np.stack([spread[row : row + height, column : column + width] for row, column in corners])
    means = np.stack([mean[row : row + height, column : column + width] for row, column in corners])
    return np.take_along_axis(means, spreads.argmin(axis=0)[None, ..., None], axis=0)[0]


def _box_means(image: np.ndarray, side: int) -> np.ndarray:
    """Means of all squares of ``side`` pixels that lie inside, by their upper left corners."""
    sums = np.pad(image, ((1, 0), (1, 0), (0, 0))).cumsum(axis=0).cumsum(axis=1)
    inner = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    return inner / side**2


def transfer_colors(image: np.ndarray, style: np.ndarray) -> np.ndarray:
    """Move the image's colours, by the linear map of least effort, to the style's mean and covariance.

    Args:
        image: (H, W, 3) float.
        style: (h, w, 3) float.
    """
    (mean, ours), (goal, theirs) = (_statistics(pixels) for pixels in (image, style))
    root = _power(ours, 0.5)
    inverse = _power(ours, -0.5)
    step = inverse @ _power(root @ theirs @ root, 0.5) @ inverse
    return (image - mean) @ step + goal


def _statistics(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pixels = image.reshape(-1, 3)
    mean = pixels.mean(axis=0)
    covariance = (pixels - mean).T @ (pixels - mean) / len(pixels)
    return mean, covariance + _STEADY * np.eye(3)


def _power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * values.clip(1e-12) ** exponent) @ vectors.T


def convert(source: Path, target: Path, styles: Path | None, radius: int, seed: int) -> int:
    """Stylise every image below a folder into the same place below another; those that are there stay.

    Which style an image gets depends on its name and the seed alone.

    Returns:
        How many images were written.

    Raises:
        UsageError: there are no images, two would have one name, or the target is not of these settings.
    """
    files = find_images(source, recursive=True)
    choices = find_images(styles, recursive=True) if styles else files
    if not files or not choices:
        raise UsageError(f"{source if not files else styles} holds no image: name a folder of images.")
    if target.resolve().is_relative_to(source.resolve()):
        raise UsageError(f"{target} lies in {source}, whose images are painted: choose another folder.")
    places: dict[Path, Path] = {}
    for file in files:
        place = (target / file.relative_to(source)).with_suffix(".png")
        if place in places:
            raise UsageError(f"{file} and {places[place]} would both be {place}: rename one.")
        places[place] = file
    _check_settings(target, {"styles": str((styles or source).resolve()), "radius": radius, "seed": seed})
    made = 0
    for place, file in tqdm(places.items(), desc="stylise", unit=" images", disable=None):
        if place.exists():
            continue
        name = file.relative_to(source).as_posix()
        style = choices[zlib.crc32(f"{seed}/{name}".encode()) % len(choices)]
        pixels = stylise(_pixels(file), _pixels(style), radius)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        write_atomically(place, buffer.getvalue())
        made += 1
    return made


def _check_settings(target: Path, settings: dict[str, object]) -> None:
    """Note in a new target how it is made; refuse one that was made otherwise."""
    note, text = target / _SETTINGS, json.dumps(settings, indent=1) + "\n"
    if note.exists() and note.read_text() != text:
        raise UsageError(f"{target} was made with other styles, radius or seed: choose another folder.")
    write_atomically(note, text.encode())


def _pixels(path: Path) -> np.ndarray:
    return np.array(flatten(read_image(path)))


def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns its exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="a folder of images, sorted as its use needs")
    parser.add_argument("target", type=Path, help="the folder to write, PNG files of the same names")
    parser.add_argument("--styles", type=Path, help="a folder of style images (default: the source's own)")
    parser.add_argument("--radius", type=int, default=2, help="of a patch, in pixels (default: 2)")
    parser.add_argument("--seed", type=int, default=0, help="decides which style goes where (default: 0)")
    options = parser.parse_args(argv)
    try:
        if options.radius < 0:
            raise UsageError(f"--radius is {options.radius}: choose a whole number from 0 up.")
        made = convert(options.source, options.target, options.styles, options.radius, options.seed)
    except ColorCNNError as error:
        print(f"stylise: error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"stylise: wrote {made} images below {options.target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
