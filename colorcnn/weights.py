"""Weights on disk: checkpoint folders ``<name>/{model.safetensors, config.json}`` and Lightning's .ckpt."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from colorcnn import models, schema
from colorcnn.checkpoint_config import (  # noqa: F401 (re-exported for old imports)
    CONFIG,
    FORMAT_VERSION,
    KINDS,
    WEIGHTS,
    Config,
    read_config,
)
from colorcnn.errors import ColorCNNError, UsageError, shortened
from colorcnn.files import write_atomically
from colorcnn.models.budget import limited_weights
from colorcnn.models.colorcnn import quantizer_options

_CKPT_CURE = "use a checkpoint that `colorcnn fit` wrote"
_ROOM = (1 << 26, 1_000)
"""Numbers of weights and tensors that a network may have beyond twice those of its file.

With this margin the error for a file of another network names the missing weights."""

_LFS = b"version https://git-lfs.github.com/spec/"


def load_folder(folder: str | os.PathLike[str]) -> nn.Module:
    """Build the network of a checkpoint folder on the CPU, in evaluation mode.

    Raises:
        ColorCNNError: the folder is incomplete or damaged, or does not fit this version of colorcnn.
    """
    config = read_config(folder)
    path = Path(folder) / WEIGHTS
    state = _read_weights(path, config.sha256)
    return _fill(_build(config.architecture, config.kwargs, path, state), state, path)


def save_pretrained(
    model: nn.Module, directory: str | os.PathLike[str], config: Config, *, overwrite: bool = False
) -> Config:
    """Write a checkpoint folder: the weights, and config.json with their hash.

    Args:
        model: a network of ``config.architecture`` and ``config.kwargs``.
        directory: the folder; created if it is missing.
        config: the configuration without the hash.
        overwrite: True to replace an existing checkpoint.

    Returns:
        The configuration with the hash.

    Raises:
        ColorCNNError: the folder holds a checkpoint and ``overwrite`` is false, it cannot be written, or the
            configuration does not fit the network.
    """
    folder = Path(directory)
    if (folder / CONFIG).exists() and not overwrite:
        raise ColorCNNError(
            f"{folder} holds a checkpoint already",
            "choose another name, or replace it with overwrite=True",
            code="file-exists",
            path=folder,
        )
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    _fill(_build(config.architecture, config.kwargs, folder / CONFIG, state), state, folder / CONFIG)
    data = safetensors.torch.save({key: value.clone() for key, value in state.items()}, {"format": "pt"})
    config = dataclasses.replace(config, sha256=hashlib.sha256(data).hexdigest())
    write_atomically(folder / WEIGHTS, data)
    write_atomically(folder / CONFIG, config.to_json().encode())
    return config


def load_lightning(path: str | os.PathLike[str]) -> tuple[nn.Module, Config]:
    """Load the trained network of a Lightning .ckpt of ClassifierTask, ColorCNNTask or VQTask.

    Args:
        path: the file; code in it is never run.

    Returns:
        The network on the CPU in evaluation mode, and its configuration.

    Raises:
        UsageError: the file does not exist.
        ColorCNNError: the file is damaged, or not a checkpoint of these tasks.
    """
    path = Path(path)
    content = _read_lightning(path)
    options, state = content.get("hyper_parameters"), content.get("state_dict")
    if not isinstance(options, dict) or not isinstance(state, dict):
        raise ColorCNNError(f"{path} is not a Lightning checkpoint: {_CKPT_CURE}.")
    schema.check_depth(options, path, _CKPT_CURE)
    kind, prefix = next((task for key, task in _TASKS.items() if key in options), (None, ""))
    if kind is None:
        raise ColorCNNError(
            f"{path} is of another task: use a checkpoint of a ClassifierTask, a ColorCNNTask or a VQTask."
        )
    config = schema.convert(options, kind, f"{path}, hyper-parameters", _CKPT_CURE).config()
    config = dataclasses.replace(config, kwargs=_without_download(config.kwargs))
    weights = {key: value for key, value in state.items() if isinstance(key, str) and key.startswith(prefix)}
    weights = {key.removeprefix(prefix): value for key, value in weights.items()}
    if not all(isinstance(value, Tensor) for value in weights.values()):
        raise ColorCNNError(f"{path} has weights that are not tensors: {_CKPT_CURE}.")
    model = _fill(_build(config.architecture, config.kwargs, path, weights), weights, path)
    return model, config


class _Classifier(msgspec.Struct):
    """The hyper-parameters of a ClassifierTask that build its network."""

    network: str
    num_classes: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
    mean: list[float] | None = None
    std: list[float] | None = None
    network_kwargs: dict[str, Any] | None = None

    def config(self) -> Config:
        """Describe the network as a checkpoint folder does."""
        channels = {"mean": self.mean, "std": self.std}
        kwargs = {
            "num_classes": self.num_classes,
            **{key: value for key, value in channels.items() if value is not None},
            **(self.network_kwargs or {}),
        }
        return Config("classifier", self.network, kwargs)


class _Quantizer(msgspec.Struct):
    """The hyper-parameters of a ColorCNNTask that build its network."""

    architecture: str
    sizes: list[Annotated[int, msgspec.Meta(ge=1, le=256)]]
    quantizer_kwargs: dict[str, Any] | None = None

    def config(self) -> Config:
        """Describe the network as a checkpoint folder does."""
        kwargs = quantizer_options(self.architecture, self.sizes, self.quantizer_kwargs)
        return Config("quantizer", self.architecture, kwargs)


class _Compressor(msgspec.Struct):
    """The hyper-parameters of a VQTask that build its network."""

    trade_off: float
    method: str
    options: dict[str, Any] | None
    network_kwargs: dict[str, Any] | None = None
    source_dimension: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None

    def config(self) -> Config:
        """Describe the network as a checkpoint folder does."""
        kwargs = {"trade_off": self.trade_off, "method": self.method, "options": self.options}
        kwargs |= self.network_kwargs or {}
        if self.source_dimension is None:
            return Config("compressor", "factorized-prior", kwargs)
        return Config(
            "vector compressor", "residual-transform", {**kwargs, "dimension": self.source_dimension}
        )


_TASKS: dict[str, tuple[Any, str]] = {
    "network": (_Classifier, "classifier."),
    "architecture": (_Quantizer, "quantizer."),
    "trade_off": (_Compressor, "compressor."),
}
"""Hyper-parameter that only one task has -> its schema, and the prefix of its network's weights."""


