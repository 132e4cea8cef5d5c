"""Hashes of the weights that options name, so that a result is not taken for that of other weights."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from colorcnn.errors import ColorCNNError


def named_weights(options: Any) -> dict[str, Any]:
    """Return the names of pretrained models, checkpoints and runs in options, each with its hash.

    Options of a model that are not stored in its weights are added to the hash. The code of a user's own
    classifier has no hash.

    Args:
        options: text, or mappings and lists that hold text.
    """
    return dict(_weights(options))


def _weights(options: Any) -> Iterator[tuple[str, Any]]:
    from colorcnn import pretrained
    from colorcnn.checkpoint_config import read_config
    from colorcnn.hub import is_hub_name
    from colorcnn.models.colorcnn import OF_USE

    names = set(pretrained.available())
    for text in dict.fromkeys(_strings(options)):
        for name in [text] if text in names else [text, _checkpoint_of_method(text)]:
            if not name:
                continue
            if name in names or is_hub_name(name) or (Path(name) / "config.json").is_file():
                config = read_config(pretrained.find_checkpoint(name))
                of_use = {key: value for key, value in config.kwargs.items() if key in OF_USE}
                yield name, [config.sha256, of_use] if of_use else config.sha256
            elif (file := _file_of(name)) is not None:
                yield name, hashlib.sha256(file.read_bytes()).hexdigest()


def _file_of(name: str) -> Path | None:
    """Return the file with the weights of an ONNX graph, a Lightning checkpoint or a run's folder."""
    from colorcnn.pretrained import find_lightning

    file = Path(name) if name.endswith(".onnx") else find_lightning(name)
    return file if file is not None and file.is_file() else None


def _checkpoint_of_method(text: str) -> str | None:
    """Return the checkpoint in a method, or None if the text is not a method or is a path itself."""
    from colorcnn.methods import parse_method

    if os.path.exists(text):  # _weights hashes the file at a path; parsing it as a method would load it
        return None
    with suppress(ColorCNNError, OSError):
        return parse_method(text).checkpoint
    return None


def _strings(value: Any) -> Iterator[str]:
    """Yield every text that may name weights.

    ``architecture`` is skipped, because its value can equal a method's name.
    """
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if key != "architecture":
                yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
