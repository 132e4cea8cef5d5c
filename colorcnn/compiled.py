"""Compilation of kernels by numba, with a cache whose errors are never fatal.

Numba keeps compiled code beside the package or in the user's cache folder. If neither is writable, a private
temporary folder is used; without one, nothing is kept. A damaged cache file is written again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache

_VARIABLE = "NUMBA_CACHE_DIR"
_warned = False
_announced = False
_notes = logging.getLogger("colorcnn.notes")


class _Cache(FunctionCache):
    """A cache on disk whose errors only cost time."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled function for a signature, or None; remove a damaged file."""
        found = None
        try:
            found = super().load_overload(sig, target_context)
        except Exception:  # a truncated file raises many types
            with contextlib.suppress(Exception):
                self.flush()
        if found is None:
            _announce()
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled function if it can be written."""
        try:
            super().save_overload(sig, data)
        except Exception as error:
            _warn(f"Compiled code cannot be kept ({error}), so every start compiles again")


def njit(function: Callable[..., Any]) -> Any:
    """Compile a function at its first call, without the interpreter's lock, and keep the code on disk."""
    kernel: Any = numba.njit(nogil=True)(function)
    cache = _open_cache(function)
    if cache is not None:
        kernel._cache = cache
    return kernel


def _open_cache(function: Callable[..., Any]) -> _Cache | None:
    try:
        return _Cache(function)
    except (RuntimeError, OSError):  # numba found no writable folder
        pass
    folder = _private_folder()
    if folder is None:
        _warn("There is no writable folder for compiled code, so every start compiles again")
        return None
    _warn(f"The cache of compiled code cannot be written to, so {folder} is used")
    before = os.environ.get(_VARIABLE)
    try:
        os.environ[_VARIABLE] = str(folder)
        numba.config.reload_config()
        return _Cache(function)
    except (RuntimeError, OSError):
        return None
    finally:
        if before is None:
            os.environ.pop(_VARIABLE, None)
        else:
            os.environ[_VARIABLE] = before
        numba.config.reload_config()


def _private_folder() -> Path | None:
    """Return a folder that only this user can write to, because cached code runs without further checks."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"colorcnn-numba-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        state = folder.lstat()
        private = os.name == "nt" or (state.st_uid == user and not state.st_mode & 0o077)
        return folder if private and not folder.is_symlink() else None
    except OSError:
        return None


def _announce() -> None:
    """Print once that code is being compiled, since the first call takes half a minute."""
    global _announced
    if not _announced:
        _announced = True
        _notes.info("note: compiling code of this method, which takes up to a minute; later starts reuse it")


def _warn(message: str) -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"{message}: set {_VARIABLE} to a folder you may write to.", RuntimeWarning, stacklevel=4
        )
