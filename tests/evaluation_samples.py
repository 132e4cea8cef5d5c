"""Evaluations made up for tests of what is drawn and printed from them."""

from __future__ import annotations

from typing import Any

from colorcnn.evaluation.metrics import accuracy_interval
from colorcnn.records import Clock, Record

N = 1000


def score(accuracy: float, **changes: Any) -> dict[str, Any]:
    content = {
        "accuracy": accuracy,
        "interval": list(accuracy_interval(round(accuracy * N), N)),
        "correct": "",
        "colors": {"mean": 1.5, "min": 1, "max": 2},
        "png_bpp": 2.25,
        "packed_bpp": 1.0,
        "palette_bpp": 0.125,
        "psnr": 21.5,
        "ssim": 0.75,
        "lossless": 0,
        "mean_average_precision": None,
        "not_finite": 0,
    }
    return {**content, **changes}


def metrics(**curves: list[float]) -> dict[str, Any]:
    """Curves over 2, 4, 8 ... colours; ``colorcnn_plus__mine`` stands for ``colorcnn-plus:mine``."""
    curves = curves or {"colorcnn_plus__mine": [0.784, 0.87, 0.9], "median_cut": [0.36, 0.73, 0.91]}
    methods = {}
    for name, values in curves.items():
        scores = {str(2**bits): score(value, png_bpp=bits + 0.5) for bits, value in enumerate(values, 1)}
        method = name.replace("__", ":").replace("_", "-")
        methods[method] = {"images_per_second": 800.4, "scores": scores, "unavailable": {}}
    sizes = [2**bits for bits in range(1, 1 + max(map(len, curves.values())))]
    none = dict.fromkeys(("packed_bpp", "palette_bpp", "psnr", "ssim", "lossless"))
    return {"sizes": sizes, "original": score(0.921, **none), "methods": methods}


def record(content: dict[str, Any] | None = None) -> Record:
    config = {"data": "tiny", "split": "test", "classifier": "small"}
    return Clock().record("colorcnn evaluate tiny", n=N, metrics=content or metrics(), config=config)
