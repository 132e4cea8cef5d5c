"""Parsing of methods ``NAME[:CHECKPOINT][+DITHER]``, and construction of their quantizers."""

from __future__ import annotations

import dataclasses
import inspect
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from colorcnn.colors import parse_colors
from colorcnn.errors import UnknownName, UsageError, check_at_least
from colorcnn.hub import is_hub_name
from colorcnn.lazy import import_own
from colorcnn.pretrained import (
    available,
    check_checkpoint,
    find_checkpoint,
    find_device,
    find_unpublished,
    is_available,
    load_any,
)
from colorcnn.quantizers import DITHERS, QUANTIZERS, Dithered
from colorcnn.quantizers.base import Quantizer, check_kept
from colorcnn.quantizers.keeping import Keeping
from colorcnn.quantizers.palette_files import read_palette

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from colorcnn.paletted import Paletted

LEARNED_METHODS = ("colorcnn", "colorcnn-plus", "palette-attention")
WHOLE_METHODS = ("colorcnn", "colorcnn-plus")
"""Learned methods whose network computes at an image's full size, which takes long for large images."""

ONNX = "onnx"
"""The name of the method of every ONNX file; the file is its checkpoint."""

OWN = "own"
"""The name of the method of every quantizer outside of the package; ``module:Class`` is its checkpoint."""

DEFAULT_METHOD = "palette-attention"
DEFAULTS = {
    "colorcnn": "colorcnn-1bit-cifar10",
    "colorcnn-plus": "colorcnn-plus-cifar10",
    "palette-attention": "palette-attention-cifar10",
}
"""Learned method -> default pretrained model."""


class AnyQuantizer(Protocol):
    """Common interface of classical and learned quantizers."""

    def __call__(self, images: Tensor, num_colors: int, *, channels_last: bool = False) -> Paletted:
        """Quantize a batch."""

    def quantize_many(self, images: Tensor, sizes: Sequence[int]) -> dict[int, Paletted]:
        """Quantize a batch to several numbers of colours.

        Args:
            images: (B, 3, H, W).
            sizes: numbers of colours.
        """


@dataclasses.dataclass(frozen=True)
class Method:
    """The parts of a method ``NAME[:CHECKPOINT][+DITHER]``."""

    name: str
    checkpoint: str | None = None
    dither: str | None = None


def parse_method(method: str) -> Method:
    """Parse and check a method, without loading weights.

    Args:
        method: ``NAME[:CHECKPOINT][+DITHER]``. The name or path of a learned quantizer's checkpoint, or an
            ONNX file of :mod:`colorcnn.export`, may replace ``NAME:CHECKPOINT``.
            ``hf:USER/REPO[@REVISION]`` is a checkpoint of the Hugging Face Hub. ``module:Class`` is a
            quantizer outside of the package; the module is not imported here.

    Raises:
        UsageError: the name or the dither is unknown, or a classical method has a checkpoint.
    """
    head, plus, dither = method.rpartition("+")
    if not plus or (dither not in DITHERS and (_is_checkpoint_path(method) or Path(method).exists())):
        head, dither = method, ""
    elif dither not in DITHERS:
        raise UnknownName("dither", dither, DITHERS)
    if head.endswith(".onnx"):
        return Method(ONNX, head, dither or None)
    name, colon, checkpoint = head.partition(":")
    if name in QUANTIZERS:
        if colon:
            raise UsageError(f"{name} is a classical method and has no checkpoints: write {name}.")
    elif name not in LEARNED_METHODS:
        if _is_own(head):
            return Method(OWN, head, dither or None)
        return Method(_architecture(head), head, dither or None)
    return Method(name, checkpoint or DEFAULTS.get(name), dither or None)


def _is_own(spec: str) -> bool:
    """Return True if ``module:Class`` names a module that exists; nothing is imported."""
    module, _, name = spec.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), name)) or Path(spec).exists():
        return False
    package = module.partition(".")[0]
    with suppress(ValueError):  # a module without a description, such as __main__
        return PathFinder.find_spec(package, [os.getcwd(), *sys.path]) is not None or package in sys.modules
    return False


def _architecture(checkpoint: str) -> str:
    """Return the learned method of a checkpoint."""
    on_hub = is_hub_name(checkpoint)
    published = is_available(checkpoint)
    if not checkpoint or not (on_hub or published or Path(checkpoint).exists()):
        name, colon, _ = checkpoint.partition(":")
        is_path = Path(name).name != name or name.endswith(".ckpt")
        if is_path and not colon:
            check_checkpoint(name, "quantizer")  # raises an error that names the missing folder or file
        raise UnknownName("method or module" if colon else "method", name, [*QUANTIZERS, *LEARNED_METHODS])
    from colorcnn.checkpoint_config import read_config

    lightning = None if on_hub or published else find_unpublished(checkpoint)
    if lightning is not None:
        from colorcnn.weights import load_lightning

        config = load_lightning(lightning)[1]
    else:
        config = read_config(find_checkpoint(checkpoint))
    if config.kind != "quantizer":
        raise UsageError(f"{checkpoint} is a {config.kind}: use a quantizer; {_pretrained_names()}.")
    return config.architecture


def takes_large_images(method: Method) -> bool:
    """Return True if a method's memory hardly grows with the image.

    Args:
        method: a parsed method. Classical methods take large images, and so do learned ones: the network of
            palette attention gets a small copy, the others compute in tiles. The graph of an ONNX file gets
            the whole image.
    """
    return method.name != ONNX


def is_classical(method: Method) -> bool:
    """Return True for a method that is no network, of the package or outside of it.

    Args:
        method: taken apart by :func:`parse_method`.
    """
    return method.name in QUANTIZERS or method.name == OWN


