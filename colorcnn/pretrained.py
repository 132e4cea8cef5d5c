"""Pretrained weights: their names, and loading of networks from names, folders and Lightning checkpoints."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from colorcnn.errors import ColorCNNError, UnknownName, UsageError, did_you_mean, similar_name
from colorcnn.hub import fetch, fetch_once, is_hub_name, is_repository

if TYPE_CHECKING:
    import torch
    from torch import nn

    from colorcnn.checkpoint_config import Config
    from colorcnn.vq.compressor import ImageCompressor, VectorCompressor

DEFAULT_CODEC = "factorized-prior-tiny-imagenet"
"""Default pretrained model for the compression of images."""

ENVIRONMENT = "COLORCNN_CHECKPOINTS"
"""Environment variable with a folder of checkpoints."""


def checkpoint_folders() -> list[Path]:
    """Return the folders of checkpoints in order: $COLORCNN_CHECKPOINTS, the repository, the package."""
    package = Path(__file__).resolve().parent
    repository = package.parent
    candidates = [package / "checkpoints"]
    if (repository / "pyproject.toml").is_file():  # not in an installation, whose parent folder is foreign
        candidates.insert(0, repository / "checkpoints")
    if os.environ.get(ENVIRONMENT):
        candidates.insert(0, Path(os.environ[ENVIRONMENT]))
    return [folder for folder in candidates if folder.is_dir()]


def available(kind: str | None = None, pattern: str | None = None) -> list[str]:
    """Return the names of the pretrained weights for :func:`from_pretrained`, sorted.

    Args:
        kind: a name in :data:`colorcnn.checkpoint_config.KINDS`, such as ``quantizer`` or ``classifier``;
            None returns all kinds, and damaged checkpoints.
        pattern: a wildcard that the names must match, such as ``"*cifar10"``.

    Raises:
        UsageError: the kind is unknown.
    """
    names = {path.parent.name for folder in checkpoint_folders() for path in folder.glob("*/config.json")}
    found = sorted(fnmatch.filter(names, pattern or "*"))
    return found if kind is None else _of_kind(found, kind)


def is_available(name: str) -> bool:
    """Return True if pretrained weights have this name."""
    return _published(name) is not None


def name_of(folder: Path) -> str | None:
    """Return the name that pretrained weights in a folder have, or None if only the path finds them."""
    name = folder.resolve().name
    found = _published(name)
    return name if found is not None and found.samefile(folder) else None


def _published(name: str) -> Path | None:
    """Return the folder of pretrained weights of this name, or None. A path is no name."""
    if not _looks_like_name(name):
        return None
    folders = (folder / name for folder in checkpoint_folders())
    return next((folder for folder in folders if (folder / "config.json").is_file()), None)


def _looks_like_name(name: str) -> bool:
    return name == Path(name).name and name not in ("", ".", "..")


def _of_kind(names: list[str], kind: str) -> list[str]:
    from colorcnn.checkpoint_config import KINDS, read_config

    if kind not in KINDS:
        raise UnknownName("kind of checkpoint", kind, KINDS)
    chosen = []
    for name in names:
        with contextlib.suppress(ColorCNNError):
            if read_config(find_checkpoint(name)).kind == kind:
                chosen.append(name)
    return chosen


def find_lightning(path: str | os.PathLike[str]) -> Path | None:
    """Return the Lightning checkpoint of a .ckpt file, a run's folder or its ``checkpoints`` folder, or None.

    Args:
        path: the file or folder; in a folder, the best checkpoint is preferred to the last.
    """
    path = Path(path)
    if path.suffix == ".ckpt":
        return path
    files = [folder / f"{name}.ckpt" for folder in (path, path / "checkpoints") for name in ("best", "last")]
    return next((file for file in files if file.is_file()), None)


def find_unpublished(spec: str | os.PathLike[str]) -> Path | None:
    """Return the Lightning checkpoint that a name or path stands for.

    Args:
        spec: a name, or the path of a checkpoint folder, a .ckpt or a run.

    Returns:
        None for a checkpoint folder, and for a name.
    """
    return None if (Path(spec) / "config.json").is_file() else find_lightning(spec)


def find_checkpoint(name_or_dir: str | os.PathLike[str]) -> Path:
    """Return the folder of a name or path; ``hf:USER/REPO`` is downloaded from the Hugging Face Hub.

    Raises:
        UsageError: the checkpoint does not exist; the message lists the known names.
        ColorCNNError: the download failed.
    """
    if is_hub_name(os.fspath(name_or_dir)):
        return fetch_once(os.fspath(name_or_dir))
    path = Path(name_or_dir)
    if (path / "config.json").is_file():
        return path
    name = os.fspath(name_or_dir)
    published = _published(name)
    if published is not None:
        return published
    if path.is_dir():
        raise UsageError(
            f"{name} is not a checkpoint: use a folder with config.json and model.safetensors, or a run's "
            "folder with checkpoints."
        )
    known = available()
    names = ", ".join(known) or f"none is installed, set {ENVIRONMENT} to a folder of them"
    looks_like_name = _looks_like_name(name)
    what = "pretrained model" if looks_like_name else "checkpoint folder"
    similar = similar_name(name, known) if looks_like_name else None
    hint = did_you_mean(similar)
    of_hub = f", hf:{name} for a repository of the Hugging Face Hub" if is_repository(name) else ""
    raise UsageError(
        f"There is no {what} {name!r}{hint}",
        f"use a checkpoint folder{of_hub}, or one of these names: {names}",
        code="unknown-checkpoint",
        name=name,
        known=known,
        similar=similar,
    )


def check_pretrained(name: str | None) -> None:
    """Raise UsageError for an unknown pretrained name, without loading the model.

    Paths, ``module:function`` and references to stages are not checked.

    Raises:
        UsageError: the name is unknown; the message lists the known names.
    """
    if name and re.fullmatch(r"[\w-]+", name):
        find_checkpoint(name)


def check_checkpoint(spec: str, kind: str) -> None:
    """Check that a checkpoint exists and is of a kind, without loading its weights.

    Args:
        spec: a name, a folder, or a Lightning .ckpt, of which only the existence is checked.
        kind: a name in :data:`colorcnn.checkpoint_config.KINDS`.

    Raises:
        UsageError: the checkpoint does not exist, or is of another kind.
        ColorCNNError: config.json is damaged.
    """
    from colorcnn.checkpoint_config import read_config

    lightning = find_unpublished(spec)
    if lightning is None:
        found = read_config(find_checkpoint(spec)).kind
        if found != kind:
            raise UsageError(f"{spec} is a {found}: use a {kind}.")
    elif not lightning.exists():
        raise UsageError(f"{lightning} does not exist: check the path.")


def check_classifier(spec: str) -> None:
    """Check that a classifier exists, without importing modules.

    Args:
        spec: a classifier, see :func:`colorcnn.classifiers.load_classifier`.

    Raises:
        UsageError: the checkpoint does not exist, or is not a classifier.
        ColorCNNError: config.json is damaged.
    """
    if ":" not in spec or is_hub_name(spec) or Path(spec).exists():
        check_checkpoint(spec, "classifier")


def from_pretrained(
    name_or_dir: str | os.PathLike[str],
    device: str | torch.device = "cpu",
    *,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
) -> nn.Module:
    """Load a pretrained network, in evaluation mode.

    Args:
        name_or_dir: a name from :func:`available`, a checkpoint folder, a Lightning .ckpt, a run's folder, or
            its ``checkpoints`` folder. ``hf:USER/REPO``, and ``USER/REPO`` if no folder has that name, are
            repositories of the Hugging Face Hub; ``@REVISION`` may follow.
        device: torch device of the network.
        revision: a branch, tag or commit of the repository.
        cache_dir: the Hub's cache; by default that of ``HF_HOME``.
        token: token for private repositories; by default ``HF_TOKEN`` or the token of ``hf auth login``.
        local_files_only: True to use only the cache.
        force_download: True to download a repository that is in the cache, too.

    Returns:
        A quantizer with ``.quantize(images, num_colors)``, or a classifier or a codec, which is called with
        images. ``config`` is a :class:`colorcnn.checkpoint_config.Config`, ``classes`` are the names of the
        outputs.

    Raises:
        UsageError: the name, folder, repository or device does not exist.
        ColorCNNError: the checkpoint is incomplete, damaged or of a later version, or the download failed.
    """
    where = find_device(device)
    name = os.fspath(name_or_dir)
    if is_hub_name(name) or is_repository(name):
        name = os.fspath(
            fetch(
                name,
                revision=revision,
                cache_dir=cache_dir,
                token=token,
                local_files_only=local_files_only,
                force_download=force_download,
            )
        )
    elif revision is not None or force_download:
        raise UsageError(
            f"{name} is not a repository of the Hugging Face Hub, so revision and force_download have no "
            "effect: leave them out, or write hf:USER/REPO."
        )
    return load_any(name)[0].to(where)


def find_device(device: str | torch.device) -> torch.device:
    """Return a torch device after a check; ``auto`` is a GPU if this machine has one, else the CPU.

    Raises:
        UsageError: the device is unknown, or not available on this machine.
    """
    import torch

    if str(device) == "auto":
        gpus = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        device = next((name for name, exists in gpus.items() if exists), "cpu")
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(
            f"Device {str(device)!r} is not available here: choose auto, cpu, or a GPU of this machine."
        ) from error
    return found


def find_devices(device: str) -> list[str]:
    """Return the devices that a name stands for: all GPUs of this machine for ``cuda``, else one device.

    Args:
        device: see :func:`find_device`.
    """
    import torch

    found = find_device(device)
    if found.type == "cuda" and found.index is None and torch.cuda.device_count() > 1:
        return [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return [str(found)]


def load_any(name: str) -> tuple[nn.Module, Config]:
    """Load a network and its configuration, on the CPU in evaluation mode.

    Args:
        name: a pretrained name, a checkpoint folder, ``hf:USER/REPO``, or a Lightning checkpoint.
    """
    from colorcnn.checkpoint_config import read_config
    from colorcnn.weights import load_folder, load_lightning

    lightning = find_unpublished(name)
    if lightning is not None:
        model, config = load_lightning(lightning)
    else:
        folder = find_checkpoint(name)
        model, config = load_folder(folder), read_config(folder)
    untyped: Any = model
    untyped.config = config
    untyped.classes = config.classes
    return model, config


def load_compressor(spec: str | os.PathLike[str]) -> ImageCompressor:
    """Load a learned image codec, on the CPU in evaluation mode.

    Args:
        spec: a pretrained name, a checkpoint folder, or a Lightning .ckpt of VQTask for images.

    Raises:
        UsageError: the name or file does not exist, or is another kind of network.
        ColorCNNError: the checkpoint is damaged.
    """
    model, config = load_any(os.fspath(spec))
    if config.kind != "compressor":
        raise UsageError(f"{spec} is a {config.kind}: use a compressor of images, trained with VQTask.")
    return cast("ImageCompressor", model)


def load_vector_compressor(spec: str | os.PathLike[str]) -> VectorCompressor:
    """Load a compressor of vectors; see :func:`load_compressor`."""
    model, config = load_any(os.fspath(spec))
    if config.kind != "vector compressor":
        raise UsageError(f"{spec} is a {config.kind}: use a compressor of vectors, trained with VQTask.")
    return cast("VectorCompressor", model)
