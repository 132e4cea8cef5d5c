"""Names: pretrained weights, classifiers, the methods that `--method` takes, and one call for all of them."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import inspect
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from torch import Tensor, nn

from colorcnn.arrays import as_batch
from colorcnn.errors import ColorCNNError, UsageError, check_at_least, unknown_name
from colorcnn.paletted import Paletted
from colorcnn.quantizers import DITHERS, QUANTIZERS, Dithered
from colorcnn.quantizers.palettes import Keeping

if TYPE_CHECKING:
    from colorcnn.vq.compressor import ImageCompressor, VectorCompressor
    from colorcnn.weights import Config

LEARNED_METHODS = ("colorcnn", "colorcnn-plus")
DEFAULTS = {"colorcnn-plus": "colorcnn-plus-cifar10"}
"""The pretrained model that stands behind a learned method's bare name."""

DEFAULT_CODEC = "factorized-prior-tiny-imagenet"
"""The pretrained model that pictures are compressed with."""

ENVIRONMENT = "COLORCNN_CHECKPOINTS"


class AnyQuantizer(Protocol):
    """What classical and learned quantizers share."""

    def __call__(self, images: Tensor, num_colors: int, *, channels_last: bool = False) -> Paletted:
        """Quantize a batch."""

    def quantize_many(self, images: Tensor, sizes: Sequence[int]) -> dict[int, Paletted]:
        """Quantize a batch to several palette sizes."""


@dataclasses.dataclass(frozen=True)
class Method:
    """A method as the command line writes it, ``NAME[:CHECKPOINT][+DITHER]``, taken apart."""

    name: str
    checkpoint: str | None = None
    dither: str | None = None


def checkpoint_folders() -> list[Path]:
    """Where names are looked up, in order: $COLORCNN_CHECKPOINTS, the repository, the installed package."""
    package = Path(__file__).resolve().parent
    repository = package.parent
    candidates = [package / "checkpoints"]
    if (repository / "pyproject.toml").is_file():  # else the neighbour of an installed package is a stranger
        candidates.insert(0, repository / "checkpoints")
    if os.environ.get(ENVIRONMENT):
        candidates.insert(0, Path(os.environ[ENVIRONMENT]))
    return [folder for folder in candidates if folder.is_dir()]


def available(kind: str | None = None) -> list[str]:
    """Names of the pretrained weights :func:`from_pretrained` finds, in alphabetical order.

    Args:
        kind: ``quantizer`` or ``classifier`` for these alone; a damaged checkpoint is neither.

    Raises:
        UsageError: there is no such kind.
    """
    names = sorted(
        {path.parent.name for folder in checkpoint_folders() for path in folder.glob("*/config.json")}
    )
    return names if kind is None else _of_kind(names, kind)


def _of_kind(names: list[str], kind: str) -> list[str]:
    from colorcnn.weights import KINDS, read_config

    if kind not in KINDS:
        raise unknown_name("kind of checkpoint", kind, KINDS)
    chosen = []
    for name in names:
        with contextlib.suppress(ColorCNNError):
            if read_config(find_checkpoint(name)).kind == kind:
                chosen.append(name)
    return chosen


def find_checkpoint(name_or_dir: str | os.PathLike[str]) -> Path:
    """The folder behind a name or path.

    Raises:
        UsageError: there is none; the message lists the names there are.
    """
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
            f"{name} is no checkpoint: give a folder that holds config.json and model.safetensors."
        )
    names = ", ".join(available()) or f"none is installed, set {ENVIRONMENT} to a folder of them"
    what = "pretrained model" if looks_like_name else "checkpoint folder"
    raise UsageError(
        f"There is no {what} {name!r}: give a checkpoint folder, or one of these names: {names}."
    )


def check_pretrained(name: str | None) -> None:
    """Refuse a name that no pretrained model has, without loading one.

    Paths, functions of one's own and references to stages are not looked at.

    Raises:
        UsageError: there is none of that name; the message lists those there are.
    """
    if name and re.fullmatch(r"[\w-]+", name):
        find_checkpoint(name)


