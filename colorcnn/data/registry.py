"""Registry of the data sets, whose classes are imported on first use, and the folders that are searched."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from colorcnn.errors import UsageError, similar_name
from colorcnn.lazy import LazyDict

DATASETS: LazyDict[type[Any]] = LazyDict(
    {
        "cifar10": "colorcnn.data.torchvision_sets:CIFAR10",
        "cifar100": "colorcnn.data.torchvision_sets:CIFAR100",
        "stl10": "colorcnn.data.torchvision_sets:STL10",
        "voc2012": "colorcnn.data.torchvision_sets:VOC2012",
        "voc2012-masks": "colorcnn.data.torchvision_sets:VOC2012Masks",
        "tiny-imagenet-200": "colorcnn.data.tiny_imagenet:TinyImageNet200",
        "photo-digits": "colorcnn.data.datamodule:PhotoDigits",
        "photo-digit-masks": "colorcnn.data.datamodule:PhotoDigitMasks",
        "photo-digit-scenes": "colorcnn.data.datamodule:PhotoDigitScenes",
    }
)
"""Name -> class of a data set, an :class:`colorcnn.data.base.ImageDataModule`."""


def data_root(root: str | None) -> Path:
    """Return the folder that holds the data sets: ``root``, else $COLORCNN_DATA, else ``data``."""
    return Path(root or os.environ.get("COLORCNN_DATA") or "data").expanduser()


def candidate_folders(path: str, root: Path) -> list[Path]:
    """Return the folders that a path may stand for.

    Args:
        path: absolute, relative to the current folder, or relative to ``root``.
        root: the folder of the data sets.
    """
    return list(dict.fromkeys([Path(path).expanduser(), root / path]))


def check_data(spec: str, root: str | None = None) -> None:
    """Check that a data set has a known name or is a folder, without reading it.

    Args:
        spec: a name in :data:`DATASETS`, or a folder: absolute, relative, or below the data root.
        root: the data root.

    Raises:
        UsageError: the data set is unknown.
    """
    if spec in DATASETS:
        return
    folders = candidate_folders(spec, data_root(root))
    if any(folder.is_dir() for folder in folders):
        return
    known = ", ".join(sorted(DATASETS))
    similar = similar_name(spec, DATASETS)
    hint = f", did you mean {similar}?" if similar else ""
    raise UsageError(
        f"Unknown data set {spec!r}{hint} (looked for the folders {' and '.join(map(str, folders))})",
        f"choose one of {known}, or a folder of images (the data root is set with root or COLORCNN_DATA)",
        code="unknown-dataset",
        name=spec,
        known=known,
    )
