"""LightningModules, callbacks and checkpoints for training."""

import importlib
from typing import Any

_HOME = {
    "ClassifierTask": "classifier",
    "ColorCNNTask": "colorcnn",
    "ImageTask": "base",
    "TrainingDynamics": "dynamics",
    "VQTask": "vq",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'colorcnn.tasks' has no attribute {name!r}")
    return getattr(importlib.import_module(f"colorcnn.tasks.{_HOME[name]}"), name)
