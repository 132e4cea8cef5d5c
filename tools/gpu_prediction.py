"""Prediction of the time of the paper's training of ColorCNN+ on a GPU, from operations and assumptions."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from training_sides import Ours, Setting

from colorcnn.data import PhotoDigits

_VIEWS = (
    "view",
    "reshape",
    "expand",
    "permute",
    "transpose",
    "slice",
    "select",
    "detach",
    "squeeze",
    "alias",
    "t.",
)


@dataclass(frozen=True)
class Assumptions:
    """A GPU as the prediction takes it; the defaults are those of an H200.

    Args:
        peak: multiplications and additions in bfloat16 a second.
        utilisation: share of the peak that convolutions of 32x32 images reach.
        bandwidth: bytes a second of its memory.
        memory_share: share of it that the other kernels reach.
        launch: seconds of the host for each operation, Lightning's part included.
    """

    peak: float = 989e12
    utilisation: float = 0.30
    bandwidth: float = 4.8e12
    memory_share: float = 0.6
    launch: float = 5e-6


class _Traffic(TorchDispatchMode):
    """Counts operations, and the bytes of their operands and results."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.name().removeprefix("aten::")
        if not name.startswith(_VIEWS):
            self.calls[name] += 1
            tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor)]
            self.bytes += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        return result


def count_step(networks: str = "paper", batch: int = 2, colors: int = 64) -> dict[str, float]:
    """Count what a training step in mixed precision asks of a device, in its dense form.

    Args:
        networks: as the benchmark has them.
        batch: images.
        colors: C.

    Returns:
        ``flops``, ``bytes`` and ``operations``.
    """
    data = PhotoDigits(train_size=2 * batch, validation_size=1, test_size=1)
    side = Ours(Setting(networks, batch, "cpu", 0, (colors,)), data, "bf16-mixed")
    side.task.hparams["assignment_form"] = "dense"
    side.step(colors)  # the optimizer's state is made at the first
    traffic = _Traffic()
    with FlopCounterMode(display=False) as flops:
        side.step(colors)
    with traffic:
        side.step(colors)
    return {
        "flops": float(flops.get_total_flops()),
        "bytes": float(traffic.bytes),
        "operations": float(sum(traffic.calls.values())),
    }


def predict(
    epochs: int = 300,
    images: int = 50_000,
    batch: int = 128,
    networks: str = "paper",
    assumptions: Assumptions | None = None,
) -> dict[str, Any]:
    """Predict the time of a training.

    A step takes as long as the slower of host and GPU. The GPU takes the time of its multiplications and
    that of its memory traffic, one after the other.

    Args:
        epochs: of the training.
        images: in an epoch.
        batch: images in a step.
        networks: as the benchmark has them.
        assumptions: of the GPU; default an H200.
    """
    given, small, large = assumptions or Assumptions(), count_step(networks, 2), count_step(networks, 4)

    def at_batch(name: str) -> float:
        slope = (large[name] - small[name]) / 2
        return small[name] + slope * (batch - 2)

    multiplying = at_batch("flops") / (given.peak * given.utilisation)
    moving = at_batch("bytes") / (given.bandwidth * given.memory_share)
    launching = small["operations"] * given.launch
    steps = epochs * (images // batch)
    seconds = max(multiplying + moving, launching)
    return {
        "steps": steps,
        "step_milliseconds": {
            "multiplications": round(1000 * multiplying, 3),
            "memory": round(1000 * moving, 3),
            "host": round(1000 * launching, 3),
            "step": round(1000 * seconds, 3),
        },
        "minutes": round(steps * seconds / 60, 1),
        "counted": SimpleNamespace(
            teraflops=round(at_batch("flops") / 1e12, 3),
            gigabytes=round(at_batch("bytes") / 1e9, 3),
            operations=int(small["operations"]),
        ).__dict__,
        "assumptions": asdict(given),
    }
