"""Options of experiment files: jsonargparse reads them into frozen dataclasses.

An option's type states its allowed values. Checks of several options together belong in ``__post_init__``.
References to other stages are texts such as ``${name}``. They are allowed wherever a text is allowed.
"""

from __future__ import annotations

import copy
import functools
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from colorcnn.errors import UsageError, quoted

if TYPE_CHECKING:
    Text = str
    PositiveInt = int
    PositiveFloat = float
    PaletteSize = int
    Content = dict[str, Any]
    from jsonargparse import ArgumentParser
else:
    from jsonargparse.typing import NotEmptyStr as Text
    from jsonargparse.typing import PositiveFloat, PositiveInt, restricted_number_type

    PaletteSize = restricted_number_type("PaletteSize", int, [(">=", 1), ("<=", 256)])
    Content = dict  # a mapping that other code validates: the parser passes it through

Options = TypeVar("Options")

_WORDS: dict[Any, tuple[str, str]] = {
    str: ("a text", "texts"),
    Text: ("a text", "texts"),
    bool: ("true or false", "values true or false"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    PositiveInt: ("a whole number from 1 up", "whole numbers from 1 up"),
    PositiveFloat: ("a number above 0", "numbers above 0"),
    PaletteSize: ("a whole number from 1 to 256", "whole numbers from 1 to 256"),
    types.NoneType: ("null", "nulls"),
}
"""A type in words for messages: singular and plural."""


def described_as(words: str) -> dict[str, str]:
    """Return metadata of a dataclass field: the allowed values in words, for error messages."""
    return {"words": words}


def read_options(cls: type[Options], given: Mapping[str, Any], where: str) -> Options:
    """Read options from a file into a dataclass.

    Args:
        cls: a frozen dataclass, with a field for each option.
        given: the options, as values of YAML's types.
        where: the place in the file, for messages.

    Raises:
        UsageError: an option is unknown, missing, of the wrong type, or in conflict with another.
    """
    check_options(given, option_names(cls), required_options(cls), where)
    text = f"{cls.__qualname__} {repr(given)}"  # noqa: RUF010 (quoted() would shorten it)
    if text not in _read:
        _read[text] = _parse(cls, given, where)
    return cast(Options, _read[text])


_read: dict[str, Any] = {}
"""Cache of parsed options. The variants of an experiment repeat many of them."""


def option_names(cls: type) -> list[str]:
    """Return the names of all options of a dataclass."""
    return [each.name for each in _fields(cls)]


def required_options(cls: type) -> list[str]:
    """Return the names of the options that must be given."""
    return [each.name for each in _fields(cls) if _is_required(each)]


def default_options(cls: type) -> dict[str, Any]:
    """Return the defaults of the options that have one, as values of YAML's types."""
    defaults = {}
    for each in _fields(cls):
        if not _is_required(each):
            factory = each.default_factory
            defaults[each.name] = each.default if factory is MISSING else factory()
    return defaults


def check_options(
    content: Mapping[str, Any], allowed: Sequence[str], required: Sequence[str], where: str
) -> None:
    """Refuse options that do not exist, and required options that are missing.

    Args:
        content: the options.
        allowed: names of all options.
        required: names of the options that must be given.
        where: the place in the file, for the message.

    Raises:
        UsageError: an option is unknown or missing. The message names it.
    """
    if not isinstance(content, Mapping):
        raise UsageError(f"{where} must be a mapping with {', '.join(required)}, but is {quoted(content)}.")
    for key in content:
        if key not in allowed:
            raise UsageError(
                f"{where}: there is no option {quoted(key)}; use one of {', '.join(allowed)}.",
                code="unknown-option",
                option=key,
            )
    for key in required:
        if content.get(key) is None:
            raise UsageError(f"{where}: {key} is missing; give it.", code="missing-option", option=key)


def _parse(cls: type[Options], given: Mapping[str, Any], where: str) -> Options:
    from jsonargparse import ArgumentError

    hints, parser = _hints(cast(type, cls)), _parser(cast(type, cls))
    refused = [name for name, value in given.items() if value is None and not _accepts(hints[name], None)]
    try:
        if not refused:
            # the parser changes nested mappings in place
            parsed = parser.parse_object(copy.deepcopy(dict(given)), defaults=False)
            build = getattr(parser, "instantiate", None) or parser.instantiate_classes  # older versions
            return cls(**vars(build(parsed)))
    except UsageError as error:
        raise UsageError(f"{where}: {error}", code=error.code, **error.parts) from error
    except (ArgumentError, TypeError, ValueError):
        refused = [name for name, value in given.items() if not _accepts(hints[name], value)]
    for each in _fields(cls):
        if each.name in refused:
            problem = _problem(each.name, hints[each.name], given[each.name], each)
            raise UsageError(f"{where}: {problem}.", code="invalid-option", option=each.name)
    raise UsageError(f"{where}: the options conflict: {quoted(dict(given))}; change one of them.")


def _problem(name: str, hint: Any, value: Any, of: Field[Any] | None = None) -> str:
    """Describe the invalid part of a value, and the allowed values."""
    for inner_name, inner_hint, inner in _parts(name, hint, value):
        if not _accepts(inner_hint, inner):
            return _problem(inner_name, inner_hint, inner)
    for kind in filter(is_dataclass, _alternatives(hint)):
        if isinstance(value, Mapping):
            try:
                check_options(value, option_names(cast(type, kind)), required_options(cast(type, kind)), name)
            except UsageError as error:
                return str(error).removesuffix(".")
    words = of.metadata.get("words") if of else None
    return f"{name} is {quoted(value)}; give {words or _words(hint)}"


def _parts(name: str, hint: Any, value: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield name (for messages), type and value of each part of a list or mapping."""
    for kind in _alternatives(hint):
        arguments = get_args(kind)
        if get_origin(kind) is list and isinstance(value, list):
            yield from ((f"{name}, entry {at},", arguments[0], item) for at, item in enumerate(value, 1))
        elif get_origin(kind) is dict and isinstance(value, Mapping):
            yield from ((f"{name} {quoted(key)}", arguments[1], item) for key, item in value.items())
        elif is_dataclass(kind) and isinstance(value, Mapping):
            hints = _hints(cast(type, kind))
            yield from ((f"{name}, {key}", hints[key], item) for key, item in value.items() if key in hints)


def _accepts(hint: Any, value: Any) -> bool:
    """Return True if a type accepts a value."""
    from jsonargparse import ArgumentError, ArgumentParser

    if value is None:
        return hint is Any or any(kind is types.NoneType for kind in _alternatives(hint))
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--value", type=hint)
    try:
        parser.parse_object({"value": copy.deepcopy(value)})
    except (ArgumentError, TypeError, ValueError):
        return False
    return True


def _words(hint: Any, *, many: bool = False) -> str:
    """Return a type in words, for messages."""
    if hint in _WORDS:
        return _WORDS[hint][many]
    arguments = get_args(hint)
    if get_origin(hint) is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if hint is list or get_origin(hint) is list:
        inner = f" of {_words(arguments[0], many=True)}" if arguments else ""
        return f"lists{inner}" if many else f"a list{inner}"
    if get_origin(hint) in (Union, types.UnionType):
        return ", or ".join(_words(each, many=many) for each in arguments)
    return "mappings" if many else "a mapping"


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _fields(cls: type) -> tuple[Field[Any], ...]:
    return fields(cast(Any, cls))


def _is_required(option: Field[Any]) -> bool:
    return option.default is MISSING and option.default_factory is MISSING


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


@functools.cache
def _parser(cls: type) -> ArgumentParser:
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    for name, hint in _hints(cls).items():
        parser.add_argument(f"--{name}", type=hint)
    return parser
