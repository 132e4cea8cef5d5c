"""Pretrained weights: their names, and the networks behind a name, a folder or a Lightning checkpoint."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from colorcnn.errors import ColorCNNError, UnknownName, UsageError, similar_name
from colorcnn.hub import fetch, fetch_once, is_hub_name, is_repository

if TYPE_CHECKING:
    import torch
    from torch import nn

    from colorcnn.checkpoint_config import Config
    from colorcnn.vq.compressor import ImageCompressor, VectorCompressor

DEFAULT_CODEC = "factorized-prior-tiny-imagenet"
"""The pretrained model that pictures are compressed with."""

ENVIRONMENT = "COLORCNN_CHECKPOINTS"
"""The environment variable that names a folder of checkpoints."""


def checkpoint_folders() -> list[Path]:
    """Return the folders of checkpoints in order: $COLORCNN_CHECKPOINTS, the repository, the package."""
    package = Path(__file__).resolve().parent
    repository = package.parent
    candidates = [package / "checkpoints"]
    if (repository / "pyproject.toml").is_file():  # else the neighbour of an installed package is a stranger
        candidates.insert(0, repository / "checkpoints")
    if os.environ.get(ENVIRONMENT):
        candidates.insert(0, Path(os.environ[ENVIRONMENT]))
    return [folder for folder in candidates if folder.is_dir()]


def available(kind: str | None = None, pattern: str | None = None) -> list[str]:
    """Return the names of the pretrained weights that :func:`from_pretrained` finds, in alphabetical order.

    Args:
        kind: a name in :data:`colorcnn.checkpoint_config.KINDS`, such as ``quantizer`` or ``classifier``, for
            these alone. A damaged checkpoint has no kind.
        pattern: a wildcard, such as ``"*cifar10"``, for the names that match it.

    Raises:
        UsageError: there is no such kind.
    """
    names = {path.parent.name for folder in checkpoint_folders() for path in folder.glob("*/config.json")}
    found = sorted(fnmatch.filter(names, pattern or "*"))
    return found if kind is None else _of_kind(found, kind)


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
        path: of a folder, the best checkpoint is taken before the last.
    """
    path = Path(path)
    if path.suffix == ".ckpt":
        return path
    places = [folder / f"{name}.ckpt" for folder in (path, path / "checkpoints") for name in ("best", "last")]
    return next((place for place in places if place.is_file()), None)


def find_checkpoint(name_or_dir: str | os.PathLike[str]) -> Path:
    """The folder behind a name or path; ``hf:USER/REPO`` is fetched from the Hugging Face Hub.

    Raises:
        UsageError: there is none; the message lists the names there are.
        ColorCNNError: it could not be fetched.
    """
    if is_hub_name(os.fspath(name_or_dir)):
        return fetch_once(os.fspath(name_or_dir))
    path = Path(name_or_dir)
    if (path / "config.json").is_file():
        return path
    name = os.fspath(name_or_dir)
    looks_like_name = name == path.name and name not in ("", ".", "..")
    if looks_like_name:
        for folder in checkpoint_folders():
            if (folder / name / "config.json").is_file():
                return folder / name
    if path.is_dir():
        raise UsageError(
            f"{name} is no checkpoint: give a folder that holds config.json and model.safetensors, or one of "
            "a run that holds checkpoints."
        )
    known = available()
    names = ", ".join(known) or f"none is installed, set {ENVIRONMENT} to a folder of them"
    what = "pretrained model" if looks_like_name else "checkpoint folder"
    similar = similar_name(name, known) if looks_like_name else None
    meant = f" (did you mean {similar}?)" if similar else ""
    of_hub = f", hf:{name} for a repository of the Hugging Face Hub" if is_repository(name) else ""
    raise UsageError(
        f"There is no {what} {name!r}{meant}",
        f"give a checkpoint folder{of_hub}, or one of these names: {names}",
        code="unknown-checkpoint",
        name=name,
        known=known,
        similar=similar,
    )


def check_pretrained(name: str | None) -> None:
    """Refuse a name that no pretrained model has, without loading one.

    Paths, functions of one's own and references to stages are not looked at.

    Raises:
        UsageError: there is none of that name; the message lists those there are.
    """
    if name and re.fullmatch(r"[\w-]+", name):
        find_checkpoint(name)


