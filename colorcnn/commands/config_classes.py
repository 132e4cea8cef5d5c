"""Checks of the classes in a configuration of ``fit``, before they are imported and built."""

from __future__ import annotations

import copy
import inspect
import re
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import is_dataclass
from itertools import pairwise
from pathlib import Path, PurePath
from types import UnionType
from typing import Annotated, Any

import msgspec
from jsonargparse import Namespace, _common, set_parsing_settings

from colorcnn import schema, trust
from colorcnn.errors import UsageError, named_by_option, shortened
from colorcnn.reproduce.yaml_file import read_yaml

_PLAIN = (bool, int, float, complex, str, bytes, type(None), dict, list, tuple, set, object)
_CONTAINERS = (typing.Union, UnionType, list, tuple, set, Sequence, Iterable)
_PARSER_STATE: dict[str, Any] = getattr(_common, "parsing_settings", {})
"""The parser's settings, which are global: the library has no public way to restore them."""
_DENIED = re.compile(r"Importing '([^']*)' is not allowed")


@contextmanager
def limited_parser(allowed: Iterable[str]) -> Iterator[None]:
    """Context that limits the imports of the parser of configurations.

    The parser checks the path it imports, and also the module that defines the class.

    Args:
        allowed: trusted modules and packages in addition to :data:`colorcnn.trust.PACKAGES`.
    """
    before = copy.deepcopy(_PARSER_STATE)
    set_parsing_settings(
        import_path_denylist=["*", *trust.REFUSED],
        import_path_allowlist=[*trust.PACKAGES, *allowed],
        instantiate_subclass_spec_in_any=False,
        validate_subclass_spec_in_any=False,  # refuse_hidden_classes gives a clearer error
        config_read_mode_urls_enabled=False,
        config_read_mode_fsspec_enabled=False,
    )
    try:
        yield
    finally:
        _PARSER_STATE.clear()
        _PARSER_STATE.update(before)


class _Fit(msgspec.Struct):
    """The sections of a configuration. The parser checks their content."""

    model: str | dict[str, Any] | None = None
    data: str | dict[str, Any] | None = None
    trainer: dict[str, Any] = {}
    seed_everything: bool | Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)] | None = None


def check_configs(argv: Sequence[str]) -> None:
    """Raise if a configuration file is over a limit, or has sections of wrong types.

    Args:
        argv: the command line with the names of the files.

    Raises:
        ColorCNNError: a file is invalid.
    """
    words = [part for word in argv for part in (word.split("=", 1) if word.startswith("-") else [word])]
    for word, after in pairwise(words):
        if word in ("--config", "-c") and Path(after).is_file():
            with named_by_option():
                schema.convert(read_yaml(Path(after)), _Fit, after, "correct it there")


def denied_import(message: str) -> UsageError | None:
    """Return our error for an import that the parser refused, or None if the message is another one."""
    found = _DENIED.search(message)
    return trust.refused(found[1]) if found else None


def refuse_hidden_classes(config: Mapping[str, Any] | Namespace) -> None:
    """Raise if a class stands in place of a plain value, or a function in place of a class.

    Args:
        config: a parsed configuration, before its classes are built.

    Raises:
        UsageError: a value is not allowed.
    """
    for key, value in _items(config):
        _check(value, key)


def _check(value: Any, place: str, wants_class: bool = True) -> None:
    if inspect.isroutine(value) and not _is_trusted(value):
        raise UsageError(
            f"{_tail(place)} names the function {value.__qualname__}: give a class, or a plain value."
        )
    if isinstance(value, list | tuple):
        for number, item in enumerate(value):
            _check(item, f"{place}[{number}]", wants_class)
    elif isinstance(value, Mapping | Namespace):
        _check_mapping(value, place, wants_class)


def _check_mapping(value: Mapping[str, Any] | Namespace, place: str, wants_class: bool) -> None:
    content = dict(_items(value))
    if "class_path" not in content:
        for key, item in content.items():
            _check(item, f"{place}.{key}", wants_class)
        return
    if not wants_class:
        raise UsageError(
            f"{_tail(place)} has a class_path, but must be a plain value: give a number, text, or a list."
        )
    trust.check_class_path(content["class_path"])
    wanted = _options_of_class_type(content["class_path"])
    for key, item in _items(content.get("init_args") or {}):
        _check(item, f"{place}.init_args.{key}", key in wanted)
    _check(content.get("dict_kwargs"), f"{place}.dict_kwargs", wants_class=False)


def _options_of_class_type(path: str) -> set[str]:
    """Return the options of a class whose values are objects. The parser has found the class before."""
    from jsonargparse.typing import import_object

    cls = import_object(path)
    if not inspect.isclass(cls):
        raise UsageError(f"class_path {shortened(path)} is not a class: give the path of a class.")
    found: set[str] = set()
    for base in cls.__mro__:
        try:
            hints = typing.get_type_hints(vars(base).get("__init__"))
        except (NameError, TypeError, AttributeError):  # an annotation that only type checkers can resolve
            continue
        found |= {name for name, hint in hints.items() if _wants_class(hint)}
    return found


def _wants_class(hint: Any) -> bool:
    if typing.get_origin(hint) in _CONTAINERS:
        return any(map(_wants_class, typing.get_args(hint)))
    plain = hint in _PLAIN or is_dataclass(hint)
    return inspect.isclass(hint) and not plain and not issubclass(hint, PurePath)


def _tail(place: str) -> str:
    """Shorten a key path to its end, which is the most specific part."""
    return place if len(place) <= 120 else f"...{shortened(place[-117:], 117)}"


def _is_trusted(function: Any) -> bool:
    try:
        trust.check_module(f"{function.__module__}")
    except UsageError:
        return False
    return True


def _items(value: Mapping[str, Any] | Namespace) -> Iterable[tuple[str, Any]]:
    return vars(value).items() if isinstance(value, Namespace) else value.items()
