"""The key of a stage: a hash of everything its result depends on.

The hash covers the kind, the description, the seed, and the hashes of all weights that the description names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from colorcnn.named_weights import named_weights

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
        "weights": named_weights(description),
    }
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]