def check_checkpoint(spec: str, kind: str) -> None:
    """Check that a name or path leads to a checkpoint of a kind, without loading its weights.

    Args:
        spec: as :func:`load_any` takes it. Of a Lightning .ckpt only the file is looked for.
        kind: a name in :data:`colorcnn.checkpoint_config.KINDS`.

    Raises:
        UsageError: there is no checkpoint, or it is of another kind.
        ColorCNNError: the .ckpt does not exist, or config.json is damaged.
    """
    from colorcnn.checkpoint_config import read_config

    lightning = None if (Path(spec) / "config.json").is_file() else find_lightning(spec)
    if lightning is None:
        found = read_config(find_checkpoint(spec)).kind
        if found != kind:
            raise UsageError(f"{spec} is a {found}: name a {kind}.")
    elif not lightning.exists():
        raise ColorCNNError(f"{lightning} does not exist: check the path.")


def check_classifier(spec: str) -> None:
    """Check that a classifier is there, as :func:`check_checkpoint` does; modules are not imported.

    Args:
        spec: as :func:`colorcnn.classifiers.load_classifier` takes it.

    Raises:
        UsageError: there is no checkpoint of that name, or it is no classifier.
        ColorCNNError: the .ckpt does not exist, or config.json is damaged.
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
            its ``checkpoints`` folder. ``USER/REPO``, where the disk has no folder of that name, and
            ``hf:USER/REPO`` are repositories of the Hugging Face Hub; ``@REVISION`` may follow.
        device: the torch device to put the network on.
        revision: of a repository: a branch, tag or commit.
        cache_dir: the Hub's cache; by default as ``HF_HOME`` says.
        token: for private repositories; by default ``HF_TOKEN`` or that of ``hf auth login``.
        local_files_only: take a repository from the cache, without asking the Hub.
        force_download: fetch a repository that is in the cache, too.

    Returns:
        A quantizer with ``.quantize(images, num_colors)``. A classifier or a codec is called with images.
        Its ``config`` is a :class:`colorcnn.checkpoint_config.Config`, and ``classes`` are the names of its
        outputs.

    Raises:
        UsageError: no such name, folder, repository or device.
        ColorCNNError: the checkpoint is incomplete, damaged, or made for a later version, or it could not be
            fetched.
    """
    place = find_device(device)
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
            f"{name} is no repository of the Hugging Face Hub, and has no revisions and no downloads: "
            "leave these options out, or write hf:USER/REPO."
        )
    return load_any(name)[0].to(place)


def find_device(device: str | torch.device) -> torch.device:
    """Check that a torch device is there; ``auto`` is a GPU where this machine has one, else the CPU.

    Raises:
        UsageError: the name is unknown, or this machine has no such device.
    """
    import torch

    if str(device) == "auto":
        gpus = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        device = next((name for name, there in gpus.items() if there), "cpu")
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(
            f"Device {str(device)!r} is not available here: choose auto, cpu, or a GPU of this machine."
        ) from error
    return place


def load_any(name: str) -> tuple[nn.Module, Config]:
    """Load a network and its configuration, on the CPU in evaluation mode.

    Args:
        name: as :func:`find_checkpoint` takes it, or a Lightning checkpoint.
    """
    from colorcnn.checkpoint_config import read_config
    from colorcnn.weights import load_folder, load_lightning

    folder = Path(name)
    lightning = None if (folder / "config.json").is_file() else find_lightning(name)
    if lightning is not None:
        model, config = load_lightning(lightning)
    else:
        folder = find_checkpoint(name)
        model, config = load_folder(folder), read_config(folder)
    described: Any = model
    described.config = config
    described.classes = config.classes
    return model, config


def load_compressor(spec: str | os.PathLike[str]) -> ImageCompressor:
    """Load a learned image codec, on the CPU in evaluation mode.

    Args:
        spec: a pretrained name, a checkpoint folder, or a Lightning .ckpt of VQTask for images.

    Raises:
        UsageError: the name or file does not exist, or is of another kind of network.
        ColorCNNError: it is damaged.
    """
    model, config = load_any(os.fspath(spec))
    if config.kind != "compressor":
        raise UsageError(f"{spec} is a {config.kind}: name a compressor, as VQTask trains it for images.")
    return cast("ImageCompressor", model)


def load_vector_compressor(spec: str | os.PathLike[str]) -> VectorCompressor:
    """Likewise a compressor of vectors."""
    model, config = load_any(os.fspath(spec))
    if config.kind != "vector compressor":
        raise UsageError(f"{spec} is a {config.kind}: name a compressor, as VQTask trains it for vectors.")
    return cast("VectorCompressor", model)