def needs_torch(method: Method) -> bool:
    """Return whether a method computes with PyTorch; classical methods and ONNX files do without it.

    Args:
        method: taken apart by :func:`parse_method`.
    """
    return not is_classical(method) and method.name != ONNX


def load_quantizer(
    method: str,
    device: str | torch.device = "cpu",
    seed: int = 0,
    *,
    dither: str | bool | None = None,
    palette: Any = None,
    keep: Any = (),
    serpentine: bool = False,
    space: str | None = None,
    **options: Any,
) -> AnyQuantizer:
    """Build the quantizer of a method.

    Args:
        method: ``NAME[:CHECKPOINT][+DITHER]``. NAME is in :data:`colorcnn.quantizers.QUANTIZERS` or in
            :data:`LEARNED_METHODS`; or ``module:Class`` is a quantizer of your own, which is imported.
            CHECKPOINT is a pretrained name, a checkpoint folder or a Lightning .ckpt of ColorCNNTask.
            DITHER is in :data:`colorcnn.quantizers.DITHERS`.
        device: device of a learned model and its images.
        seed: seed of methods with random numbers.
        dither: a name in DITHERS instead of ``+DITHER``; True is ``floyd-steinberg``.
        palette: a palette file, or colours like ``keep``, for the method's dither to use.
        keep: colours of every palette: names, ``#rrggbb``, three bytes, or three floats in [0, 1], see
            :func:`colorcnn.colors.parse_colors`.
        serpentine: True to process every second row from right to left in Floyd-Steinberg.
        space: a name in :data:`colorcnn.quantizers.spaces.SPACES`, for distances, or else for dithering.
        options: further options of the method's class, such as ``quality`` of k-means.

    Returns:
        A quantizer of batches, see :class:`AnyQuantizer`.

    Raises:
        UsageError: the method or an option is invalid.
        ColorCNNError: the checkpoint is damaged.
    """
    parsed = _with_dither(method, dither)
    keep = parse_colors(keep)
    check_at_least(0, seed=seed)
    if serpentine and not parsed.dither:
        raise UsageError(f"serpentine needs dithering and {method} has none: add +floyd-steinberg.")
    if palette is not None:
        return _given_palette(palette, parsed.dither, space, serpentine, {**options, "keep": keep})
    takes = _options_of(parsed)
    if space is not None and ("space" in takes or not parsed.dither):
        options["space"] = space
    _check_taken(parsed, method, options)
    options |= {name: value for name, value in (("seed", seed), ("keep", keep)) if name in takes}
    quantizer = _plain_quantizer(parsed, device, options)
    if keep and "keep" not in takes:
        quantizer = Keeping(quantizer, keep)
    if parsed.dither:
        return Dithered(quantizer, parsed.dither, space=space, serpentine=serpentine)
    return quantizer


def _plain_quantizer(parsed: Method, device: str | torch.device, options: dict[str, Any]) -> Any:
    """Build the quantizer of a method without its dither."""
    if is_classical(parsed):
        return _class_of(parsed)(**options)
    if parsed.name == ONNX:
        from colorcnn.quantizers.onnx_graph import OnnxQuantizer

        return OnnxQuantizer(str(parsed.checkpoint))
    return _learned_quantizer(parsed).to(find_device(device))


def _check_taken(parsed: Method, method: str, options: Iterable[str]) -> None:
    """Raise UsageError for options that a method does not have; list the methods that have them."""
    for name in options:
        if name not in _options_of(parsed):
            able = ", ".join(other for other in sorted(QUANTIZERS) if name in _options_of(Method(other)))
            shown = method if parsed.name == OWN else parsed.name
            raise UsageError(f"{shown} has no {name}: {f'choose {able}' if able else 'leave it out'}.")


def _with_dither(method: str, dither: str | bool | None) -> Method:
    """Parse a method, with a separate dither."""
    parsed = parse_method(method)
    if dither is None or dither is False:
        return parsed
    if parsed.dither is not None:
        raise UsageError(f"{method} has a dither and dither is {dither!r}: give one of them.")
    name = "floyd-steinberg" if dither is True else dither
    if name not in DITHERS:
        raise UnknownName("dither", name, DITHERS)
    return dataclasses.replace(parsed, dither=name)


def _given_palette(
    palette: Any, dither: str | None, space: str | None, serpentine: bool, others: dict[str, Any]
) -> AnyQuantizer:
    """Build a quantizer with a fixed palette."""
    useless = sorted(name for name, value in others.items() if value)
    if useless:
        raise UsageError(f"palette gives all colours, so {useless[0]} has no effect: leave it out.")
    rows = read_palette(palette) if isinstance(palette, str | os.PathLike) else check_kept(palette)
    if not len(rows):
        raise UsageError("The palette has no colour: give at least one.")
    from colorcnn.quantizers.palettes import Fixed

    fixed = Fixed(rows, space=space or "srgb")
    return fixed if dither is None else Dithered(fixed, dither, serpentine=serpentine)


def _options_of(method: Method) -> set[str]:
    """Return the names of the options of a classical method's class."""
    return set(inspect.signature(_class_of(method)).parameters) if is_classical(method) else set()


def _class_of(method: Method) -> Any:
    """Return the class of a classical method; one outside of the package is imported and checked."""
    if method.name in QUANTIZERS:
        return QUANTIZERS[method.name]
    spec = str(method.checkpoint)
    found = import_own(spec)
    if not (isinstance(found, type) and issubclass(found, Quantizer)) or inspect.isabstract(found):
        raise UsageError(
            f"{spec} is no quantizer",
            "name a subclass of colorcnn.quantizers.Quantizer that has quantize_pixels",
            code="not-a-quantizer",
            name=spec,
        )
    return found


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
