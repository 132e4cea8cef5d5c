"""Read experiment files: expand variables and matrices into variants and stages.

An experiment is YAML of ``kind: experiment``::

    kind: experiment
    title: Accuracy and the number of bits
    source: Hou, Zheng and Gould, Fig 12
    define: {...}                  # a place for YAML anchors; nothing reads it. Merge one (<<: *name), not a
                                  # list: the order of merged lists, and so the cache key, depends on
                                  # PyYAML's version
    scales:                        # `sizes` is accepted, too
      cpu:
        seeds: 3                   # the number of seeds, unless the command line gives one
        time: half an hour on two cores   # the expected time, in words
        variables: {epochs: 4}     # ${epochs} in the stages
        matrix:                    # every combination is a variant: it has its own stages, record and figure
          network: [alexnet, resnet18]
          data:
            cifar10: {module: {class_path: CIFAR10}}     # ${data} is cifar10, ${data.module} the mapping
        stages:
          - {name: judge, kind: fit, shared: true, ...}
          - {name: "c-${bits}", kind: fit, matrix: {bits: [1, 2]}, model: {classifiers: ["${judge}"]}}
          - {name: accuracy, kind: evaluate, methods: {"colorcnn": ["colorcnn:${c-1}", "colorcnn:${c-2}"]}}

A stage uses the output of an earlier stage by its name. If the whole value is one reference, the type is
kept; otherwise text is inserted. A stage that no measurement needs is left out.

The size of an experiment is limited by :data:`MAX_SEEDS`, :data:`MAX_STAGES`, :data:`MAX_EXPANDED`, and the
limits of :mod:`colorcnn.reproduce.yaml_file`.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from colorcnn.errors import UsageError, quoted, shortened, unknown_name
from colorcnn.reproduce.experiment import SCALES, Experiment, Scale, Stage, Variant
from colorcnn.reproduce.options import check_options
from colorcnn.reproduce.references import producer, references, substitute
from colorcnn.reproduce.yaml_file import read_yaml

MAX_SEEDS = 100
"""The largest number of seeds."""

MAX_STAGES = 5_000
"""The largest number of stages of all variants of a scale."""

MAX_EXPANDED = 5_000_000
"""Maximum size of a scale's expanded variables, in values and characters."""

_EXPERIMENT = ("kind", "title", "source", "define")
_SCALE = ("seeds", "time", "variables", "matrix", "stages")
_NAME = re.compile(r"[\w.+-]+")
_LETTERS = "use letters, digits, and the signs . + - _"


def read_experiment(path: Path) -> Experiment:
    """Read an experiment file and check it, except for the options of its stages.

    Raises:
        UsageError: something in the file is invalid, or over a limit.
        ColorCNNError: the file cannot be read.
    """
    content = read_yaml(path)
    if content.get("kind") != "experiment":
        raise UsageError(
            f"{path} is of kind {quoted(content.get('kind'))}: give a file of `kind: experiment`."
        )
    if "sizes" in content and "scales" in content:
        raise UsageError(f"{path} has sizes and scales, which are the same: give one of them.")
    word = "sizes" if "sizes" in content else "scales"
    _check_keys(content, (*_EXPERIMENT, word), ("title", word), str(path))
    scales = content[word]
    if not scales:
        raise UsageError(f"{path}: {word} is empty; give one of {', '.join(SCALES)}.")
    for name in scales:
        if name not in SCALES:
            raise unknown_name(f"scale in {path}", name, SCALES)
    return Experiment(
        name=path.stem,
        path=path,
        title=str(content["title"]),
        source=str(content.get("source") or ""),
        scales={name: _scale(spec, f"{path}, scale {name}") for name, spec in scales.items()},
    )


