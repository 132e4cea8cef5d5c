"""Megabytes of an installation: everything, inference with PyTorch, and ONNX Runtime without PyTorch.

    python tools/packaging/install_size.py experiments/results/install_size.json

Adds up the files of the distributions that are installed here, with all that they require. Libraries of CUDA
are counted apart, since PyTorch's packages for a CPU come without them.
"""

from __future__ import annotations

import importlib.metadata as metadata
import re
import sys
from collections.abc import Iterable
from typing import Any

from packaging.requirements import Requirement

from colorcnn.records import Clock

INFERENCE = (
    "torch",
    "safetensors",
    "huggingface_hub",
    "numba",
    "msgspec",
    "numpy",
    "pillow",
    "tqdm",
    "pyyaml",
)
ONNX = ("onnxruntime", "safetensors", "numba", "msgspec", "numpy", "pillow", "tqdm", "pyyaml")
_CUDA = ("nvidia", "cuda", "triton")


def main() -> int:
    """Write the record."""
    clock = Clock()
    full = [Requirement(line).name for line in metadata.requires("colorcnn") or [] if "extra ==" not in line]
    metrics = {
        name: measured(roots) for name, roots in (("full", full), ("torch", INFERENCE), ("onnx", ONNX))
    }
    config = {"torch": list(INFERENCE), "onnx": list(ONNX)}
    record = clock.record(
        "python tools/packaging/install_size.py", n=0, metrics=metrics, config=config, seeds={}
    )
    print(record.write(sys.argv[1]))
    return 0


def measured(roots: Iterable[str]) -> dict[str, Any]:
    """Return the number of distributions and their megabytes, with and without those of CUDA.

    Args:
        roots: names of distributions, whose requirements count, too.
    """
    names = closure(roots)
    sizes = {name: size(name) / 1e6 for name in names}
    plain = {name: value for name, value in sizes.items() if not name.startswith(_CUDA)}
    return {
        "distributions": len(names),
        "megabytes": round(sum(sizes.values())),
        "megabytes_without_cuda": round(sum(plain.values())),
        "largest": {
            name: round(plain[name]) for name in sorted(plain, key=plain.__getitem__, reverse=True)[:8]
        },
    }


def closure(roots: Iterable[str]) -> set[str]:
    """Return the names of distributions with all that they require, as far as they are installed.

    Args:
        roots: names of distributions.
    """
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            lines = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        found.add(name)
        required = map(Requirement, lines)
        waiting += [
            each.name for each in required if each.marker is None or each.marker.evaluate({"extra": ""})
        ]
    return found


def size(name: str) -> int:
    """Return the bytes of a distribution's files."""
    files = metadata.distribution(name).files or []
    paths = (file.locate() for file in files)
    return sum(path.stat().st_size for path in paths if path.is_file())


if __name__ == "__main__":
    sys.exit(main())
