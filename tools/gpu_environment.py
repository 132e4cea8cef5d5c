"""Tell which GPU there is, which versions, and how fast it multiplies matrices and convolves."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from typing import Any

import torch

from colorcnn.records import device_name, versions
from colorcnn.tasks.trainer import native_precision


def describe(device: str) -> dict[str, Any]:
    """Describe a device.

    Args:
        device: ``cpu`` or ``cuda``.

    Returns:
        Its name, versions, memory in GiB, and multiplications in 10^12 operations a second.
    """
    found: dict[str, Any] = {
        "device": device_name(device),
        "system": platform.platform(),
        "versions": versions(),
        "precision": native_precision("gpu" if device == "cuda" else "cpu"),
    }
    if device == "cuda":
        free, total = torch.cuda.mem_get_info()
        found |= {"memory_gib": round(total / 2**30, 1), "free_gib": round(free / 2**30, 1)}
        found |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    side = 4096 if device == "cuda" else 128
    for dtype in (torch.float32, torch.bfloat16):
        matrix = torch.randn(side, side, device=device, dtype=dtype)
        seconds = _seconds(lambda matrix=matrix: matrix @ matrix, device)
        found[f"matmul_{str(dtype)[6:]}"] = round(2 * side**3 / seconds / 1e12, 3)
        found[f"convolution_{str(dtype)[6:]}"] = round(_convolution(device, dtype), 3)
    return found


def _convolution(device: str, dtype: torch.dtype) -> float:
    """10^12 operations a second of a 3x3 convolution as the paper's U-Net has it."""
    batch, channels = (128, 64) if device == "cuda" else (2, 16)
    images = torch.randn(batch, channels, 32, 32, device=device, dtype=dtype)
    images = images.contiguous(memory_format=torch.channels_last)
    layer = torch.nn.Conv2d(channels, channels, 3, padding=1, bias=False, device=device, dtype=dtype)
    layer = layer.to(memory_format=torch.channels_last)
    with torch.no_grad():
        seconds = _seconds(lambda: layer(images), device)
    return 2 * batch * 32 * 32 * channels**2 * 9 / seconds / 1e12


def _seconds(work: Callable[[], Any], device: str, repeats: int = 10) -> float:
    """Time of one call, after a warm-up."""
    for _ in range(3):
        work()
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeats


if __name__ == "__main__":
    print(json.dumps(describe("cuda" if torch.cuda.is_available() else "cpu"), indent=1))
