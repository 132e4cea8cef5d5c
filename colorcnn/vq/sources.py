"""Sources of vectors with a known distribution, and random crops of images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from colorcnn.errors import ColorCNNError, UsageError, unknown_name
from colorcnn.images import find_images, read_image, to_tensor

TEST_SIZE = 1_000_000
TEST_SEED = 20_240_901
_TRIES = 100  # attempts before the images are reported as too small


class Source(ABC):
    """A memoryless source of d-dimensional vectors.

    Args:
        dimension: d; the source's own by default.

    Raises:
        UsageError: the source does not exist in this dimension.
    """

    name: str
    own_dimension: int
    any_dimension = True

    def __init__(self, dimension: int | None = None) -> None:
        self.dimension = self.own_dimension if dimension is None else dimension
        if self.dimension < 1 or (not self.any_dimension and self.dimension != self.own_dimension):
            possible = "at least 1" if self.any_dimension else f"exactly {self.own_dimension}"
            raise UsageError(
                f"The {self.name} source cannot have {self.dimension} dimensions: choose {possible}."
            )

    @abstractmethod
    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw vectors, (count, d) float32.

        Args:
            count: number of vectors.
            generator: the random generator; None uses torch's global one.
        """

    def test_set(self, count: int = TEST_SIZE) -> Tensor:
        """Return the test vectors (count, d), always the same."""
        return self.sample(count, torch.Generator().manual_seed(TEST_SEED))

    def val_set(self, count: int) -> Tensor:
        """Return the validation vectors (count, d), always the same."""
        return self.sample(count, torch.Generator().manual_seed(TEST_SEED + 1))


class Gaussian(Source):
    """Independent N(0, 1) components; 1 dimension by default."""

    name = "gaussian"
    own_dimension = 1

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """See :meth:`Source.sample`."""
        return torch.randn(count, self.dimension, generator=generator)


class Laplace(Source):
    """Independent Laplace components of scale 1 (variance 2); 8 dimensions by default."""

    name = "laplace"
    own_dimension = 8

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """See :meth:`Source.sample`."""
        # The difference of two exponential variables has a Laplace distribution.
        draws = torch.empty(2, count, self.dimension).exponential_(generator=generator)
        return draws[0] - draws[1]


class Boomerang(Source):
    """A bent Gaussian: (v - u^2 + 1, u), where u and v have variance 1 and correlation 0.9."""

    name = "boomerang"
    own_dimension = 2
    any_dimension = False
    correlation = 0.9

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """See :meth:`Source.sample`."""
        u, other = torch.randn(2, count, generator=generator)
        v = self.correlation * u + (1 - self.correlation**2) ** 0.5 * other
        return torch.stack([v - u.square() + 1, u], dim=1)


SOURCES: dict[str, type[Source]] = {source.name: source for source in (Gaussian, Boomerang, Laplace)}


def create_source(name: str, dimension: int | None = None) -> Source:
    """Build a source by name.

    Args:
        name: name of the source.
        dimension: dimension of the vectors; None for the source's default.

    Raises:
        UsageError: the name is unknown, or the source does not exist in this dimension.
    """
    if name not in SOURCES:
        raise unknown_name("source", name, SOURCES)
    return SOURCES[name](dimension)


def list_pictures(folder: Path) -> list[Path]:
    """Return the image files in a folder and its subfolders, sorted.

    Raises:
        ColorCNNError: the folder holds no image files, or cannot be read.
    """
    files = find_images(folder, recursive=True)
    if not files:
        raise ColorCNNError(f"{folder} holds no images: use a folder with image files.")
    return files


def read_pixels(path: Path) -> Tensor:
    """Read an image file as (3, H, W) uint8."""
    return to_tensor(read_image(path))


def random_crops(files: Sequence[Path], count: int, size: int, seed: Sequence[int]) -> Tensor:
    """Cut square crops at random positions of random images, half of them mirrored.

    Args:
        files: image files.
        count: B, number of crops.
        size: side length of a crop.
        seed: seed sequence, such as (seed, step).

    Returns:
        uint8 (B, 3, size, size).

    Raises:
        ColorCNNError: 100 images in a row are smaller than a crop, or an image is damaged.
    """
    # NumPy guarantees that RandomState's stream never changes.
    draws = np.random.RandomState(np.random.SeedSequence(list(seed)).generate_state(4))
    crops = []
    for chosen in draws.randint(len(files), size=count):
        pixels = _large_enough(files, chosen, size, draws)
        height, width = pixels.shape[1:]
        top, left = draws.randint(height - size + 1), draws.randint(width - size + 1)
        crop = pixels[:, top : top + size, left : left + size]
        crops.append(crop.flip(2) if draws.randint(2) else crop)
    return torch.stack(crops)


def _large_enough(files: Sequence[Path], chosen: int, size: int, draws: np.random.RandomState) -> Tensor:
    """Return the pixels of the chosen image; if it is smaller than a crop, of another random image."""
    for _ in range(_TRIES):
        path = files[chosen]
        pixels = read_pixels(path)
        if min(pixels.shape[1:]) >= size:
            return pixels
        chosen = draws.randint(len(files))
    raise ColorCNNError(
        f"{_TRIES} images in a row, {path} the last, are smaller than a crop of {size} x {size}: "
        "choose a smaller crop_size, or other images."
    )