def check_seeds(seeds: Any, where: str) -> None:
    """Raise if the number of seeds is not a whole number from 1 to :data:`MAX_SEEDS`.

    Args:
        seeds: the value that was given.
        where: the place in the file or the name of the option, for the message.

    Raises:
        UsageError: the number is not allowed.
    """
    if type(seeds) is not int or not 1 <= seeds <= MAX_SEEDS:
        raise UsageError(f"{where} is {quoted(seeds)}: give a whole number from 1 to {MAX_SEEDS}.")


def _scale(spec: Mapping[str, Any], where: str) -> Scale:
    _check_keys(spec, _SCALE, ("stages", "time"), where)
    seeds = spec.get("seeds", 1)
    check_seeds(seeds, f"{where}: seeds")
    variables = _Variables(dict(spec.get("variables") or {}), where)
    variants: dict[str, Variant] = {}
    left = MAX_STAGES
    for name, chosen in _combinations(spec.get("matrix") or {}, where):
        if name in variants:
            raise UsageError(f"{where}: two combinations of the matrix are named {quoted(name)}; rename one.")
        if name and not _NAME.fullmatch(name):
            raise UsageError(f"{where}: {quoted(name)} cannot name a file; {_LETTERS}.")
        stages = tuple(itertools.islice(_stages(spec["stages"], variables.extended(chosen), where), left + 1))
        left -= len(stages)
        if left < 0:
            raise UsageError(f"{where}: there are more than {MAX_STAGES:,} stages; split the experiment.")
        variants[name] = Variant(name, stages)
    if not variants:
        raise UsageError(f"{where}: an axis of the matrix has no values; add some, or remove the axis.")
    return Scale(tuple(variants.values()), seeds, str(spec["time"]))


