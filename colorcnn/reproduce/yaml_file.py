"""Read YAML files within limits: without them, a file of 1 kB can expand to gigabytes."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

import yaml

from colorcnn import schema
from colorcnn.errors import ColorCNNError, shortened

MAX_BYTES = 1_000_000
"""The largest YAML file that is read, in bytes."""

MAX_VALUES = 100_000
"""The largest number of values in a file, after every alias is expanded."""

_SAFE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the compiled loader, if there is one


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file.

    Raises:
        ColorCNNError: the file cannot be read, is over a limit, or does not hold a YAML mapping.
    """
    try:
        text = schema.read_file(path, "give a YAML file of a configuration or an experiment", MAX_BYTES)
        content = copy.deepcopy(_parse(text))
    except FileNotFoundError as error:
        name = shortened(str(path), 200)
        raise ColorCNNError(f"{name} could not be read, it does not exist: check its name.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = shortened(" ".join(str(error).split()), 200)
        raise ColorCNNError(f"{path} is not valid YAML ({problem}): correct it there.") from error
    if not isinstance(content, dict):
        raise ColorCNNError(
            f"{path} is not a YAML mapping: give a file of `kind: fit` or `kind: experiment`."
        )
    return content


@functools.lru_cache(maxsize=256)  # the stages of an experiment name the same files
def _parse(text: bytes) -> Any:
    return yaml.load(text.decode(), Loader=_Loader)


class _Loader(_SAFE):
    """Safe loader that refuses files over the limits, and keys that are given twice."""

    def get_single_node(self) -> Any:
        """Return the file's node. This is called before any value is made from it."""
        node = super().get_single_node()
        if node is not None and _expanded_size(node, {}) > MAX_VALUES:
            raise yaml.constructor.ConstructorError(
                None, None, f"its aliases expand to more than {MAX_VALUES:,} values", node.start_mark
            )
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Refuse a key that is given twice. YAML itself would use the later one."""
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = next((key for place, key in enumerate(keys) if key in keys[:place]), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {shortened(twice)} is given twice", node.start_mark
            )
        super().flatten_mapping(node)


def _expanded_size(node: yaml.Node, sizes: dict[int, int | None]) -> int:
    """Count the values below a node. Each node is visited once, however often aliases name it."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in sizes:
        sizes[id(node)] = None  # being counted; meeting it again means a cycle
        inner = [each for pair in node.value for each in (pair if isinstance(pair, tuple) else (pair,))]
        sizes[id(node)] = 1 + sum(_expanded_size(each, sizes) for each in inner)
    size = sizes[id(node)]
    if size is None:
        raise yaml.constructor.ConstructorError(None, None, "an alias contains itself", node.start_mark)
    return size
