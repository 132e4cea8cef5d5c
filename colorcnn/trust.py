"""Limits on the code that a configuration may name.

A YAML file of ``fit`` or ``reproduce`` names classes, and a class path is an import. A file from a stranger
may therefore name classes of :data:`PACKAGES` alone, and no function. The user allows other modules by name.
:func:`limited` sets the limits for one command; without it, as in a Python session, nothing is limited.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from colorcnn.errors import UsageError, shortened

PACKAGES = (
    "colorcnn",
    "lightning_fabric",  # pytorch_lightning's plugins are defined there
    "pytorch_lightning",
    "torch.nn",
    "torch.optim",
    "torchvision.models",
    "torchvision.transforms",
)
"""The packages whose classes a configuration may name. Loaders, such as ``torch.hub``, are not among them."""

REFUSED = ("colorcnn.cli", "colorcnn.commands", "pytorch_lightning.cli")
"""Modules of these packages that run commands."""

OPTION = "--allow-module"

_allowed: ContextVar[frozenset[str] | None] = ContextVar("allowed_modules", default=None)


@contextmanager
def limited(allowed: Iterable[str] = ()) -> Iterator[frozenset[str]]:
    """Limit the code that configurations may name, as long as the context lasts.

    Args:
        allowed: modules and packages that the user trusts beside :data:`PACKAGES`. They add to those of a
            surrounding context.

    Yields:
        All modules that the user trusts.

    Raises:
        UsageError: a name is no module's name.
    """
    names = frozenset(allowed) | (_allowed.get() or frozenset())
    for name in names:
        if not _is_path(name) or name.partition(".")[0] == "jsonargparse":
            raise UsageError(
                f"{OPTION} {shortened(name)!r} cannot be allowed: give a module's name, such as mypackage."
            )
    token = _allowed.set(names)
    try:
        yield names
    finally:
        _allowed.reset(token)


def check_class_path(path: object) -> None:
    """Refuse a class outside the limits; nothing is imported.

    Args:
        path: a class as a configuration names it. A short name, such as ``ColorCNNTask``, stands for one of
            the classes that are loaded already.

    Raises:
        UsageError: the path is malformed, or its module is not allowed.
    """
    if not isinstance(path, str) or not _is_path(path):
        raise UsageError(
            f"class_path is {shortened(path)!r}: give the path of a class, such as package.module.Class."
        )
    allowed = _allowed.get()
    if allowed is None or "." not in path or _within(path, allowed):
        return
    if not _within(path, PACKAGES) or _within(path, REFUSED):
        raise refused(path)


def check_module(name: str) -> None:
    """Refuse a module of ``module:function`` that the user has not allowed; nothing is imported.

    Raises:
        UsageError: the module is not allowed.
    """
    allowed = _allowed.get()
    if allowed is not None and not _within(name, allowed):
        raise refused(name)


def refused(path: str) -> UsageError:
    """Build the error for code outside the limits.

    Args:
        path: of a class or a module.
    """
    module = path.rpartition(".")[0] or path
    return UsageError(
        f"The configuration names {shortened(path)}, and it may run code of colorcnn, torch, torchvision and "
        f"pytorch_lightning alone: if you trust the file and that code, add {OPTION} {shortened(module)}."
    )


def take_allowed(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Take ``--allow-module NAME`` out of a command line, which no configuration file can give.

    Args:
        argv: the arguments.

    Returns:
        The other arguments, and the names.

    Raises:
        UsageError: the option has no value.
    """
    others: list[str] = []
    names: list[str] = []
    words = iter(argv)
    for word in words:
        option, equals, value = word.partition("=")
        if option.replace("_", "-") != OPTION:
            others.append(word)
            continue
        value = value if equals else next(words, "")
        if not value:
            raise UsageError(f"{OPTION} has no value: give a module's name, such as mypackage.")
        names.append(value)
    return others, names


def _is_path(name: str) -> bool:
    return re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*", name) is not None


def _within(path: str, packages: Iterable[str]) -> bool:
    return any(path == package or path.startswith(f"{package}.") for package in packages)
