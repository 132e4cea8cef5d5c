"""The best palettes known for each picture and number of colours: searched for once, then kept in a file."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from quantizer_peers import sklearn_unique

from colorcnn.files import write_atomically
from colorcnn.quantizers.designed import nearest
from colorcnn.quantizers.histogram import Histogram
from colorcnn.quantizers.k_means import KMeans
from colorcnn.quantizers.seeding import INITS

RESTARTS = 6
EXCHANGES = 200


def default_cache() -> Path:
    """Return the default folder of results."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "colorcnn" / "best_palettes.json"


def mse_of(pixels: np.ndarray, palette: np.ndarray) -> float:
    """Mean squared error over pixels and channels, 0..255, of the best mapping to an 8-bit palette."""
    histogram = Histogram(pixels)
    away = palette[nearest(histogram.colors, palette)].astype(np.float64) - histogram.colors
    return float((away**2).mean(axis=1) @ histogram.counts / histogram.counts.sum(dtype=np.float64))


class BestPalettes:
    """A file of what took long to compute, by picture and number of colours.

    Args:
        path: the JSON file; it is read if it exists, and written after each new result.
        restarts: the least number of searches for each picture and number of colours.
    """

    def __init__(self, path: Path, restarts: int = RESTARTS) -> None:
        self.path, self.restarts = path, restarts
        self.entries = self._read()

    def best(self, pixels: np.ndarray, colors: int) -> float:
        """The least MSE known: of restarts with every beginning, each followed by many exchanges."""
        key = _key("best", pixels, colors)
        begun = _searches(self.entries.get(key))
        if begun < self.restarts:
            inits = sorted(INITS)
            for seed in range(begun, self.restarts):
                quantizer = KMeans(quality="best", init=inits[seed % len(inits)], seed=seed)
                quantizer.preset = quantizer.preset._replace(exchanges=EXCHANGES)
                self.offer(pixels, colors, quantizer.quantize_pixels(pixels, colors)[1], save=False)
            self.entries[key]["searched"] = self.restarts
            self._save()
        return self.entries[key]["mse"]

    def offer(self, pixels: np.ndarray, colors: int, palette: np.ndarray, *, save: bool = True) -> None:
        """Take a palette over where it is better than the one known."""
        key = _key("best", pixels, colors)
        palette = palette[:colors]
        error = mse_of(pixels, palette)
        if key not in self.entries or error < self.entries[key]["mse"] - 1e-9:
            searched = _searches(self.entries.get(key))
            held = palette.astype(np.uint8).tobytes().hex()
            self.entries[key] = {"mse": error, "palette": held, "searched": searched}
            if save:
                self._save()

    def best_of_ten(self, pixels: np.ndarray, colors: int) -> float:
        """MSE of the best of ten restarts of scikit-learn on unique colours."""
        key = _key("scikit-learn 10", pixels, colors)
        if key not in self.entries:
            palette = sklearn_unique(pixels, colors, restarts=10)[1]
            self.entries[key] = {"mse": mse_of(pixels, palette)}
            self._save()
        return self.entries[key]["mse"]

    def _read(self) -> dict[str, Any]:
        return json.loads(self.path.read_text()) if self.path.exists() else {}

    def _save(self) -> None:
        for key, entry in self._read().items():  # another process may have found better, or searched more
            own = self.entries.get(key)
            better = own is None or entry["mse"] < own["mse"]
            searched = max(_searches(entry), _searches(own))
            self.entries[key] = {**(entry if better else own), "searched": searched}
        write_atomically(self.path, json.dumps(self.entries, indent=1).encode())


def _searches(entry: dict[str, Any] | None) -> int:
    """The number of searches behind an entry; files of before say true after all of them."""
    searched = (entry or {}).get("searched", 0)
    return RESTARTS if searched is True else int(searched)


def _key(what: str, pixels: np.ndarray, colors: int) -> str:
    digest = hashlib.sha256(np.array(pixels.shape, np.int64).tobytes() + pixels.tobytes()).hexdigest()
    return f"{what}/{digest[:16]}/{colors}"
