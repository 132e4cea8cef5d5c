"""Data sets that an experiment needs and that are not on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from colorcnn.data.registry import candidate_folders, data_root
from colorcnn.reproduce.experiment import Variant
from colorcnn.reproduce.stages import kind_of

_FOLDERS = {
    "CIFAR10": "cifar-10-batches-py",
    "CIFAR100": "cifar-100-python",
    "STL10": "stl10_binary",
    "VOC2012": "VOCdevkit/VOC2012",
    "VOC2012Masks": "VOCdevkit/VOC2012",
}
"""Data set that can be downloaded -> the folder below the data root that it is unpacked to."""

_DOWNLOADED_FOLDERS = ("tiny-imagenet-200",)


def missing_data(variant: Variant, home: Path) -> list[str]:
    """Return a sentence for each data set that a variant needs and that is missing.

    Args:
        variant: a variant of an experiment.
        home: the folder of the experiment's file.
    """
    specs = [spec for stage in variant.stages for spec in kind_of(stage).data_specs(stage.options, home)]
    return list(dict.fromkeys(reason for spec in specs for reason in _reasons(spec)))


def _reasons(spec: Mapping[str, Any]) -> Iterator[str]:
    options = spec.get("init_args") or {} if isinstance(spec, Mapping) else None
    if not isinstance(options, Mapping):  # the stage reports it when it runs
        return
    name = str(spec.get("class_path", "")).rpartition(".")[2]
    root = data_root(options.get("root"))
    if name in _FOLDERS:
        if not (root / _FOLDERS[name]).exists():
            yield f"{name} is not in {root}; it can be downloaded"
        return
    for folder in (options.get(option) for option in ("path", "folder")):
        if folder is not None and not any(each.is_dir() for each in candidate_folders(str(folder), root)):
            can = "can be downloaded" if folder in _DOWNLOADED_FOLDERS else "cannot be downloaded"
            yield f"{folder} is not in {root}; it {can}"
