"""Weights on disk: the checkpoint folder `<name>/{model.safetensors, config.json}`, and Lightning's .ckpt."""

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
from colorcnn.checkpoint_config import (  # noqa: F401 (their place of old)
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

_CKPT_CURE = "give a checkpoint that `colorcnn fit` wrote"
_ROOM = (1 << 26, 1_000)
"""The weights, and tensors of them, that a network may have beyond twice those of its file.

The error for a file of another network then names what it lacks."""

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
        model: the network ``config.architecture`` builds with ``config.kwargs``.
        directory: the folder; it is made where it is missing.
        config: everything but the hash.
        overwrite: replace a checkpoint that is there.

    Returns:
        The configuration with its hash.

    Raises:
        ColorCNNError: a checkpoint is there and ``overwrite`` is false, or it cannot be written.
        UsageError: the configuration does not build this network.
    """
    folder = Path(directory)
    if (folder / CONFIG).exists() and not overwrite:
        raise ColorCNNError(
            f"{folder} holds a checkpoint already",
            "choose another name, or allow overwriting",
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
    """Take the trained network out of a Lightning .ckpt of ClassifierTask, ColorCNNTask or VQTask.

    Args:
        path: the file; it is read without running any code it may hold.

    Returns:
        The network on the CPU in evaluation mode, and a configuration that builds it.

    Raises:
        ColorCNNError: the file is missing, damaged, or no checkpoint of these tasks.
    """
    path = Path(path)
    content = _read_lightning(path)
    options, state = content.get("hyper_parameters"), content.get("state_dict")
    if not isinstance(options, dict) or not isinstance(state, dict):
        raise ColorCNNError(f"{path} is no Lightning checkpoint: give one that `colorcnn fit` wrote.")
    schema.check_depth(options, path, _CKPT_CURE)
    kind, prefix = next((task for key, task in _TASKS.items() if key in options), (None, ""))
    if kind is None:
        raise ColorCNNError(
            f"{path} is of another task: give a checkpoint of a ClassifierTask, a ColorCNNTask or a VQTask."
        )
    config = schema.convert(options, kind, f"{path}, hyper-parameters", _CKPT_CURE).config()
    config = dataclasses.replace(config, kwargs=_without_download(config.kwargs))
    weights = {key: value for key, value in state.items() if isinstance(key, str) and key.startswith(prefix)}
    weights = {key.removeprefix(prefix): value for key, value in weights.items()}
    if not all(isinstance(value, Tensor) for value in weights.values()):
        raise ColorCNNError(f"{path} has weights that are no tensors: {_CKPT_CURE}.")
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
"""A hyper-parameter that tells a task: the schema, and what the names of its network's weights begin with."""


def is_lfs_pointer(data: bytes) -> bool:
    """Tell if a file begins with the bytes that Git LFS puts in the place of large files."""
    return data.startswith(_LFS)


def _read_weights(path: Path, sha256: str) -> dict[str, Tensor]:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ColorCNNError(f"{path} is missing: fetch the whole checkpoint folder.") from error
    except OSError as error:
        raise ColorCNNError(f"{path} could not be read ({error.strerror}): check its rights.") from error
    _refuse_lfs(path, data)
    try:
        state = safetensors.torch.load(data)
    except SafetensorError as error:
        raise ColorCNNError(
            f"{path} is truncated or corrupt ({len(data)} bytes, {shortened(str(error))}): fetch it again."
        ) from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ColorCNNError(
            f"{path} does not have the sha256 that {CONFIG} names: fetch both files again, "
            "or publish changed weights with `colorcnn publish`."
        )
    return state


def _read_lightning(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            _refuse_lfs(path, stream.read(len(_LFS)))
        if not zipfile.is_zipfile(path):  # the index lies at the end, so a cut file has none
            raise EOFError
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ColorCNNError(f"{path} does not exist: check the path.") from error
    except IsADirectoryError as error:
        raise ColorCNNError(f"{path} is a directory: name a .ckpt file.") from error
    except pickle.UnpicklingError as error:
        raise ColorCNNError(
            f"{path} holds more than weights and plain values, so it is not loaded: "
            "give a checkpoint that `colorcnn fit` wrote."
        ) from error
    except ColorCNNError:
        raise
    except Exception as error:  # a damaged file can make the unpickler fail in a dozen ways
        raise ColorCNNError(
            f"{path} is truncated or no checkpoint",
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
    """Build a network that has no more weights than the file that holds them."""
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
            "fetch or publish weights and configuration together."
        ) from error


def _without_download(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a network whose weights are about to be replaced: it need not fetch others first."""
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
                "fetch or publish weights and configuration together."
            )
    for name, value in state.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ColorCNNError(
                f"{source} has weights that are not finite numbers ({shortened(name)}): fetch or train "
                "others."
            )
    model.load_state_dict(state)
    return model
