"""Experiments as files: reading them, and expanding their variables and matrices into stages.

An experiment is YAML of ``kind: experiment``::

    kind: experiment
    title: Accuracy and the number of bits
    source: Hou, Zheng and Gould, Fig 12
    define: {...}                  # a place for YAML anchors; nothing reads it. Merge one (<<: *name), not a
                                  # list: its order, and so a stage's key, depends on PyYAML's version
    sizes:
      cpu:
        seeds: 3                   # how many, unless the command line says
        time: half an hour on two cores
        variables: {epochs: 4}     # ${epochs} in what follows
        matrix:                    # every combination is a panel: stages, a record and a figure of its own
          network: [alexnet, resnet18]
          data:
            cifar10: {module: {class_path: CIFAR10}}     # ${data} is cifar10, ${data.module} the mapping
        stages:
          - {name: judge, kind: fit, shared: true, ...}
          - {name: "c-${bits}", kind: fit, matrix: {bits: [1, 2]}, model: {classifiers: ["${judge}"]}}
          - {name: accuracy, kind: evaluate, methods: {"colorcnn": ["colorcnn:${c-1}", "colorcnn:${c-2}"]}}

A stage takes the output of an earlier one by its name. Where a value is nothing but a reference, it keeps
the type of what it stands for. A stage that no measurement needs is left out.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from colorcnn.errors import ColorCNNError, UsageError, unknown_name

SIZES = ("cpu", "paper")
_EXPERIMENT = ("kind", "title", "source", "define", "sizes")
_SIZE = ("seeds", "time", "variables", "matrix", "stages")
_STAGE = ("name", "kind", "matrix", "shared")
_SAFE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same, compiled where that is there
_REFERENCE = re.compile(r"\$\{([^${}]+)\}")
_NAME = re.compile(r"[\w.+-]+")


class _Loader(_SAFE):
    """Refuses a key that is given twice, of which YAML would take the later one."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = next((key for place, key in enumerate(keys) if key in keys[:place]), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {twice} is given twice", node.start_mark
            )
        super().flatten_mapping(node)


@dataclass(frozen=True)
class Stage:
    """One step of an experiment.

    Attributes:
        name: how later stages refer to it.
        kind: a key of :data:`colorcnn.reproduce.stages.KINDS`.
        options: of the kind; references to earlier stages are still written ``${name}``.
        shared: done once, with the first seed, for all seeds.
    """

    name: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    shared: bool = False


@dataclass(frozen=True)
class Panel:
    """The stages of one combination of an experiment's matrix; its name is empty without a matrix."""

    name: str
    stages: tuple[Stage, ...]


@dataclass(frozen=True)
class Size:
    """An experiment at one size: for a CPU, or as published.

    Attributes:
        panels: each has a record of its own.
        seeds: how many seeds it is run with by default.
        time: about how long it takes, in words.
    """

    panels: tuple[Panel, ...]
    seeds: int = 1
    time: str = ""


@dataclass(frozen=True)
class Experiment:
    """An experiment file.

    Attributes:
        name: the file's, without its ending.
        path: of the file.
        title: what is asked.
        source: the paper and its table or figure.
        sizes: by name, in :data:`SIZES`.
    """

    name: str
    path: Path
    title: str
    source: str
    sizes: Mapping[str, Size]

    def size(self, name: str) -> Size:
        """Look a size up.

        Raises:
            UsageError: the experiment has none of that name.
        """
        if name not in self.sizes:
            raise unknown_name(f"size of {self.name}", name, self.sizes)
        return self.sizes[name]


def substitute(value: Any, replace: Callable[[str], Any]) -> Any:
    """Put something in the place of every ``${name}`` in strings, also those inside lists and mappings.

    Args:
        value: of YAML's types.
        replace: name -> what it stands for; put in as it is where it is all of a string, else as text.
    """
    if isinstance(value, Mapping):
        return {substitute(key, replace): substitute(item, replace) for key, item in value.items()}
    if isinstance(value, list):
        return [substitute(item, replace) for item in value]
    if not isinstance(value, str):
        return value
    whole = _REFERENCE.fullmatch(value)
    if whole:
        return replace(whole[1])
    text = _REFERENCE.sub(lambda match: str(replace(match[1])), value)
    return text if text == value else substitute(text, replace)  # ${a-${b}} names what b decides


