"""Exported graphs: what a file of one tells of itself, and which graphs a checkpoint gives."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

import msgspec

from colorcnn.checkpoint_config import Config
from colorcnn.errors import UsageError
from colorcnn.schema import Side
from colorcnn.version import __version__

KEY = "colorcnn"
"""The name of the metadata of an ONNX file that holds a :class:`Graph` as JSON."""

GRAPH_VERSION = 1
PARTS = ("encoder", "decoder")
_Colors = Annotated[int, msgspec.Meta(ge=1, le=256)]
_Text = Annotated[str, msgspec.Meta(max_length=1 << 20)]


@dataclasses.dataclass(frozen=True)
class Graph:
    """Schema of the metadata of an exported graph.

    Attributes:
        kind: ``quantizer`` and ``classifier`` take images; ``encoder`` and ``decoder`` are parts of a codec.
        architecture: a key of :data:`colorcnn.models.MODELS`.
        num_colors: C of the graph; None where C is that of its input ``start``, or where it has no colours.
        trained_sizes: the numbers of colours seen in training.
        start: the classical quantizer that gives the input ``start``, or None for a graph without it.
        view: the longest side, in pixels, of the input ``view``; None for a graph without it.
        dataset: of the training.
        classes: names of a classifier's outputs.
        sha256: of the weights.
        version: of colorcnn.
        graph_version: of this schema.
    """

    kind: Literal["quantizer", "classifier", "encoder", "decoder"]
    architecture: _Text
    num_colors: _Colors | None = None
    trained_sizes: tuple[_Colors, ...] = ()
    start: _Text | None = None
    view: Side | None = None
    dataset: _Text = ""
    classes: tuple[_Text, ...] = ()
    sha256: _Text = ""
    version: _Text = __version__
    graph_version: int = GRAPH_VERSION


def plan_graph(config: Config, num_colors: int | None = None, part: str | None = None) -> Graph:
    """Return the graph that options ask for.

    Args:
        config: of the checkpoint.
        num_colors: C; a ColorCNN+ needs it, a ColorCNN has its own, and palette attention leaves it open.
        part: ``encoder`` or ``decoder`` of a codec.

    Raises:
        UsageError: an option is missing, does not fit the network, or is out of range.
    """
    common: dict[str, Any] = {
        "architecture": config.architecture,
        "dataset": config.dataset,
        "classes": config.classes,
        "sha256": config.sha256,
    }
    if config.kind == "vector compressor":
        raise UsageError(
            f"A {config.kind} is not exported: name a quantizer, a classifier or an image codec."
        )
    codec = config.kind == "compressor"
    if codec != (part is not None):
        problem = f"A {config.kind} has {'two graphs' if codec else 'one graph'}"
        cure = "choose part encoder or decoder" if codec else "leave part out"
        raise UsageError(problem, cure, code="graph-part", codec=codec)
    if config.kind != "quantizer" and num_colors is not None:
        raise UsageError(
            f"A {config.kind} has no number of colours", "leave num_colors out", code="graph-no-colors"
        )
    if part is not None:
        if part not in PARTS:
            raise UsageError(f"A codec has no part {part!r}: choose encoder or decoder.")
        return Graph("encoder" if part == "encoder" else "decoder", **common)
    if config.kind == "classifier":
        return Graph("classifier", **common)
    return _plan_quantizer(config, num_colors, common)


def _plan_quantizer(config: Config, num_colors: int | None, common: dict[str, Any]) -> Graph:
    """The graph of a quantizer, see :func:`plan_graph`."""
    if config.architecture == "palette-attention":
        if num_colors is not None:
            raise UsageError(
                "The graph of palette attention serves every number of colours",
                "leave num_colors out",
                code="graph-no-colors",
            )
        start, view = config.kwargs.get("start", "wu"), config.kwargs.get("view", 128)
        sizes = tuple(config.kwargs.get("trained_sizes", ()))
        return Graph("quantizer", trained_sizes=sizes, start=start, view=view, **common)
    own = config.kwargs.get("num_colors")
    chosen = own if num_colors is None else num_colors
    if chosen is None:
        raise UsageError(
            f"A graph of {config.architecture} is for one number of colours",
            "give num_colors",
            code="graph-colors",
        )
    if own is not None and num_colors not in (None, own):
        raise UsageError(
            f"This {config.architecture} was made for {own} colours and not for {num_colors}",
            "leave num_colors out",
            code="graph-no-colors",
        )
    if not 1 <= chosen <= 256:
        raise UsageError(f"The number of colours is {chosen}: choose a whole number from 1 to 256.")
    sizes = (own,) if own is not None else tuple(config.kwargs.get("trained_sizes", ()))
    return Graph("quantizer", num_colors=chosen, trained_sizes=sizes, **common)


def view_size(height: int, width: int, view: int) -> tuple[int, int]:
    """Return the height and width of an image as a backbone sees it that sees small copies.

    Args:
        height: of the image.
        width: of the image.
        view: the longest side that the backbone sees; smaller images stay as they are.
    """
    largest = max(height, width)
    if largest <= view:
        return height, width
    return max(1, round(height * view / largest)), max(1, round(width * view / largest))
