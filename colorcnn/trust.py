"""Limits on the code that a configuration may name.

A YAML file of ``fit`` or ``reproduce`` names classes, which are imported. So an untrusted file may name only
classes of :data:`PACKAGES`, and no functions. The user can allow further modules. :func:`limited` sets the
limits for one command; outside of it, as in a Python session, nothing is limited.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from colorcnn.errors import UsageError, shortened

PACKAGES = (
    "colorcnn",
    "lightning_fabric",  # the package of pytorch_lightning's plugins
    "pytorch_lightning",
    "torch.nn",
    "torch.optim",
    "torchvision.models",
    "torchvision.transforms",
)
"""Packages whose classes a configuration may name. Loaders, such as ``torch.hub``, are not included."""

REFUSED = ("colorcnn.cli", "colorcnn.commands", "pytorch_lightning.cli")
"""Modules of these packages that run commands."""

OPTION = "--allow-module"

_allowed: ContextVar[frozenset[str] | None] = ContextVar("allowed_modules", default=None)


@contextmanager
def limited(allowed: Iterable[str] = ()) -> Iterator[frozenset[str]]:
    """Limit the code that configurations may name within the context.

    Args:
        allowed: further modules and packages that the user trusts, in addition to those of an outer context.

    Yields:
        All further modules that the user trusts.

    Raises:
        UsageError: a name is not the name of a module.
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
    """Raise UsageError for a class outside the limits; nothing is imported.

    Args:
        path: class path of a configuration. A short name, such as ``ColorCNNTask``, means a class that is
            already loaded.

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
    """Raise UsageError for a module of ``module:function`` that is not allowed; nothing is imported.

    Raises:
        UsageError: the module is not allowed.
    """
    allowed = _allowed.get()
    if allowed is not None and not _within(name, allowed):
        raise refused(name)


def refused(path: str) -> UsageError:
    """Build the error for code outside the limits.

    Args:
        path: path of a class or a module.
    """
    module = path.rpartition(".")[0] or path
    return UsageError(
        f"The configuration names {shortened(path)}, but may run code of colorcnn, torch, torchvision and "
        f"pytorch_lightning only: if you trust the file and that code, add {OPTION} {shortened(module)}."
    )


def take_allowed(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Remove ``--allow-module NAME`` from a command line. A configuration file cannot give this option.

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
