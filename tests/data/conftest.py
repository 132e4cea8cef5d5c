"""A cache of its own for every test, and small folders of images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    if "real_data" in request.fixturenames:
        request.getfixturevalue("real_data")
    folder = tmp_path / "cache"
    monkeypatch.setenv("COLORCNN_CACHE", str(folder))
    monkeypatch.delenv("COLORCNN_DATA", raising=False)
    return folder


@pytest.fixture
def make_tree() -> Callable[..., Path]:
    """Writes PNG files of random pixels: make_tree(folder, {"cat": 5, "dog": 4}, size=(8, 8))."""

    def make(folder: Path, counts: dict[str, int], size: tuple[int, int] = (8, 8), seed: int = 0) -> Path:
        random = np.random.RandomState(seed)
        for name, count in counts.items():
            (folder / name).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                pixels = random.randint(0, 256, (*size, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / name / f"{number:03d}.png")
        return folder

    return make