def from_pretrained(name_or_dir: str | os.PathLike[str], device: str | torch.device = "cpu") -> nn.Module:
    """Load a pretrained network, in evaluation mode.

    Args:
        name_or_dir: a name from :func:`available`, or a checkpoint folder.
        device: where to put it.

    Returns:
        A quantizer with ``.quantize(images, num_colors)``; a classifier or a codec is called with images.

    Raises:
        UsageError: no such name, folder or device.
        ColorCNNError: the checkpoint is incomplete, damaged, or made for a later version.
    """
    from colorcnn.weights import load_folder

    place = find_device(device)
    return load_folder(find_checkpoint(name_or_dir)).to(place)


def find_device(device: str | torch.device) -> torch.device:
    """Check that a torch device is there.

    Raises:
        UsageError: the name is unknown, or this machine has no such device.
    """
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(
            f"Device {str(device)!r} is not available here: choose cpu, or cuda with a GPU."
        ) from error
    return place


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


def parse_method(method: str) -> Method:
    """Take ``NAME[:CHECKPOINT][+DITHER]`` apart and check it, without loading anything.

    Raises:
        UsageError: an unknown name or dither, a learned method without a checkpoint, or a classical one with.
    """
    head, plus, dither = method.rpartition("+")
    if not plus or (dither not in DITHERS and _is_checkpoint_path(method)):
        head, dither = method, ""
    elif dither not in DITHERS:
        raise unknown_name("dither", dither, DITHERS)
    name, colon, checkpoint = head.partition(":")
    if name in QUANTIZERS:
        if colon:
            raise UsageError(f"{name} is a classical method and has no checkpoints: write --method {name}.")
    elif name not in LEARNED_METHODS:
        raise unknown_name("method", name, [*QUANTIZERS, *LEARNED_METHODS])
    elif not checkpoint and name not in DEFAULTS:
        raise UsageError(
            f"{name} needs a checkpoint: write {name}:NAME or {name}:FOLDER; {_pretrained_names()}."
        )
    return Method(name, checkpoint or DEFAULTS.get(name), dither or None)


def load_quantizer(
    method: str,
    device: str | torch.device = "cpu",
    seed: int = 0,
    *,
    keep: Sequence[tuple[int, int, int]] = (),
    serpentine: bool = False,
    space: str | None = None,
    **options: Any,
) -> AnyQuantizer:
    """Build what a method stands for.

    Args:
        method: ``NAME[:CHECKPOINT][+DITHER]``. NAME is in :data:`colorcnn.quantizers.QUANTIZERS`, or it is
            ``colorcnn`` or ``colorcnn-plus`` with a pretrained name, a checkpoint folder or a Lightning .ckpt
            of ColorCNNTask; DITHER is in :data:`colorcnn.quantizers.DITHERS`.
        device: where a learned model computes; images are handed to it there.
        seed: for the methods that draw random numbers.
        keep: colours of three bytes that are part of every palette.
        serpentine: whether Floyd-Steinberg turns at the end of a row.
        space: where distances are measured, a name in :data:`colorcnn.quantizers.spaces.SPACES`; methods that
            have no choice leave it to their dithering.
        options: what the class of the method takes besides, such as ``quality`` of k-means.

    Returns:
        A quantizer that takes batches, as :class:`AnyQuantizer` says.

    Raises:
        UsageError: the method cannot be meant.
        ColorCNNError: its checkpoint is damaged.
    """
    parsed = parse_method(method)
    check_at_least(0, seed=seed)
    if serpentine and not parsed.dither:
        raise UsageError(f"{method} does not dither, so no row of it can turn: add +floyd-steinberg.")
    takes = _options_of(parsed.name)
    if space is not None and ("space" in takes or not parsed.dither):
        options["space"] = space
    for name in options:
        if name not in takes:
            able = ", ".join(other for other in sorted(QUANTIZERS) if name in _options_of(other))
            raise UsageError(f"{parsed.name} has no {name}: {f'choose {able}' if able else 'leave it out'}.")
    if "seed" in takes:
        options["seed"] = seed
    if "keep" in takes:
        options["keep"] = keep
    if parsed.name in QUANTIZERS:
        quantizer: Any = QUANTIZERS[parsed.name](**options)
    else:
        quantizer = _learned_quantizer(parsed).to(find_device(device))
    if len(keep) and "keep" not in takes:
        quantizer = Keeping(quantizer, keep)
    if parsed.dither:
        return Dithered(quantizer, parsed.dither, space=space, serpentine=serpentine)
    return quantizer


