"""Data sets and augmentation. Names are imported on first use, because only DataModules need Lightning."""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "DATASETS": "registry",
    "Augment": "augment",
    "Batch": "datasets",
    "PictureCrops": "compression",
    "VectorSource": "compression",
    "ImageSplit": "datasets",
    "ImitationTargets": "imitation",
    "StartPalettes": "start_palettes",
    **dict.fromkeys(
        (
            "CIFAR10",
            "CIFAR100",
            "STL10",
            "VOC2012",
            "VOC2012Masks",
            "ImageDataModule",
            "ImageFolder",
            "PhotoDigitMasks",
            "PhotoDigitScenes",
            "PhotoDigits",
            "TinyImageNet200",
            "open_data",
            "open_described",
        ),
        "datamodule",
    ),
    "RecodedFolder": "recoded",
    **dict.fromkeys(("QuantizedDataset", "QuantizedFolder", "StorePixels", "training_images"), "quantized"),
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'colorcnn.data' has no attribute {name!r}")
    return getattr(importlib.import_module(f"colorcnn.data.{_HOME[name]}"), name)