def _combinations(matrix: Mapping[str, Any], where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every choice of one value for each axis: its name, and the variables it sets."""
    if not isinstance(matrix, Mapping):
        raise UsageError(f"{where}: matrix is {quoted(matrix)}; give a mapping of axes to their values.")
    axes = [_axis(axis, values, where) for axis, values in matrix.items()]
    if math.prod(map(len, axes)) > MAX_STAGES:
        raise UsageError(f"{where}: the matrix has more than {MAX_STAGES:,} combinations; take fewer values.")
    for choice in itertools.product(*axes):
        variables = {key: value for _, chosen in choice for key, value in chosen.items()}
        yield "_".join(name for name, _ in choice), variables


def _axis(axis: str, values: Any, where: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the values of one axis: the name of each, and the variables it sets."""
    if isinstance(values, list):
        return [(str(value), {axis: value}) for value in values]
    if isinstance(values, Mapping) and all(isinstance(each or {}, Mapping) for each in values.values()):
        return [
            (str(name), {axis: name, **{f"{axis}.{key}": item for key, item in (attributes or {}).items()}})
            for name, attributes in values.items()
        ]
    raise UsageError(
        f"{where}: the axis {shortened(axis)} of a matrix is {quoted(values)}; give a list of values, or "
        "a mapping from each value to its attributes."
    )


def _stages(specs: Sequence[Any], variables: _Variables, where: str) -> Iterator[Stage]:
    known: dict[str, Stage] = {}
    for spec in specs:
        place = f"{where}, stage {quoted(spec.get('name'))}" if isinstance(spec, Mapping) else where
        if not isinstance(spec, Mapping):
            raise UsageError(f"{where}: a stage is {quoted(spec)}; give a mapping with a name and a kind.")
        matrix = variables.inserted(spec.get("matrix") or {})
        for _, chosen in _combinations(matrix, place):
            stage = _stage(spec, variables.extended(chosen, place), known, place)
            known[stage.name] = stage
            yield stage


def _stage(spec: Mapping[str, Any], variables: _Variables, known: Mapping[str, Stage], where: str) -> Stage:
    content = variables.inserted({key: value for key, value in spec.items() if key != "matrix"})
    name = str(content.pop("name", ""))
    kind = str(content.pop("kind", None))
    shared = content.pop("shared", False)
    if not isinstance(shared, bool):
        raise UsageError(f"{where}: shared is {quoted(shared)}; give true or false.")
    if not _NAME.fullmatch(name):
        raise UsageError(f"{where}: the name {quoted(name)} is not allowed; {_LETTERS}.")
    if name in known or name in variables.values:
        raise UsageError(
            f"{where}: the name {shortened(name)} is taken by another stage or variable; choose another."
        )
    stray = re.search(r"\$\{[\w.+-]*\}?", str(substitute(content, lambda name: "")))
    if stray:
        raise UsageError(f"{where}: {quoted(stray[0])} has a ${{ without a valid name; write ${{NAME}}.")
    for reference in references(content):
        source = producer(reference, known)
        if source is None:
            raise UsageError(
                f"{where}: {shortened('${' + reference + '}')} is neither a variable nor an earlier stage; "
                f"known names: {shortened(', '.join([*variables.values, *known]) or 'none', 100)}."
            )
        if shared and not known[source].shared:
            raise UsageError(
                f"{where} is shared and uses {shortened(source)}, which is not shared; share both."
            )
    return Stage(name, kind, content, shared)


@dataclass
class _Budget:
    """Remaining size of a scale's expanded variables."""

    left: int = MAX_EXPANDED


class _Variables:
    """Variables, and their insertion into stages within :data:`MAX_EXPANDED`.

    Args:
        values: values by name. They may refer to each other.
        where: the place in the file, for messages.
        budget: the remaining size, shared by all variables of a scale.
    """

    def __init__(self, values: Mapping[str, Any], where: str, budget: _Budget | None = None) -> None:
        self.values = values
        self._where = where
        self._budget = budget or _Budget()
        self._sizes: dict[str, int] = {}

    def extended(self, more: Mapping[str, Any], where: str | None = None) -> _Variables:
        """Return these variables and more of them.

        Args:
            more: values by name. They replace others of that name.
            where: the place in the file, if it is another one.
        """
        return _Variables({**self.values, **more}, where or self._where, self._budget)

    def inserted(self, value: Any) -> Any:
        """Return a value with its variables inserted. References to stages stay as they are.

        Raises:
            UsageError: variables refer to each other in a circle, or expand to more than
                :data:`MAX_EXPANDED`.
        """
        return substitute(value, self._look_up)

    def _look_up(self, name: str, trail: tuple[str, ...] = ()) -> Any:
        if name not in self.values:
            return f"${{{name}}}"
        if name in trail:
            circle = shortened(", ".join(trail))
            raise UsageError(f"{self._where}: the variables {circle} refer to each other; give one a value.")
        if name not in self._sizes:
            self._sizes[name] = _size(self.values[name])
        self._budget.left -= self._sizes[name]
        if self._budget.left < 0:
            raise UsageError(
                f"{self._where}: its variables expand to more than {MAX_EXPANDED:,} values and characters; "
                "shorten them."
            )
        return substitute(self.values[name], lambda inner: self._look_up(inner, (*trail, name)))


def _size(value: Any) -> int:
    """Count the values inside a value and the characters of its texts."""
    if isinstance(value, Mapping):
        return 1 + sum(_size(key) + _size(item) for key, item in value.items())
    if isinstance(value, list):
        return 1 + sum(map(_size, value))
    return 1 + (len(value) if isinstance(value, str) else 0)


def _check_keys(
    content: Mapping[str, Any], allowed: Sequence[str], required: Sequence[str], where: str
) -> None:
    check_options(content, allowed, required, where)
    for key in ("scales", "sizes", "variables", "matrix"):
        if not isinstance(content.get(key) or {}, Mapping):
            raise UsageError(f"{where}: {key} is {quoted(content[key])}; give a mapping.")
    if not isinstance(content.get("stages") or [], list):
        raise UsageError(f"{where}: stages is {quoted(content['stages'])}; give a list.")
