"""Quantizers exported to ONNX, run by ONNX Runtime without PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from colorcnn import schema
from colorcnn.errors import ColorCNNError, UsageError, shortened
from colorcnn.graphs import GRAPH_VERSION, KEY, Graph, view_size
from colorcnn.quantizers.base import Quantizer, drop_unused
from colorcnn.quantizers.registry import QUANTIZERS

_CURE = "give a file that `colorcnn export` wrote"
_MOST_BYTES = 2 << 30  # of a protocol buffer


class OnnxQuantizer(Quantizer):
    """A learned quantizer in an ONNX file.

    Args:
        path: of a file that :mod:`colorcnn.export` wrote. Files that it refers to are not read.

    Raises:
        UsageError: ONNX Runtime is missing, the file does not exist, or it holds no quantizer.
        ColorCNNError: the file is damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.session, self.graph = open_graph(self.path)
        if self.graph.kind != "quantizer":
            raise UsageError(f"{self.path} is a graph of a {self.graph.kind}: name one of a quantizer.")
        if self.graph.start is not None and self.graph.start not in QUANTIZERS:
            raise ColorCNNError(f"{self.path} starts at the unknown method {self.graph.start!r}: {_CURE}.")
        self.trained_sizes = self.graph.trained_sizes

    def quantize_pixels(self, pixels: np.ndarray, num_colors: int) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`Quantizer.quantize_pixels`.

        Args:
            pixels: (H, W, 3) uint8.
            num_colors: C of the graph, where it has one.
        """
        graph = self.graph
        if graph.num_colors not in (None, num_colors):
            raise UsageError(
                f"{self.path} was exported for {graph.num_colors} colours and cannot give {num_colors}: "
                f"ask for {graph.num_colors}, or export another graph."
            )
        images = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None]).astype(np.float32) / np.float32(255)
        inputs = {"images": images}
        if graph.view is not None:
            inputs["view"] = shrunk(images, graph.view)
        if graph.start is not None:
            colors = QUANTIZERS[graph.start]().quantize_pixels(pixels, num_colors)[1]
            # Fewer colours repeat the first one, which changes no index map.
            inputs["start"] = np.vstack([colors, np.repeat(colors[:1], num_colors - len(colors), 0)])[None]
        indices, palette = self._run(inputs)
        colors = np.floor(palette[0].clip(0, 1) * 255 + 0.5).astype(np.uint8)
        return drop_unused(np.ascontiguousarray(indices[0]), colors)

    def _run(self, inputs: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        try:
            indices, palette = self.session.run(["indices", "palette"], inputs)
        except Exception as error:  # the runtime has errors of its own, and a graph may be another one's
            raise ColorCNNError(
                f"{self.path} could not be run ({shortened(str(error), 200)}): {_CURE}, "
                "or scale the image down."
            ) from error
        size = inputs["images"].shape[2:]
        if indices.dtype != np.uint8 or indices.shape != (1, *size) or palette.shape[2:] != (3,):
            raise ColorCNNError(f"{self.path} gives no index map and palette of the image: {_CURE}.")
        if int(indices.max()) >= palette.shape[1] or not np.isfinite(palette).all():
            raise ColorCNNError(f"{self.path} gives an index without a colour: {_CURE}.")
        return indices, palette


def open_graph(path: Path) -> tuple[Any, Graph]:
    """Open an ONNX file with ONNX Runtime, on the CPU.

    Args:
        path: of the file; data outside of it is not read.

    Returns:
        The session and the file's own description.

    Raises:
        UsageError: ONNX Runtime is missing, or the file does not exist.
        ColorCNNError: the file is damaged, or is none of ours.
    """
    try:
        data = schema.read_file(path, _CURE, _MOST_BYTES)
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist: check the path.") from error
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError(
            f"{path} needs ONNX Runtime: install colorcnn with its extra, pip install 'colorcnn[onnx]'."
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ColorCNNError(
            f"{path} is damaged or no ONNX file ({shortened(str(error), 120)}): {_CURE}."
        ) from error
    text = session.get_modelmeta().custom_metadata_map.get(KEY)
    if text is None:
        raise ColorCNNError(f"{path} is an ONNX file of another program: {_CURE}.")
    content = schema.parse_json(text.encode(), path, _CURE)
    version = content.get("graph_version")
    if isinstance(version, int) and version > GRAPH_VERSION:
        raise ColorCNNError(
            f"{path} has graph version {shortened(version)} and this colorcnn reads up to {GRAPH_VERSION}: "
            "update colorcnn."
        )
    return session, schema.convert(content, Graph, path, _CURE)


def shrunk(images: np.ndarray, view: int) -> np.ndarray:
    """Return images as the backbone of palette attention sees them: means of areas.

    Args:
        images: (B, 3, H, W) float32.
        view: the longest side; smaller images stay as they are.
    """
    height, width = images.shape[2:]
    size = view_size(height, width, view)
    if size == (height, width):
        return images
    rows, columns = _area_weights(height, size[0]), _area_weights(width, size[1])
    small: np.ndarray = (rows @ images.astype(np.float64) @ columns.T).astype(np.float32)
    return small


def _area_weights(old: int, new: int) -> np.ndarray:
    """The matrix (new, old) that takes means of [floor(i old / new), ceil((i + 1) old / new))."""
    places, rows = np.arange(old), np.arange(new)[:, None]
    inside = (places >= rows * old // new) & (places < -(-(rows + 1) * old // new))
    weights: np.ndarray = inside / inside.sum(axis=1, keepdims=True)
    return weights
