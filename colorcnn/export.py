"""Networks as graphs for other runtimes: ONNX, and PyTorch's own exported programs.

Both come from one capture by :func:`torch.export.export`. Height, width and batch are open. The graph of a
quantizer gives the index map (Eq 2) and the palette (Eq 3). The one of palette attention takes the classical
palette and the small copy of the image that its backbone sees, and serves every number of colours.
"""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from colorcnn.errors import ColorCNNError, UsageError, shortened
from colorcnn.graphs import KEY, Graph
from colorcnn.models import LearnedQuantizer, PaletteAttention
from colorcnn.paletted import Paletted, from_bytes
from colorcnn.vq.compressor import ImageCompressor

FORMATS = {"onnx": ".onnx", "torch": ".pt2"}
"""Format -> the end of its files' names."""

_OPEN = torch.export.Dim.DYNAMIC
_IMAGE = {0: _OPEN, 2: _OPEN, 3: _OPEN}
_SAME = 0.9995
"""The least share of pixels whose index must be PyTorch's in the check of an ONNX file."""

_NEAR = 1e-3
_CAPTURED, _CHECKED = (48, 40), (300, 418)  # height and width


class _Plan(NamedTuple):
    """Everything that a capture needs."""

    module: nn.Module
    inputs: Callable[[int, int], dict[str, Tensor]]
    open_sizes: tuple[dict[int, Any], ...]
    outputs: tuple[str, ...]


class _Whole(nn.Module):
    """A quantizer whose network sees the whole image, for one number of colours."""

    def __init__(self, model: LearnedQuantizer, num_colors: int) -> None:
        super().__init__()
        self.model, self.num_colors = model, num_colors

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return _both(self.model._decide(images, self.model.encode(images), self.num_colors))


class _Attention(nn.Module):
    """Palette attention behind its classical quantizer."""

    def __init__(self, model: PaletteAttention) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, view: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        features = self.model.encode(images, view)
        return _both(self.model.decide(images, features, start.shape[1], start))


class _Part(nn.Module):
    """A transform of a codec."""

    def __init__(self, model: ImageCompressor, part: str) -> None:
        super().__init__()
        self.model, self.part = model, part

    def forward(self, values: Tensor) -> Tensor:
        if self.part == "encoder":
            return self.model.latent(values)
        return self.model._transformed(self.model.decoder, values)


def _both(paletted: Paletted) -> tuple[Tensor, Tensor]:
    return paletted.indices, paletted.palette


def export_graph(
    model: nn.Module, graph: Graph, format: str = "onnx", step: Callable[[str], None] = lambda name: None
) -> bytes:
    """Export a network.

    Args:
        model: as :func:`colorcnn.from_pretrained` returns it.
        graph: which graph, as :func:`colorcnn.graphs.plan_graph` returns it.
        format: a key of :data:`FORMATS`.
        step: is called with the name of each step when it begins.

    Returns:
        The content of the file. An ONNX graph has been run and compared with the network.

    Raises:
        UsageError: the format is unknown, or a library of the extra ``onnx`` is missing.
        ColorCNNError: the network has a part that cannot be exported, or the graph gives other results.
    """
    if format not in FORMATS:
        raise UsageError(f"There is no format {format!r}: choose {' or '.join(FORMATS)}.")
    if format == "onnx":
        _check_libraries()
    plan = _plan(model.cpu().eval(), graph)
    step("capture")
    program = _captured(plan)
    about = json.dumps(dataclasses.asdict(graph), ensure_ascii=False)
    if format == "torch":
        buffer = io.BytesIO()
        with _quiet():
            torch.export.save(program, buffer, extra_files={KEY: about})
        return buffer.getvalue()
    step("convert")
    data = _as_onnx(program, plan, about)
    step("check")
    _check(data, plan)
    return data


