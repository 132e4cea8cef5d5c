"""``colorcnn export``: a network as a graph for other runtimes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from colorcnn.checkpoint_config import read_config
from colorcnn.commands.console import Parser
from colorcnn.errors import FileExists, UsageError
from colorcnn.files import is_taken, write_atomically
from colorcnn.graphs import PARTS, Graph, plan_graph
from colorcnn.pretrained import find_checkpoint, find_unpublished

if TYPE_CHECKING:
    from torch import nn

DESCRIPTION = """\
Write a pretrained or trained network as a graph of ONNX, or as an exported program of PyTorch. Batch, height
and width stay open. A quantizer gives the index map and the palette. `colorcnn quantize --method FILE.onnx`
runs it with ONNX Runtime and without PyTorch. An ONNX graph is compared with the network before it is kept.
"""
EXAMPLES = """\
examples:
  colorcnn export palette-attention-cifar10 -o attention.onnx        # serves every number of colours
  colorcnn export colorcnn-plus-cifar10 --colors 4                   # colorcnn-plus-cifar10-c4.onnx
  colorcnn export resnet9-cifar10 --format torch                     # for torch.export.load
  colorcnn export factorized-prior-tiny-imagenet --part encoder
  colorcnn quantize photo.jpg --colors 8 --method attention.onnx

ONNX needs the extra onnx: pip install 'colorcnn[onnx]'.
exit status: 0 when the file was written, 1 when the work failed, 2 for a wrong option.
"""
CURES = {
    "graph-colors": "give it with --colors",
    "graph-no-colors": "omit --colors",
    "graph-part": lambda codec: (
        "choose one with --part encoder or --part decoder" if codec else "omit --part"
    ),
    "file-exists": "choose another name with -o, or overwrite it with --force",
}
ENDS = {"onnx": ".onnx", "torch": ".pt2"}


def main(argv: list[str]) -> int:
    """Run the command.

    Args:
        argv: its arguments.

    Returns:
        0.

    Raises:
        UsageError: an option is invalid, or there is no such network.
        ColorCNNError: the checkpoint is damaged, the file exists, or the network cannot be exported.
    """
    options = _parse(argv)
    graph, loaded = _plan(options)
    end = ENDS[options.format]
    path = options.output or Path(f"{_stem(options, graph)}{end}")
    if path.suffix != end:
        raise UsageError(f"{path} does not end in {end}: name a file of --format {options.format}.")
    if is_taken(path) and not options.force:
        raise FileExists.at(path)
    from colorcnn.export import export_graph
    from colorcnn.pretrained import load_any

    model = load_any(options.model)[0] if loaded is None else loaded
    with tqdm(total=3, unit="step", disable=None, leave=False, file=sys.stderr) as bar:

        def step(name: str) -> None:
            bar.set_description(name)
            bar.update()

        data = export_graph(model, graph, options.format, step)
    print(write_atomically(path, data, overwrite=options.force))
    return 0


def _plan(options: argparse.Namespace) -> tuple[Graph, nn.Module | None]:
    """Return the graph; of a Lightning checkpoint, which must be loaded for that, the network, too."""
    name = options.model
    lightning = find_unpublished(name)
    if lightning is None:
        return plan_graph(read_config(find_checkpoint(name)), options.colors, options.part), None
    if not lightning.exists():
        raise UsageError(f"{lightning} does not exist: check the path.")
    from colorcnn.weights import load_lightning

    model, config = load_lightning(lightning)
    return plan_graph(config, options.colors, options.part), model


def _stem(options: argparse.Namespace, graph: Graph) -> str:
    """The name of a file that the options do not name: in the current folder, after the network."""
    name = Path(options.model.rpartition("@")[0] or options.model).name.removesuffix(".ckpt")
    colors = f"-c{graph.num_colors}" if graph.num_colors else ""
    return f"{name}{colors}{f'-{options.part}' if options.part else ''}"


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        prog="colorcnn export",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    add = parser.add_argument
    add(
        "model",
        metavar="MODEL",
        help="a pretrained name, a checkpoint folder, a .ckpt, a run, or hf:USER/REPO",
    )
    add("--format", choices=ENDS, default="onnx", help="of the file (default: onnx)")
    add("-o", "--output", metavar="FILE", type=Path, help="the file (default: after the network, here)")
    add("--colors", type=int, metavar="N", help="the number of colours of a ColorCNN+ graph")
    add("--part", choices=PARTS, help="the transform of a codec")
    add("--force", action="store_true", help="replace a file that is there (default: refuse)")
    return parser.parse_args(argv)