def references(value: Any) -> list[str]:
    """The names in every ``${name}`` of a value, in order."""
    found: list[str] = []

    def note(name: str) -> str:
        found.append(name)
        return name

    substitute(value, note)
    return found


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping a YAML file holds.

    Raises:
        ColorCNNError: it cannot be read, or is no YAML mapping.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as error:
        raise ColorCNNError(f"{path} could not be read ({error.strerror}): check its name.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problem = " ".join(str(error).split())
        raise ColorCNNError(f"{path} is no valid YAML ({problem}): mend it there.") from error
    if not isinstance(content, dict):
        raise ColorCNNError(f"{path} is no YAML mapping: give a file of `kind: fit` or `kind: experiment`.")
    return content


def read_experiment(path: Path) -> Experiment:
    """Read an experiment file and check all but the options of its stages, which their kinds know.

    Raises:
        UsageError: something in it cannot be meant.
        ColorCNNError: it cannot be read.
    """
    content = read_yaml(path)
    if content.get("kind") != "experiment":
        raise UsageError(f"{path} is of kind {content.get('kind')!r}: give a file of `kind: experiment`.")
    _check_keys(content, _EXPERIMENT, ("title", "sizes"), str(path))
    sizes = content["sizes"]
    if not sizes:
        raise UsageError(f"{path}: sizes is empty; give one of {', '.join(SIZES)}.")
    for name in sizes:
        if name not in SIZES:
            raise unknown_name(f"size in {path}", name, SIZES)
    return Experiment(
        name=path.stem,
        path=path,
        title=str(content["title"]),
        source=str(content.get("source") or ""),
        sizes={name: _size(spec, f"{path}, size {name}") for name, spec in sizes.items()},
    )


def _size(spec: Mapping[str, Any], where: str) -> Size:
    _check_keys(spec, _SIZE, ("stages",), where)
    seeds = spec.get("seeds", 1)
    if type(seeds) is not int or seeds < 1:
        raise UsageError(f"{where}: seeds is {seeds!r}; give how many, a whole number from 1 up.")
    variables = dict(spec.get("variables") or {})
    panels: list[Panel] = []
    for name, chosen in _combinations(spec.get("matrix") or {}, where):
        if name in {panel.name for panel in panels} or (name and not _NAME.fullmatch(name)):
            raise UsageError(
                f"{where}: a combination of the matrix is called {name!r}, as another is, or as no file can "
                "be; give the values other names, of letters, digits, and the signs . + - _"
            )
        panels.append(Panel(name, tuple(_stages(spec["stages"], {**variables, **chosen}, where))))
    if not panels:
        raise UsageError(f"{where}: the matrix has an axis without values; give it some, or leave it out.")
    return Size(tuple(panels), seeds, str(spec.get("time", "")))


def _combinations(matrix: Mapping[str, Any], where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every choice of one value for each axis: its name, and the variables it sets."""
    if not isinstance(matrix, Mapping):
        raise UsageError(f"{where}: matrix is {matrix!r}; give a mapping of axes to their values.")
    axes: list[list[tuple[str, dict[str, Any]]]] = []
    for axis, values in matrix.items():
        if isinstance(values, Mapping) and all(isinstance(each or {}, Mapping) for each in values.values()):
            named = [
                (
                    str(name),
                    {axis: name, **{f"{axis}.{key}": item for key, item in (attributes or {}).items()}},
                )
                for name, attributes in values.items()
            ]
        elif isinstance(values, list):
            named = [(str(value), {axis: value}) for value in values]
        else:
            raise UsageError(
                f"{where}: the axis {axis} of a matrix is {values!r}; give a list of values, or a mapping "
                "of their names to attributes."
            )
        axes.append(named)
    for choice in itertools.product(*axes):
        variables = {key: value for _, chosen in choice for key, value in chosen.items()}
        yield "_".join(name for name, _ in choice), variables


def _stages(specs: Sequence[Any], variables: Mapping[str, Any], where: str) -> Iterator[Stage]:
    known: dict[str, Stage] = {}
    for spec in specs:
        place = f"{where}, stage {spec.get('name')!r}" if isinstance(spec, Mapping) else where
        if not isinstance(spec, Mapping):
            raise UsageError(f"{where}: a stage is {spec!r}; give a mapping with a name and a kind.")
        matrix = substitute(spec.get("matrix") or {}, lambda name: _look_up(name, variables, where))
        for _, chosen in _combinations(matrix, place):
            stage = _stage(spec, {**variables, **chosen}, known, place)
            known[stage.name] = stage
            yield stage


def _stage(
    spec: Mapping[str, Any], variables: Mapping[str, Any], known: Mapping[str, Stage], where: str
) -> Stage:
    own = {key: value for key, value in spec.items() if key != "matrix"}
    content = substitute(own, lambda name: _look_up(name, variables, where))
    name = str(content.pop("name", ""))
    kind = str(content.pop("kind", None))
    shared = content.pop("shared", False)
    if not isinstance(shared, bool):
        raise UsageError(f"{where}: shared is {shared!r}; give true or false.")
    if not _NAME.fullmatch(name):
        raise UsageError(f"{where}: give a name of letters, digits, and the signs . + - _")
    if name in known or name in variables:
        raise UsageError(f"{where}: the name {name} is taken by another stage or variable; choose another.")
    stray = re.search(r"\$\{[\w.+-]*\}?", str(substitute(content, lambda name: "")))
    if stray:
        raise UsageError(f"{where}: {stray[0]!r} has a ${{ that names nothing; write ${{NAME}}.")
    for reference in references(content):
        source = producer(reference, known)
        if source is None:
            raise UsageError(
                f"{where}: ${{{reference}}} is neither a variable nor an earlier stage; "
                f"there are {', '.join([*variables, *known]) or 'none'}."
            )
        if shared and not known[source].shared:
            raise UsageError(f"{where}: it is shared and takes {source}, which is not; share that, too.")
    return Stage(name, kind, content, shared)


def _look_up(name: str, variables: Mapping[str, Any], where: str, trail: tuple[str, ...] = ()) -> Any:
    """A variable's value, with the variables in it looked up, too; a stage's name stays a reference."""
    if name not in variables:
        return f"${{{name}}}"
    if name in trail:
        raise UsageError(f"{where}: the variables {', '.join(trail)} stand for each other; give one a value.")
    return substitute(variables[name], lambda inner: _look_up(inner, variables, where, (*trail, name)))


def producer(reference: str, known: Mapping[str, Any]) -> str | None:
    """The stage whose output a reference means: ``name``, or ``name.part``; None where there is none."""
    for name in (reference, reference.rpartition(".")[0]):
        if name in known:
            return name
    return None


def _check_keys(
    content: Mapping[str, Any], allowed: Sequence[str], required: Sequence[str], where: str
) -> None:
    check_options(content, allowed, required, where)
    for key in ("sizes", "variables", "matrix"):
        if not isinstance(content.get(key) or {}, Mapping):
            raise UsageError(f"{where}: {key} is {content[key]!r}; give a mapping.")
    if not isinstance(content.get("stages") or [], list):
        raise UsageError(f"{where}: stages is {content['stages']!r}; give a list.")


def check_options(
    content: Mapping[str, Any], allowed: Sequence[str], required: Sequence[str], where: str
) -> None:
    """Refuse options that do not exist, and missing ones that must.

    Raises:
        UsageError: names the option, and those there are.
    """
    if not isinstance(content, Mapping):
        raise UsageError(f"{where}: there is {content!r} in place of a mapping with {', '.join(required)}.")
    for key in content:
        if key not in allowed:
            raise UsageError(f"{where}: there is no option {key!r}; choose among {', '.join(allowed)}.")
    for key in required:
        if content.get(key) is None:
            raise UsageError(f"{where}: {key} is missing; give it.")
