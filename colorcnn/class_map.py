"""Map from a classifier's classes to those of the data, for example from ImageNet to ten own folders."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from colorcnn import schema
from colorcnn.errors import ColorCNNError, UsageError, quoted, similar_name

CURE = 'write an object such as {"cat": 281, "dog": ["beagle", 235]}'
Class = int | str
_Map = dict[str, Class | list[Class]]


class Regrouped(nn.Module):
    """A classifier whose classes are grouped into those of the data.

    The logit of a group is the log-sum-exp of its classes' logits. So the softmax gives the probability of
    the group among all groups.

    Args:
        network: network with logits (B, K).
        groups: for each class of the data, the positions of its classes among the K.
    """

    def __init__(self, network: nn.Module, groups: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.network = network
        self.groups = [list(group) for group in groups]
        self.num_classes = len(self.groups)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of the groups, (B, number of groups).

        Args:
            images: (B, 3, H, W) in [0, 1].

        Raises:
            ColorCNNError: a position is too large for the network's logits.
        """
        logits = self.network(images)
        largest = max(map(max, self.groups))
        if largest >= logits.shape[1]:
            raise ColorCNNError(
                f"The map of classes has class {largest}, but the classifier has only {logits.shape[1]}, "
                "counted from 0: correct the map."
            )
        return torch.stack([logits[:, group].logsumexp(dim=1) for group in self.groups], dim=1)


def read_class_map(path: str | os.PathLike[str]) -> dict[str, list[Class]]:
    """Read a map of classes.

    Args:
        path: a JSON object: class of the data -> a class of the classifier or a list of classes, each as its
            position from 0 or its name.

    Raises:
        ColorCNNError: the file is missing, damaged, or not a map.
    """
    path = Path(path)
    try:
        content = schema.parse_json(schema.read_file(path, CURE), path, CURE)
    except FileNotFoundError as error:
        raise ColorCNNError(f"{path} does not exist: check the path.") from error
    found = schema.convert(content, _Map, path, CURE)
    groups = {name: value if isinstance(value, list) else [value] for name, value in found.items()}
    if empty := [name for name, group in groups.items() if not group]:
        raise ColorCNNError(f"{path} gives {quoted(empty[0])} no class: {CURE}.")
    return groups


def regroup(
    network: nn.Module, class_map: Mapping[str, Sequence[Class]], class_names: Sequence[str]
) -> Regrouped:
    """Group the classes of a classifier into those of a data set.

    Args:
        network: the classifier; names in the map are searched in its ``classes``.
        class_map: class of the data -> classes of the classifier, see :func:`read_class_map`.
        class_names: classes of the data, in the order of the labels.

    Raises:
        UsageError: a class of the data has no classes, or a class of the classifier is unknown.
    """
    missing = [name for name in class_names if name not in class_map]
    strange = sorted(set(class_map) - set(class_names))
    if missing or strange:
        problem = f"lacks the class {quoted(missing[0])}" if missing else f"has {quoted(strange[0])}"
        raise UsageError(
            f"The map of classes {problem}, and the data have {', '.join(class_names[:20])}: correct the map."
        )
    names: Any = getattr(network, "classes", ())
    return Regrouped(network, [[_position(one, names) for one in class_map[name]] for name in class_names])


def _position(wanted: Class, names: Sequence[str]) -> int:
    if isinstance(wanted, int):
        if wanted < 0:
            raise UsageError(f"The map of classes has the class {wanted}: count from 0.")
        return wanted
    plain = [name.lower() for name in names]
    if wanted.lower() not in plain:
        similar = similar_name(wanted, names)
        hint = f", did you mean {similar!r}?" if similar else ""
        reason = "" if names else ", because its classes have no names"
        raise UsageError(f"The classifier has no class {quoted(wanted)}{hint}{reason}: give its position.")
    return plain.index(wanted.lower())