def _plan(model: nn.Module, graph: Graph) -> _Plan:
    if graph.kind == "classifier":
        return _Plan(model, _image_inputs, (_IMAGE,), ("logits",))
    if isinstance(model, PaletteAttention):
        sizes = (_IMAGE, _IMAGE, {0: _OPEN, 1: _OPEN})
        return _Plan(_Attention(model), _attention_inputs(model), sizes, ("indices", "palette"))
    if isinstance(model, LearnedQuantizer):
        whole = _Whole(model, cast(int, graph.num_colors))
        return _Plan(whole, _image_inputs, (_IMAGE,), ("indices", "palette"))
    codec = cast(ImageCompressor, model)
    if graph.kind == "encoder":
        return _Plan(_Part(codec, "encoder"), _image_inputs, (_IMAGE,), ("latent",))

    def latents(height: int, width: int) -> dict[str, Tensor]:
        with torch.no_grad():
            return {"latent": codec.latent(_images(height, width))}

    return _Plan(_Part(codec, "decoder"), latents, (_IMAGE,), ("reconstruction",))


def _image_inputs(height: int, width: int) -> dict[str, Tensor]:
    return {"images": _images(height, width)}


def _attention_inputs(model: PaletteAttention) -> Callable[[int, int], dict[str, Tensor]]:
    def inputs(height: int, width: int) -> dict[str, Tensor]:
        images = _images(height, width)
        view = nn.functional.interpolate(images, (height // 2, width // 2), mode="area")
        return {"images": images, "view": view, "start": model.start_palettes(images, 6)}

    return inputs


def _images(height: int, width: int) -> Tensor:
    """Two images of smooth colours with noise, the same in every run."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(2, 3, 4, 4, generator=generator)
    smooth = nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    noisy = smooth + 0.05 * torch.rand(smooth.shape, generator=generator)
    return from_bytes((noisy.clamp(0, 1) * 255).to(torch.uint8))


def _captured(plan: _Plan) -> torch.export.ExportedProgram:
    try:
        with torch.no_grad(), _quiet():
            return torch.export.export(
                plan.module,
                tuple(plan.inputs(*_CAPTURED).values()),
                dynamic_shapes=plan.open_sizes,
                strict=False,
            )
    except Exception as error:  # networks of other libraries fail here in many ways
        raise _not_exportable(error) from error


def _as_onnx(program: torch.export.ExportedProgram, plan: _Plan, about: str) -> bytes:
    try:
        with _quiet():
            converted = torch.onnx.export(
                program,
                dynamo=True,
                input_names=list(plan.inputs(*_CAPTURED)),
                output_names=list(plan.outputs),
                verbose=False,
            )
            proto = cast(Any, converted).model_proto
            entry = proto.metadata_props.add()
            entry.key, entry.value = KEY, about
            return bytes(proto.SerializeToString())
    except Exception as error:
        raise _not_exportable(error) from error


def _check(data: bytes, plan: _Plan) -> None:
    """Run an ONNX graph on a larger image than it was captured with, and compare."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    inputs = {name: value[:1] for name, value in plan.inputs(*_CHECKED).items()}
    with torch.no_grad():
        expected = plan.module(*inputs.values())
    expected = expected if isinstance(expected, tuple) else (expected,)
    found = session.run(list(plan.outputs), {name: value.numpy() for name, value in inputs.items()})
    for name, ours, theirs in zip(plan.outputs, expected, map(torch.from_numpy, found)):
        if name == "indices":
            same = float((ours == theirs).double().mean())
            agrees = same >= _SAME
        else:
            agrees = bool((ours - theirs).abs().max() <= _NEAR * ours.abs().max().clamp_min(1))
        if not agrees:
            raise ColorCNNError(
                f"The graph gives other {name} than the network: update torch, onnxscript and onnxruntime."
            )


def _check_libraries() -> None:
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"{error.name} is missing: install colorcnn with its extra, pip install 'colorcnn[onnx]'."
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks on its own work from the terminal."""
    loggers = [logging.getLogger(name) for name in ("torch", "onnxscript", "onnx_ir")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before):
            logger.setLevel(level)


def _not_exportable(error: Exception) -> ColorCNNError:
    reason = shortened((str(error) or type(error).__name__).strip().splitlines()[0].rstrip("."), 200)
    return ColorCNNError(
        f"The network cannot be exported ({reason})", "choose a network of colorcnn", code="not-exportable"
    )
