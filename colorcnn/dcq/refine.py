"""Stage 3: change the colours of a palette so that the edges of its images are kept (Equation 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from colorcnn.dcq.sources import ImageSource
from colorcnn.dcq.stages import Arrays
from colorcnn.quantizers.lloyd import assign
from colorcnn.quantizers.spaces import enter, leave

POOL_PIXELS = 1 << 20
"""Maximum number of pixels of a cluster's images that are used."""

HELD = 64
"""Maximum number of held-out images of a cluster, on which palettes are compared."""

_SIDE = 128  # larger images are cropped to this side length
_EVERY = 10  # steps between two comparisons
_EPS = 1e-6  # added under the square root, whose slope is infinite at 0: quantized images are mostly flat
_LAB = 100.0


class Refined(NamedTuple):
    """Refined palette: CIELAB (K, 3) float32, and the loss on the held-out images before and after."""

    palette: np.ndarray
    before: float
    after: float


@dataclass(frozen=True)
class Refinement:
    """Refinement of palettes.

    Attributes:
        steps: number of Adam steps.
        learning_rate: learning rate of Adam in units of L*.
        batch: images per step.
        color_weight: weight of the squared colour error, added to the edge error. The paper has no colour
            error, so colours can drift.
        soft: True to pass gradients to the assignment, too, through a softmax of the squared distances.
        temperature: temperature of that softmax.
        seed: seed of crops and batches.
    """

    steps: int = 200
    learning_rate: float = 0.5
    batch: int = 64
    color_weight: float = 0.1
    soft: bool = False
    temperature: float = 10.0
    seed: int = 0

    def __call__(self, palette: np.ndarray, pixels: np.ndarray) -> Refined:
        """Refine one palette. Return it unchanged if its loss on the held-out images does not fall.

        Args:
            palette: (K, 3) float32, CIELAB.
            pixels: (n, H, W, 3) uint8, images of the cluster of one size.
        """
        count = len(pixels)
        if not count:
            return Refined(palette, 0.0, 0.0)
        images = Images.of(pixels)
        held = np.arange(min(HELD, max(1, count // 4)))
        rest = np.arange(len(held), count) if count > len(held) else held
        theta = torch.from_numpy(palette.copy()).requires_grad_(True)
        checked = images.take(held)
        before = self.held_loss(theta, checked)
        best, lowest = palette, before
        optimizer = torch.optim.Adam([theta], self.learning_rate)
        random = np.random.default_rng([self.seed, 3])
        for step in range(self.steps):
            chosen = np.sort(random.choice(rest, min(self.batch, len(rest)), replace=False))
            optimizer.zero_grad()
            self.loss(theta, images.take(chosen)).backward()
            optimizer.step()
            if (step + 1) % _EVERY == 0 or step + 1 == self.steps:
                loss = self.held_loss(theta, checked)
                if loss < lowest:
                    best, lowest = theta.detach().numpy().copy(), loss
        return Refined(best, before, lowest)

    def held_loss(self, theta: Tensor, images: Images) -> float:
        """Return the loss of the palette as a file holds it: in gamut and rounded to 8 bits.

        Args:
            theta: the palette, CIELAB (K, 3).
            images: the images on which it is measured.
        """
        with torch.no_grad():
            rounded = enter(leave(theta.detach().numpy().T, "cielab").T, "cielab").T
            return float(self.loss(torch.from_numpy(np.ascontiguousarray(rounded)), images))

    def loss(self, theta: Tensor, images: Images) -> Tensor:
        """Return equation 6 with equal weights of L* / 100, a* / 100 and b* / 100, plus the colour error.

        Args:
            theta: the palette, CIELAB (K, 3).
            images: the images on which it is measured.
        """
        quantized = self._quantize(theta / _LAB, images)
        edges = F.mse_loss(sobel(quantized), images.edges)
        # mse_loss is a mean over 3 channels; equation 6 is a sum.
        return 3 * (edges + self.color_weight * F.mse_loss(quantized, images.lab))

    def _quantize(self, theta: Tensor, images: Images) -> Tensor:
        """Replace every pixel by its nearest colour: (3, n, H, W), with a gradient for the palette."""
        points = images.lab.reshape(3, -1)
        labels = np.empty(points.shape[1], np.uint8)
        assign(points.numpy(), np.ascontiguousarray(theta.detach().numpy().T), labels)
        flat = theta.T.index_select(1, torch.from_numpy(labels).long())
        if self.soft and theta.requires_grad:
            square = (points**2).sum(dim=0)[:, None] - 2 * points.T @ theta.T + (theta**2).sum(dim=1)
            smooth = ((-square * _LAB**2 / self.temperature).softmax(dim=1) @ theta).T
            flat = smooth + (flat - smooth).detach()
        return flat.reshape(images.lab.shape)


@dataclass(frozen=True)
class PaletteRefiner:
    """Callable that refines a cluster's palette.

    Attributes:
        source: the images.
        refinement: the refinement.
    """

    source: ImageSource
    refinement: Refinement

    def __call__(self, cluster: tuple[np.ndarray, np.ndarray]) -> Arrays:
        """Return ``palette`` (K, 3) and ``losses`` (2,), before and after, of a cluster."""
        members, palette = cluster
        images = refinement_images(self.source, members, self.refinement.seed)
        result = self.refinement(np.ascontiguousarray(palette), images)
        return {"palette": result.palette, "losses": np.array([result.before, result.after])}


class Images(NamedTuple):
    """Images in CIELAB over 100, channels first: ``lab`` and its ``edges``, both (3, n, H, W)."""

    lab: Tensor
    edges: Tensor

    @staticmethod
    def of(pixels: np.ndarray) -> Images:
        """Convert (n, H, W, 3) uint8."""
        points = enter(pixels.reshape(-1, 3).T, "cielab") / np.float32(_LAB)
        lab = torch.from_numpy(points).reshape(3, *pixels.shape[:3])
        return Images(lab, sobel(lab))

    def take(self, chosen: np.ndarray) -> Images:
        """Return a subset of the images."""
        numbers = torch.from_numpy(chosen)
        return Images(self.lab.index_select(1, numbers), self.edges.index_select(1, numbers))


def sobel(images: Tensor) -> Tensor:
    """Return the magnitude of each channel's gradient (..., H, W), by Sobel's operator divided by 8.

    The border is repeated outside the image. Sums of slices are faster here than a convolution.
    """
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    across, along = padded[..., 2:] - padded[..., :-2], padded[..., 2:, :] - padded[..., :-2, :]
    horizontal = across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]
    vertical = along[..., :-2] + 2 * along[..., 1:-1] + along[..., 2:]
    return ((horizontal.square() + vertical.square()) / 64 + _EPS).sqrt()


def refinement_images(source: ImageSource, members: Sequence[int] | np.ndarray, seed: int = 0) -> np.ndarray:
    """Draw images of a cluster for :class:`Refinement`: (n, h, w, 3) uint8, of one size.

    Images are drawn until they have a million pixels. Images larger than 128 are cropped at a random
    position. All are cropped to the smallest height and width.

    Args:
        source: the images.
        members: numbers of the cluster's images.
        seed: seed of the draws.
    """
    random = np.random.default_rng([seed, 4, len(members)])
    pictures: list[np.ndarray] = []
    room = POOL_PIXELS
    for image in random.permutation(np.asarray(members)):
        pixels = source.read([image])[0]
        top, left = (int(random.integers(max(1, side - _SIDE + 1))) for side in pixels.shape[:2])
        window = pixels[top : top + _SIDE, left : left + _SIDE]
        room -= window[..., 0].size
        if pictures and room < 0:
            break
        pictures.append(window)
    if not pictures:
        return np.empty((0, 1, 1, 3), np.uint8)
    height, width = (min(picture.shape[axis] for picture in pictures) for axis in (0, 1))
    return np.stack([picture[:height, :width] for picture in pictures])
