"""Let a classifier look at many images: the features and attention that dataset quantization is made of."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from itertools import repeat
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image
from pytorch_lightning.callbacks import BasePredictionWriter
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

Piece = tuple[int, Tensor, Tensor | None]
"""The first image's number, images uint8 (B, 3, H, W), and their labels (B,)."""

_AT_ONCE = 1 << 18  # pixels that a CPU looks at: its time goes into memory once feature maps leave its caches


class Pieces(Dataset[Piece]):
    """The batches of images that are still to be looked at, all brought to one size.

    Args:
        source: the images.
        starts: first images of the batches.
        size: (H, W) that the classifier sees.
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
        # The whole picture, squeezed: its attention map is stretched back over all of it.
        height, width = self.size
        return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR))


class ExtractionTask(pl.LightningModule):
    """Computes, for batches of images, the pooled output of a layer and the attention of the classifier.

    Args:
        network: the classifier, images (B, 3, H, W) in [0, 1] to logits.
        settings: which layers, and how.
    """

    def __init__(self, network: nn.Module, settings: Settings) -> None:
        super().__init__()
        self.network = frozen(network)
        self.settings = settings
        self.attends = settings.attends
        attended = settings.attention_layer if self.attends and settings.attention != "rise" else None
        watched = dict.fromkeys(layer for layer in (settings.layer, attended) if layer is not None)
        self.probe = Probe(network, tuple(watched), attended)

    def predict_step(self, batch: Piece, batch_idx: int) -> tuple[int, dict[str, np.ndarray]]:
        """The first image's number, ``features`` (B, D) float32 and ``attention`` (B, h, w) float16."""
        start, images, labels = batch
        together = max(1, _AT_ONCE // images[0, 0].numel()) if self.device.type == "cpu" else len(images)
        parts = zip(images.split(together), repeat(None) if labels is None else labels.split(together))
        found = [self._look(part, classes) for part, classes in parts]
        return start, {name: np.concatenate([one[name] for one in found]) for name in found[0]}

    def _look(self, images: Tensor, labels: Tensor | None) -> dict[str, np.ndarray]:
        settings = self.settings
        result: dict[str, np.ndarray] = {}
        if self.attends:
            target = None if settings.predicted else labels
            maps, _ = attention_maps(
                self.probe, images, target, settings.attention, settings.attention_layer, seed=settings.seed
            )
            # Scaled, because only the order of its places counts and float16 has little room.
            top = maps.amax(dim=(1, 2), keepdim=True)
            result["attention"] = (maps / top.clamp(min=1e-20)).to(torch.float16).numpy()
        else:
            with torch.no_grad():
                self.probe(from_bytes(images))
        if settings.layer is not None:
            result["features"] = pool_features(self.probe.seen[settings.layer], settings.pool).numpy()
        return result


class _Keep(BasePredictionWriter):
    """Writes every batch by itself, from whichever process it was computed in."""

    def __init__(self, work: Work, total: int) -> None:
        super().__init__(write_interval="batch")
        self.work = work
        self.total = total

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.bar = tqdm(
            total=self.total,
            desc="Looking at images",
            unit="batch",
            disable=None if trainer.is_global_zero else True,
        )

    def write_on_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, prediction: Any, *others: Any
    ) -> None:
        start, arrays = prediction
        self.work.save(NETWORK, arrays, start)
        self.bar.update(trainer.world_size)

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.bar.close()


def extract(
    network: nn.Module,
    source: ImageSource,
    settings: Settings,
    work: Work,
    *,
    device: str = "cpu",
    image_size: int | None = None,
    num_workers: int = 0,
) -> None:
    """Look at every image once, and keep what was found; batches that are kept already are left out.

    Args:
        network: the classifier.
        source: the images.
        settings: which layers, and how.
        work: where pieces are kept.
        device: cpu, cuda (all GPUs), or cuda:1 for one.
        image_size: side of what the classifier sees; by default the size that all images have, else 224.
        num_workers: processes that read images.
    """
    todo = [start for start in ranges(len(source), EXTRACT_BATCH) if not work.has(NETWORK, start)]
    if not todo:
        return
    size = (image_size, image_size) if image_size else _common_size(source)
    loader = DataLoader(Pieces(source, todo, size), batch_size=None, num_workers=num_workers)
    kind, _, index = device.partition(":")
    devices = torch.cuda.device_count() if kind == "cuda" else 1
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        trainer = pl.Trainer(
            accelerator="gpu" if kind == "cuda" else kind,
            devices=[int(index)] if index else devices,
            # Processes of their own: the usual ones would run the whole command once more each.
            strategy="ddp_spawn" if devices > 1 and not index else "auto",
            enable_progress_bar=False,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            inference_mode=False,  # attention needs gradients
            callbacks=[_Keep(work, len(todo))],
        )
        trainer.predict(ExtractionTask(network, settings), loader, return_predictions=False)


def _common_size(source: ImageSource) -> tuple[int, int]:
    """The size of the first images, where it is one; otherwise what networks for photographs are made for."""
    sizes = {picture.shape[:2] for picture in source.read(range(min(len(source), 16)))}
    size = source.image_size or (sizes.pop() if len(sizes) == 1 else None)
    return size if size is not None else (224, 224)