def is_lfs_pointer(data: bytes) -> bool:
    """Return True if a file begins like a Git LFS pointer."""
    return data.startswith(_LFS)


def _read_weights(path: Path, sha256: str) -> dict[str, Tensor]:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ColorCNNError(f"{path} is missing: download the whole checkpoint folder.") from error
    except OSError as error:
        reason = error.strerror
        raise ColorCNNError(f"{path} could not be read ({reason}): check its access rights.") from error
    _refuse_lfs(path, data)
    try:
        state = safetensors.torch.load(data)
    except SafetensorError as error:
        raise ColorCNNError(
            f"{path} is truncated or corrupt ({len(data)} bytes, {shortened(str(error))}): download it again."
        ) from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ColorCNNError(
            f"{path} does not have the sha256 in {CONFIG}: download both files again, "
            "or publish changed weights with `colorcnn publish`."
        )
    return state


def _read_lightning(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            _refuse_lfs(path, stream.read(len(_LFS)))
        if not zipfile.is_zipfile(path):  # the index is at the end, so a truncated file has none
            raise EOFError
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist: check the path.") from error
    except IsADirectoryError as error:
        raise ColorCNNError(f"{path} is a directory: use a .ckpt file.") from error
    except pickle.UnpicklingError as error:
        raise ColorCNNError(
            f"{path} holds more than weights and plain values, so it is not loaded: {_CKPT_CURE}."
        ) from error
    except ColorCNNError:
        raise
    except Exception as error:  # the unpickler raises many types for damaged files
        raise ColorCNNError(
            f"{path} is truncated or not a checkpoint",
            "use another one, such as last.ckpt beside it",
            code="damaged-checkpoint",
        ) from error
    return content if isinstance(content, dict) else {}


def _refuse_lfs(path: Path, data: bytes) -> None:
    if is_lfs_pointer(data):
        raise ColorCNNError(f"{path} is a Git LFS pointer, not the weights: run `git lfs pull`.")


def _build(
    architecture: str, kwargs: Mapping[str, Any], source: Path, state: Mapping[str, Tensor]
) -> nn.Module:
    """Build a network, with a limit of weights that depends on its file."""
    if architecture not in models.MODELS:
        raise ColorCNNError(
            f"{source} needs the architecture {shortened(architecture)!r}, which this colorcnn does not have "
            f"({', '.join(sorted(models.MODELS))}): update colorcnn."
        )
    weights = sum(value.numel() for value in state.values())
    try:
        with limited_weights(2 * weights + _ROOM[0], 2 * len(state) + _ROOM[1]):
            return models.create_model(architecture, **_without_download(kwargs)).eval()
    except (UsageError, RuntimeError, ValueError, TypeError) as error:
        raise ColorCNNError(
            f"{source} does not describe a network that can be built ({shortened(str(error), 200)}): "
            "download or publish weights and configuration together."
        ) from error


def _without_download(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a network without ``weights``, whose download would be useless."""
    return {key: None if key == "weights" else value for key, value in kwargs.items()}


def _fill(model: nn.Module, state: Mapping[str, Tensor], source: Path) -> nn.Module:
    own = model.state_dict()
    problems = [
        (f"lacks {len(own.keys() - state.keys())} of its weights", sorted(own.keys() - state.keys())),
        (f"has {len(state.keys() - own.keys())} weights too many", sorted(state.keys() - own.keys())),
        ("has weights of another shape", [k for k in own if k in state and own[k].shape != state[k].shape]),
    ]
    for problem, keys in problems:
        if keys:
            raise ColorCNNError(
                f"{source} does not fit its architecture, it {problem} ({shortened(keys[0])}, ...): "
                "download or publish weights and configuration together."
            )
    for name, value in state.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ColorCNNError(
                f"{source} has weights that are not finite numbers ({shortened(name)}): use others."
            )
    model.load_state_dict(state)
    return model
