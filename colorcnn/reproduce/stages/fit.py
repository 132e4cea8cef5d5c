"""Stages of kind ``fit``: a training with ``colorcnn fit``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import msgspec
import yaml

import colorcnn.data
import colorcnn.tasks
from colorcnn import schema
from colorcnn.dcq.pruning import DYNAMICS
from colorcnn.errors import ColorCNNError, UsageError, quoted, unknown_name
from colorcnn.files import write_atomically
from colorcnn.pretrained import check_pretrained
from colorcnn.reproduce.options import Content, described_as
from colorcnn.reproduce.stages.base import StageContext, StageKind
from colorcnn.reproduce.yaml_file import read_yaml

CHECKPOINTS = ("last", "best")
_FILES = {"dynamics": DYNAMICS, "scores": "scores.jsonl"}
_SECTIONS = ("kind", "seed_everything", "model", "data", "trainer")


_CHANGES = described_as("a mapping, or a list of mappings")


@dataclass(frozen=True)
class FitOptions:
    """Options of :class:`FitStage`.

    A change is a mapping, or a list of mappings that are applied one after the other. Changes are merged
    recursively. An empty mapping inside a change replaces a value instead of being merged.

    Attributes:
        config: the path of a file of ``kind: fit``, relative to the experiment's file; or a whole
            configuration.
        model: changes to the options of the task; or ``class_path`` and ``init_args`` to replace the task.
        data: changes to the options of the data set; or ``class_path`` and ``init_args`` to replace it.
        trainer: changes to the options of the trainer.
        save: ``weights`` keeps only the weights when the stage has ended, a third of the size. ``whole``
            keeps whole checkpoints. Until the stage ends, both can be resumed.
    """

    config: str | Content = field(default_factory=dict, metadata=described_as("a file's name, or a mapping"))
    model: Content | list[Content] = field(default_factory=dict, metadata=_CHANGES)
    data: Content | list[Content] = field(default_factory=dict, metadata=_CHANGES)
    trainer: Content | list[Content] = field(default_factory=dict, metadata=_CHANGES)
    save: Literal["weights", "whole"] = "weights"


class FitStage(StageKind):
    """Stage that trains and writes checkpoints.

    Its outputs are the last checkpoint (``${name}``) and the best one on validation (``${name.best}``).
    ``${name.scores}`` is the file with the logged scores of every epoch. ``${name.dynamics}`` is the record
    of the callback TrainingDynamics, if the trainer has that callback.
    """

    options_type = FitOptions
    cosmetic_options = ("save",)
    resumes = True

    def describe(self, options: Mapping[str, Any], home: Path) -> dict[str, Any]:
        """See :meth:`StageKind.describe`: the whole configuration.

        Raises:
            UsageError: the configuration names no class, or an option is unknown.
        """
        config = options.get("config", {})
        whole = _configuration(config, home)
        for section in ("model", "data"):
            whole[section] = dict(whole.get(section) or {})
            for change in changes_of(options, section):
                whole[section] = _changed_class(whole[section], change)
            if "class_path" not in whole[section]:
                raise UsageError(
                    f"The configuration {quoted(config)} names no class for {section}: "
                    f"give {section} with class_path and init_args."
                )
        whole["trainer"] = whole.get("trainer") or {}
        for change in changes_of(options, "trainer"):
            whole["trainer"] = merged(whole["trainer"], change)
        _check_names(whole)
        whole.pop("seed_everything", None)  # replaced by the seed of the run
        return {**whole, "kind": "fit", "save": options.get("save", FitOptions.save)}

    def data_specs(self, options: Mapping[str, Any], home: Path) -> list[Mapping[str, Any]]:
        """See :meth:`StageKind.data_specs`: the data of the configuration, with the changes to it."""
        config = options.get("config", {})
        data = _configuration(config, home).get("data") or {}
        for change in changes_of(options, "data"):
            data = _changed_class(data, change)
        return [data]

    def run(self, description: Mapping[str, Any], context: StageContext) -> None:
        """See :meth:`StageKind.run`."""
        from colorcnn.tasks.checkpoints import has_weights_alone, keep_weights

        folder = context.folder
        config = folder / "fit.yaml"
        content = self._with_surroundings(description, context)
        write_atomically(config, yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode())
        argv = ["fit", "--config", str(config), "--name", folder.name]
        last, weights_alone = self.output(folder, "last"), description.get("save") == "weights"
        if last.exists():
            if weights_alone and has_weights_alone(last):
                return  # the training is complete
            argv += ["--ckpt_path", "last"]
        try:
            context.fit(argv, folder.parent)
        except UsageError as error:
            error.problem = f"{config}: {error.problem}"  # the error keeps its code
            raise
        except SystemExit as stop:  # the trainer exits after an interrupt
            raise KeyboardInterrupt from stop
        if not last.exists():
            raise ColorCNNError(f"The training wrote no {last}: set trainer.max_epochs to at least 1.")
        if weights_alone:
            for name in reversed(CHECKPOINTS):  # last.ckpt is rewritten last and so marks the end
                if self.output(folder, name).exists():
                    keep_weights(self.output(folder, name))

    def output(self, folder: Path, part: str) -> Path:
        """See :meth:`StageKind.output`."""
        if part in _FILES:
            return folder / _FILES[part]
        if part and part not in CHECKPOINTS:
            return super().output(folder, part)
        return folder / "checkpoints" / f"{part or 'last'}.ckpt"

    @staticmethod
    def _with_surroundings(description: Mapping[str, Any], context: StageContext) -> dict[str, Any]:
        """Return the configuration with options that depend on the machine, not on the experiment."""
        data = dict(description["data"])
        if context.download and _can_download(data["class_path"]):
            data["init_args"] = {**(data.get("init_args") or {}), "download": True}
        trainer = dict(description["trainer"])
        kind, _, index = context.device.partition(":")
        if kind != "auto":
            trainer["accelerator"] = "gpu" if kind == "cuda" else kind
        # With several devices, Lightning would start this command, the whole experiment, once per device.
        trainer.setdefault("devices", [int(index)] if index else 1)
        config = {name: value for name, value in description.items() if name != "save"}
        return {**config, "seed_everything": context.seed, "data": data, "trainer": trainer}


class _Described(msgspec.Struct):
    """A class, with its options."""

    class_path: str | None = None
    init_args: dict[str, Any] | None = None


class _Configuration(msgspec.Struct):
    """The sections of a configuration that are mappings."""

    model: _Described | None = None
    data: _Described | None = None
    trainer: dict[str, Any] | None = None


def _configuration(config: Any, home: Path) -> dict[str, Any]:
    """Return a configuration, read from its file if it is a path. Its sections are checked."""
    place = home / config if isinstance(config, str) else "The configuration"
    whole = read_yaml(home / config) if isinstance(config, str) else config
    schema.convert(whole, _Configuration, place, "correct it there")
    return dict(whole)


def _check_names(config: Mapping[str, Any]) -> None:
    """Raise if an option is unknown, before any stage trains."""
    for key in config:
        if key not in _SECTIONS:
            raise unknown_name("section of the configuration", key, _SECTIONS)
    check_class("model", config["model"], colorcnn.tasks)
    check_class("data", config["data"], colorcnn.data)
    names = (config["model"].get("init_args") or {}).get("classifiers", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError(f"classifiers is {quoted(names)}: give a list of names.")
    for name in names:
        check_pretrained(name)
    from colorcnn.tasks.trainer import trainer_options

    known = trainer_options()
    for option in config["trainer"]:
        if option not in known:
            raise unknown_name("option of the trainer", option, known)


def check_class(section: str, described: Mapping[str, Any], module: ModuleType) -> None:
    """Raise if a class of this package does not have an option. Other classes are not checked.

    Args:
        section: ``model`` or ``data``.
        described: ``class_path`` and ``init_args``.
        module: the package of the classes that are checked.

    Raises:
        UsageError: an option is unknown. The message lists the known ones.
    """
    for key in described:
        if key not in ("class_path", "init_args"):
            raise UsageError(f"{section} has {quoted(key)}: give class_path, and options below init_args.")
    options = described.get("init_args") or {}
    if not isinstance(options, Mapping):
        raise UsageError(f"{section} has the init_args {quoted(options)}: give a mapping of options.")
    path = described.get("class_path")
    if not isinstance(path, str):
        raise UsageError(f"{section} has the class_path {quoted(path)}: give the path of a class.")
    package, _, name = path.rpartition(".")
    if package not in ("", module.__name__):
        return
    if name not in module.__all__:
        raise unknown_name(f"class for {section}", name, module.__all__)
    known = _options(getattr(module, name))
    if name == "ColorCNNTask":
        from colorcnn.tasks.options import grouped

        options = grouped(options)
    for option in options:
        if option not in known:
            raise unknown_name(f"option of {name}", option, known)


def _options(cls: type) -> dict[str, Any]:
    """Return the options of a class and of the base classes that it passes options to."""
    known: dict[str, Any] = {}
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(base).parameters
        named = {name: each for name, each in parameters.items() if each.kind is not each.VAR_KEYWORD}
        known.update(named)
        if len(named) == len(parameters):
            break
    return known


def _can_download(class_path: str) -> bool:
    """Return True if a data set has the option ``download``. Data sets of vectors and crops do not."""
    known = getattr(colorcnn.data, class_path.rpartition(".")[2], None)
    return known is None or bool({"download", "options"} & inspect.signature(known).parameters.keys())


def changes_of(options: Mapping[str, Any], section: str) -> list[Any]:
    """Return the changes of a section as a list.

    Args:
        options: options of a stage.
        section: the name of the option, whose value is a mapping or a list of mappings.
    """
    changes = options.get(section, {})
    return changes if isinstance(changes, list) else [changes]


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping with changes merged into it, mapping by mapping.

    Args:
        base: the mapping to change; it is not modified.
        changes: values by key. An empty mapping replaces the value it changes.
    """
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        deeper = isinstance(value, Mapping) and value and isinstance(old, Mapping)
        result[key] = merged(old, value) if deeper else value  # type: ignore[arg-type]
    return result


def _changed_class(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    if "class_path" in changes:
        return dict(changes)
    return {**base, "init_args": merged(base.get("init_args") or {}, changes)}
