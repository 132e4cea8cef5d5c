"""Convert flat options of ColorCNNTask, as in older configurations and command lines, to groups."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonargparse
from jsonargparse._loaders_dumpers import get_loader_exceptions, yaml_dump, yaml_load

from colorcnn.reproduce.yaml_file import read_yaml
from colorcnn.tasks.options import FLAT, grouped

PARSER_MODE = "colorcnn"
"""Mode of the parser: YAML, with the options of ColorCNNTask in their groups."""

_TASK = "ColorCNNTask"
_FLAG = re.compile(rf"(--model\.(?:init_args\.)?)({'|'.join(FLAT)})(?=[.+=]|$)")


def in_groups(content: Any) -> Any:
    """Return a configuration with flat options of ColorCNNTask in their groups, wherever it names the task.

    Raises:
        UsageError: an option is given by its flat name and in its group.
    """
    if not isinstance(content, Mapping):
        return content
    if _is_task(content.get("class_path")) and isinstance(content.get("init_args"), Mapping):
        return {**content, "init_args": grouped(content["init_args"])}
    return {key: in_groups(value) for key, value in content.items()}


def flags_in_groups(argv: Sequence[str]) -> list[str]:
    """Return a command line with flat options of ColorCNNTask in their groups, if it trains that task.

    Args:
        argv: the sub-command and its options.
    """
    if not any(map(_FLAG.match, argv)) or not _is_task(_task_of(argv)):
        return list(argv)
    return [_FLAG.sub(lambda found: found[1] + ".".join(FLAT[found[2]]), word) for word in argv]


def _is_task(class_path: Any) -> bool:
    return isinstance(class_path, str) and class_path.rpartition(".")[2] == _TASK


def _task_of(argv: Sequence[str]) -> Any:
    """Return the class of the task: from the last configuration that names one, or from an option."""
    task: Any = None
    words = [part for word in argv for part in (word.split("=", 1) if word.startswith("-") else [word])]
    for word, after in pairwise(words):
        if word in ("--config", "-c") and Path(after).is_file():
            model = read_yaml(Path(after)).get("model")
            task = (model.get("class_path") if isinstance(model, Mapping) else model) or task
        elif word in ("--model", "--model.class_path"):
            task = after
    return task


jsonargparse.set_loader(PARSER_MODE, lambda text: in_groups(yaml_load(text)), get_loader_exceptions("yaml"))
jsonargparse.set_dumper(PARSER_MODE, yaml_dump)
