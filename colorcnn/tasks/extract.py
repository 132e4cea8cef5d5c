"""Compute features and attention maps of a classifier for many images, for dataset quantization."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import repeat

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from colorcnn.dcq.attention import Probe, attention_maps, pool_features
from colorcnn.dcq.build import EXTRACT_BATCH, NETWORK
from colorcnn.dcq.settings import Settings
from colorcnn.dcq.sources import ImageSource
from colorcnn.dcq.stages import Work, ranges
from colorcnn.models import frozen
from colorcnn.paletted import from_bytes
from colorcnn.parallel import Turns

Piece = tuple[int, Tensor, Tensor | None]
"""The first image's number, images uint8 (B, 3, H, W), and their labels (B,)."""

_AT_ONCE = 1 << 18  # pixels per batch on a CPU; feature maps of larger batches do not fit its caches


class Pieces(Dataset[Piece]):
    """Batches of images, scaled to one size.

    Args:
        source: the images.
        starts: first images of the batches.
        size: (H, W) of the classifier's input.
    """

    def __init__(self, source: ImageSource, starts: Sequence[int], size: tuple[int, int]) -> None:
        self.source = source
        self.starts = list(starts)
        self.size = size

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, number: int) -> Piece:
        start = self.starts[number]
        rows = np.arange(start, min(start + EXTRACT_BATCH, len(self.source)))
        pixels = np.stack([self._fitted(picture) for picture in self.source.read(rows)])
        images = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
        labels = self.source.labels[rows]
        return start, images, torch.from_numpy(labels.astype(np.int64)) if labels.ndim == 1 else None

    def _fitted(self, picture: np.ndarray) -> np.ndarray:
        if picture.shape[:2] == self.size:
            return picture
        # The aspect ratio may change: the attention map is scaled back to the whole image.
        height, width = self.size
        return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR))


class Extraction:
    """Computation of the pooled output of a layer and of attention maps, for batches of images.

    Args:
        network: the classifier, images (B, 3, H, W) in [0, 1] to logits; moved to the device and frozen.
        settings: settings of the features and the attention.
        work: the store of the pieces.
        device: the device.
    """

    def __init__(self, network: nn.Module, settings: Settings, work: Work, device: str) -> None:
        self.device = torch.device(device)
        self.settings = settings
        self.work = work
        self.attends = settings.attends
        attended = settings.attention_layer if self.attends and settings.attention != "rise" else None
        watched = dict.fromkeys(layer for layer in (settings.layer, attended) if layer is not None)
        self.network = frozen(network.to(self.device))
        self.probe = Probe(network, tuple(watched), attended)

    def __call__(self, batch: Piece) -> None:
        """Save ``features`` (B, D) and ``attention`` (B, h, w) float16 of a batch."""
        start, images, labels = batch
        on_cpu = self.device.type == "cpu"
        together = max(1, _AT_ONCE // images[0, 0].numel()) if on_cpu else len(images)
        images = images.to(self.device)
        labels = None if labels is None else labels.to(self.device)
        parts = zip(images.split(together), repeat(None) if labels is None else labels.split(together))
        found = [self._extract(part, classes) for part, classes in parts]
        self.work.save(
            NETWORK, {name: np.concatenate([one[name] for one in found]) for name in found[0]}, start
        )

    def _extract(self, images: Tensor, labels: Tensor | None) -> dict[str, np.ndarray]:
        settings = self.settings
        result: dict[str, np.ndarray] = {}
        if self.attends:
            target = None if settings.predicted else labels
            maps, _ = attention_maps(
                self.probe, images, target, settings.attention, settings.attention_layer, seed=settings.seed
            )
            # Scaled to the range of float16; only the order of the values matters.
            top = maps.amax(dim=(1, 2), keepdim=True)
            result["attention"] = (maps / top.clamp(min=1e-20)).to(torch.float16).numpy()
        else:
            with torch.no_grad():
                self.probe(from_bytes(images))
        if settings.layer is not None:
            result["features"] = pool_features(self.probe.seen[settings.layer], settings.pool).numpy()
        return result


def extract(
    network: nn.Module,
    source: ImageSource,
    settings: Settings,
    work: Work,
    *,
    devices: Sequence[str] = ("cpu",),
    image_size: int | None = None,
    num_workers: int = 0,
) -> None:
    """Run the classifier on every image and save features and attention; saved batches are skipped.

    Args:
        network: the classifier.
        source: the images.
        settings: settings of the features and the attention.
        work: the store of the pieces.
        devices: the devices, which take the batches in turns, each with a copy of the classifier.
        image_size: side length of the classifier's input; by default the common size of all images, else 224.
        num_workers: number of processes that read images.
    """
    todo = [start for start in ranges(len(source), EXTRACT_BATCH) if not work.has(NETWORK, start)]
    if not todo:
        return
    size = (image_size, image_size) if image_size else _common_size(source)
    loader = DataLoader(Pieces(source, todo, size), batch_size=None, num_workers=num_workers)
    networks = [network, *(copy.deepcopy(network) for _ in devices[1:])]
    with Turns([Extraction(each, settings, work, at) for each, at in zip(networks, devices)]) as turns:
        for batch in tqdm(loader, desc="Running the classifier", unit="batch", disable=None):
            turns.call(batch)
        turns.wait()


def _common_size(source: ImageSource) -> tuple[int, int]:
    """Return the common size of the images (a sample of them if it is not known), else 224 x 224."""
    sizes = {picture.shape[:2] for picture in source.read(range(min(len(source), 16)))}
    size = source.image_size or (sizes.pop() if len(sizes) == 1 else None)
    return size if size is not None else (224, 224)
