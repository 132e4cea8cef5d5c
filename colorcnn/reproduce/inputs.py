"""What a stage's result depends on, as one hash: its description, its seed, the weights it starts from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from colorcnn.errors import UsageError

KEY_LENGTH = 12


def key_of(kind: str, description: Mapping[str, Any], seed: int) -> str:
    """A stage's key: equal for equal work, whatever the stage is called.

    Args:
        kind: of the stage.
        description: of the stage, with the keys of earlier stages in the place of references.
        seed: of the run.
    """
    content = {
        "kind": kind,
        "description": description,
        "seed": seed,
        "weights": dict(_weights(description)),
    }
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]


def _weights(description: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Pretrained models and checkpoint files that a description names: hashes of weights, and the options."""
    from colorcnn import zoo
    from colorcnn.weights import read_config

    names = set(zoo.available())
    for text in _strings(description):
        for name in [text, _checkpoint_of_method(text)]:
            if not name:
                continue
            if name in names or (Path(name) / "config.json").is_file():
                config = read_config(zoo.find_checkpoint(name))
                yield name, [config.sha256, config.kwargs]
            elif name.endswith(".ckpt") and Path(name).is_file():
                yield name, hashlib.sha256(Path(name).read_bytes()).hexdigest()


def _checkpoint_of_method(text: str) -> str | None:
    from colorcnn.zoo import parse_method

    with suppress(UsageError):
        return parse_method(text).checkpoint
    return None


def _strings(value: Any) -> Iterator[str]:
    """Every text that may name weights: all but an architecture, which is called as a method is."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if key != "architecture":
                yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
