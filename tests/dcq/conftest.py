"""A source of small images, a classifier for them, and a way to build a store quickly."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dcq_samples import CLASSES, tinted
from PIL import Image

from colorcnn.dcq.build import Build
from colorcnn.dcq.refine import Refinement
from colorcnn.dcq.settings import Settings
from colorcnn.dcq.sources import ArrayImages
from colorcnn.models import create_classifier
from colorcnn.tasks.extract import extract


@pytest.fixture
def source() -> ArrayImages:
    return ArrayImages(tinted(40), np.arange(40) % 3, CLASSES)


@pytest.fixture
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return create_classifier("resnet9", 3, width=4).eval()


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Build]:
    """build(source, folder="store", network=None, quantizer=None, **settings) -> Build, ready to run."""

    def make(
        source: Any, folder: str = "store", network: Any = None, quantizer: Any = None, **settings: Any
    ) -> Build:
        settings = {"bits": 2, "clusters": 3, "refinement": Refinement(steps=10, batch=4), **settings}
        return Build(
            source,
            Settings(**settings),
            tmp_path / folder,
            extract=None if network is None else partial(extract, network),
            quantizer=quantizer,
            data="toys",
        )

    return make


@pytest.fixture
def toy_folder(tmp_path: Path) -> Path:
    """train/ and test/ of PNG files of two sizes."""
    for part, count in (("train", 30), ("test", 6)):
        for number, pixels in enumerate(tinted(count, seed=len(part))):
            folder = tmp_path / "toys" / part / CLASSES[number % 3]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return tmp_path / "toys"