def _options_of(method: str) -> set[str]:
    """The names of what the class of a classical method takes."""
    cls: Any = QUANTIZERS.get(method)
    return set() if cls is None else set(inspect.signature(cls).parameters)


def quantize(
    image: Any,
    num_colors: int,
    method: str = "colorcnn-plus",
    *,
    channels_last: bool | None = None,
    background: str = "white",
    device: str | torch.device = "cpu",
    seed: int = 0,
    **options: Any,
) -> Paletted:
    """Quantize one image or a batch.

    Args:
        image: a path, a Pillow image, or a NumPy array or torch tensor: uint8, or floats in [0, 1], as
            (H, W) grey, (H, W, 3), (3, H, W), (B, H, W, 3) or (B, 3, H, W).
        num_colors: the most colours an image may keep, 1..256.
        method: as :func:`load_quantizer` takes it; load a quantizer once to quantize many images.
        channels_last: whether the colours are an array's last dimension; needed only where its shape leaves
            it open.
        background: what transparent parts of a file or Pillow image are laid over.
        device: where a learned model computes.
        seed: for the methods that draw random numbers.
        options: of the method, as :func:`load_quantizer` takes them: ``quality="best"``, ``space="oklab"``,
            ``keep=[(0, 0, 0)]``, ``serpentine=True``.

    Returns:
        Paletted with one entry per image, on the device of a given tensor, else on the CPU.

    Raises:
        UsageError: the image, the number of colours or the method cannot be meant.
        ColorCNNError: a file is missing or damaged.
    """
    images, channels_last = as_batch(image, channels_last, background)
    quantizer = load_quantizer(method, device, seed, **options)
    # Classical methods work on the CPU whatever the device, and hand the result back to where images are.
    place = images.device if parse_method(method).name in QUANTIZERS else find_device(device)
    result = quantizer(images.to(place), num_colors, channels_last=channels_last)
    return result.to(images.device)


def load_any(name: str) -> tuple[nn.Module, Config]:
    """A network and its configuration from a pretrained name, a folder or a Lightning .ckpt."""
    from colorcnn.weights import load_folder, load_lightning, read_config

    if name.endswith(".ckpt"):
        return load_lightning(name)
    folder = find_checkpoint(name)
    return load_folder(folder), read_config(folder)


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


def _learned_quantizer(method: Method) -> nn.Module:
    checkpoint = str(method.checkpoint)
    model, config = load_any(checkpoint)
    if config.kind != "quantizer":
        raise UsageError(
            f"{checkpoint} is a {config.kind}: {method.name} needs a quantizer; {_pretrained_names()}."
        )
    if config.architecture != method.name:
        raise UsageError(
            f"{checkpoint} is a {config.architecture} model: write {config.architecture}:{checkpoint}."
        )
    return model


def _pretrained_names() -> str:
    return f"pretrained names are {', '.join(available('quantizer')) or 'none here'}"


def _is_checkpoint_path(method: str) -> bool:
    checkpoint = method.partition(":")[2]
    return bool(checkpoint) and Path(checkpoint).exists()


def _own_classifier(spec: str, num_classes: int | None) -> nn.Module:
    module_name, _, function_name = spec.partition(":")
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
