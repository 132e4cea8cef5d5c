"""Classifiers by name: pretrained, from a checkpoint, or built by a function of the user's own module."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from torch import nn

from colorcnn import trust
from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.pretrained import load_any


def load_classifier(spec: str | os.PathLike[str], num_classes: int | None = None) -> nn.Module:
    """Load the network that recognises images.

    Args:
        spec: a pretrained name, a checkpoint folder, a Lightning .ckpt of ClassifierTask, or
            ``module:function`` for one's own, where the function returns a network that takes images
            (B, 3, H, W) in [0, 1] and gives logits; the current folder is searched for the module, too.
        num_classes: handed to a function that has such a parameter.

    Returns:
        The network on the CPU in evaluation mode; ours have ``num_classes``.

    Raises:
        UsageError: the name, file, module or function does not exist.
        ColorCNNError: it is damaged, or it is no classifier.
    """
    name = os.fspath(spec)
    if ":" in name and not Path(name).exists():
        return _own_classifier(name, num_classes)
    model, config = load_any(name)
    if config.kind != "classifier":
        raise UsageError(f"{name} is a {config.kind}: name a classifier to judge the images.")
    return model


def _own_classifier(spec: str, num_classes: int | None) -> nn.Module:
    module_name, _, function_name = spec.partition(":")
    trust.check_module(module_name)
    try:
        with _current_folder_first():
            module = importlib.import_module(module_name)
        function = getattr(module, function_name)
    except AttributeError as error:
        raise UsageError(f"Module {module_name} has no {function_name!r}: check {spec!r}.") from error
    except Exception as error:  # a user's module may fail in any way
        reason = f"{type(error).__name__}: {error}"
        raise UsageError(
            f"Module {module_name!r} of {spec!r} could not be imported ({reason}): mend it."
        ) from error
    try:
        takes = "num_classes" in inspect.signature(function).parameters
        model = function(num_classes=num_classes) if takes and num_classes is not None else function()
    except Exception as error:  # so may the function
        raise ColorCNNError(f"{spec} failed ({type(error).__name__}: {error}): mend the function.") from error
    if not isinstance(model, nn.Module):
        raise ColorCNNError(f"{spec} returned {type(model).__name__}: let it return a torch.nn.Module.")
    return model.eval()


@contextlib.contextmanager
def _current_folder_first() -> Iterator[None]:
    sys.path.insert(0, os.getcwd())
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(os.getcwd())
