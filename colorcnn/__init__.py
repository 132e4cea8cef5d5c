"""colorcnn: learn which few colours an image needs so that a frozen network still recognises it.

All names are imported on first use, so that ``import colorcnn`` and ``colorcnn --help`` are fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from colorcnn.version import __version__

if TYPE_CHECKING:
    from colorcnn.api import quantize
    from colorcnn.compression import compress, decompress
    from colorcnn.paletted import Paletted
    from colorcnn.pretrained import available, from_pretrained
    from colorcnn.publishing import push_to_hub, save_pretrained
    from colorcnn.transforms import Quantize

_HOME = {
    "Paletted": "colorcnn.paletted",
    "Quantize": "colorcnn.transforms",
    "compress": "colorcnn.compression",
    "decompress": "colorcnn.compression",
    "available": "colorcnn.pretrained",
    "from_pretrained": "colorcnn.pretrained",
    "push_to_hub": "colorcnn.publishing",
    "quantize": "colorcnn.api",
    "save_pretrained": "colorcnn.publishing",
}
_MODULES = ("data", "dcq", "evaluation", "losses", "models", "paletted", "quantizers", "tasks")

__all__ = [
    "Paletted",
    "Quantize",
    "__version__",
    "available",
    "compress",
    "decompress",
    "from_pretrained",
    "push_to_hub",
    "quantize",
    "save_pretrained",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"colorcnn.{name}")
    raise AttributeError(f"module 'colorcnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES])
