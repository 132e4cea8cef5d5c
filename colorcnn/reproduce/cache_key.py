"""The key of a stage: a hash of everything its result depends on.

The hash covers the kind, the description, the seed, and the hashes of all weights that the description names.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from colorcnn.errors import ColorCNNError

KEY_LENGTH = 12


def key_of(
    kind: str, description: Mapping[str, Any], seed: int, *, order_sensitive: Sequence[str] = ()
) -> str:
    """Return the key of a stage. Two stages with the same work have the same key, even under different names.

    The images in a folder and the code of a user's own classifier are not part of the key.

    Args:
        kind: the name of the stage's kind.
        description: everything that decides the result. Keys of earlier stages replace the references to
            them.
        seed: the seed of the run.
        order_sensitive: options with a mapping whose order changes the result.
    """
    mappings = [name for name in order_sensitive if isinstance(description.get(name), Mapping)]
    in_order = {name: list(description[name].items()) for name in mappings}
    content = {
        "kind": kind,
        "description": {**description, **in_order},
        "seed": seed,
        "weights": dict(_weights(description)),
    }
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]


def _weights(description: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the names of pretrained models and checkpoint files in a description, each with its hash.

    Options of a model that are not stored in its weights are added to the hash.
    """
    from colorcnn import pretrained
    from colorcnn.checkpoint_config import read_config
    from colorcnn.hub import is_hub_name
    from colorcnn.models.colorcnn import OF_USE

    names = set(pretrained.available())
    for text in dict.fromkeys(_strings(description)):
        for name in [text] if text in names else [text, _checkpoint_of_method(text)]:
            if not name:
                continue
            if name in names or is_hub_name(name) or (Path(name) / "config.json").is_file():
                config = read_config(pretrained.find_checkpoint(name))
                of_use = {key: value for key, value in config.kwargs.items() if key in OF_USE}
                yield name, [config.sha256, of_use] if of_use else config.sha256
            elif name.endswith((".ckpt", ".onnx")) and Path(name).is_file():
                yield name, hashlib.sha256(Path(name).read_bytes()).hexdigest()


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
