"""``colorcnn publish``: write a checkpoint folder from a run."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import msgspec

from colorcnn.commands.console import Parser
from colorcnn.errors import UsageError, shortened
from colorcnn.hub import parse_hub_name
from colorcnn.pretrained import find_lightning

DESCRIPTION = """\
Make a checkpoint folder of a training: model.safetensors, config.json and a model card, README.md. The folder
can be used as a checkpoint: --method colorcnn-plus:OUT, --classifier OUT, from_pretrained("OUT").
No code in the run's file is run. With --push the folder goes to the
Hugging Face Hub, and hf:USER/REPO is its name from then on. The token comes from HF_TOKEN or `hf auth login`.
"""
EXAMPLES = """\
examples:
  colorcnn publish runs/my-quantizer checkpoints/my-quantizer
  colorcnn publish runs/plus/checkpoints/last.ckpt mine --name colorcnn-plus-cifar10 --dataset cifar10 \\
      --recipe experiments/colorcnn/cifar10_resnet18_colorcnn-plus.yaml --seed 0 --metrics record.json
  colorcnn publish runs/my-quantizer checkpoints/my-quantizer --push me/my-quantizer --private
  colorcnn publish checkpoints/my-quantizer --push me/my-quantizer
  colorcnn publish --index checkpoints

exit status: 0 when the folder was written, 1 when the work failed, 2 for a wrong option.
"""


def main(argv: list[str]) -> int:
    """Run the command.

    Args:
        argv: the arguments of the command.

    Returns:
        0.

    Raises:
        UsageError: an option is invalid, or the run holds no checkpoint.
        ColorCNNError: the checkpoint is damaged, or the folder exists or cannot be written.
    """
    options = _parse(argv)
    folder = options.run
    if options.out is not None:
        folder = _publish(options)
        print(folder)
    if options.push is not None:
        print(_push(folder, options))
    if options.index is not None:
        if not options.index.is_dir():
            raise UsageError(f"{options.index} is not a folder: give one that holds checkpoint folders.")
        from colorcnn.publishing import write_index

        print(write_index(options.index))
    return 0


def _publish(options: argparse.Namespace) -> Path:
    ckpt = find_lightning(options.run)
    if ckpt is None:
        raise UsageError(
            f"{options.run} holds no checkpoint: name a .ckpt that `colorcnn fit` wrote, or a run's folder."
        )
    if not ckpt.exists():
        raise UsageError(f"{ckpt} does not exist: check the path.")
    from colorcnn.publishing import copy_run, publish, read_scores
    from colorcnn.weights import load_lightning

    model, config = load_lightning(ckpt)
    told = {"dataset": options.dataset, "recipe": options.recipe, "seed": options.seed}
    config = dataclasses.replace(
        config,
        **_facts_of_run(ckpt) | {name: value for name, value in told.items() if value is not None},
        metrics=read_scores(options.metrics) if options.metrics else {},
        classes=_lines(options.classes) if options.classes else (),
    )
    folder = publish(
        model,
        options.out,
        config,
        name=options.name,
        note=options.note,
        spec=options.push and f"hf:{options.push}",
        overwrite=options.force,
    )
    copy_run(ckpt, folder)
    return folder


class _Data(msgspec.Struct):
    """The data set in the configuration of a run."""

    class_path: str = ""
    init_args: dict[str, Any] = {}


class _Run(msgspec.Struct):
    """The part of a run's configuration that a model card shows."""

    seed_everything: bool | int | None = None
    data: _Data | str | None = None


def _facts_of_run(ckpt: Path) -> dict[str, Any]:
    """Return the training data, the recipe and the seed in the configuration of a run, if it has one."""
    from colorcnn import schema
    from colorcnn.publishing import run_file
    from colorcnn.reproduce.yaml_file import read_yaml

    path = run_file(ckpt, "config.yaml")
    if path is None:
        return {}
    run = schema.convert(read_yaml(path), _Run, path, "correct it there")
    facts: dict[str, Any] = {"recipe": "config.yaml"}  # copy_run puts it beside the card
    if run.data is not None:
        data = _Data(run.data) if isinstance(run.data, str) else run.data
        named = data.init_args.get("path")
        where = Path(named if isinstance(named, str) else data.class_path.rpartition(".")[2])
        # A card may be shared, so it names no place on a machine.
        facts["dataset"] = shortened(where.name if where.is_absolute() else where.as_posix())
    if not isinstance(run.seed_everything, bool):
        facts["seed"] = run.seed_everything
    return facts


def _push(folder: Path, options: argparse.Namespace) -> str:
    from colorcnn.checkpoint_config import read_config
    from colorcnn.hub import push

    read_config(folder)  # raises if the folder is not a checkpoint
    return push(folder, options.push, private=options.private or None)


def _lines(path: Path) -> tuple[str, ...]:
    try:
        return tuple(path.read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UsageError(f"{path} could not be read ({reason}): name a text file of classes.") from error


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        prog="colorcnn publish",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    add = parser.add_argument
    add("run", nargs="?", metavar="RUN", help="a run's folder, its checkpoints folder, or a .ckpt")
    add("out", nargs="?", metavar="OUT", type=Path, help="the checkpoint folder to write")
    add(
        "--push",
        metavar="USER/REPO",
        help="upload OUT to the Hugging Face Hub; without OUT: RUN, a checkpoint folder",
    )
    add("--private", action="store_true", help="make the repository private, if --push makes it")
    add("--name", help="the checkpoint's name on its card (default: that of OUT)")
    add("--dataset", help="the training data (default: that of the run's configuration)")
    add("--recipe", help="its experiment file, or a sentence (default: config.yaml, the run's)")
    add("--seed", type=int, metavar="N", help="seed of the training (default: that of the configuration)")
    add("--metrics", type=Path, metavar="JSON", help="its scores: a JSON object, or a record with metrics")
    add("--classes", type=Path, metavar="TXT", help="names of a classifier's classes, one per line, in order")
    add("--note", default="", help="a paragraph for the model card: what to know before use")
    add("--force", action="store_true", help="replace a checkpoint that is there (default: refuse)")
    add("--index", type=Path, metavar="DIR", help="write index.json, a list of the checkpoints in DIR, too")
    options = parser.parse_args(argv)
    if options.run is None and (options.push or options.index is None):
        raise UsageError("publish needs RUN and OUT: name a run and the folder to write, or --index DIR.")
    if options.run is not None and options.out is None and not options.push:
        raise UsageError("publish needs RUN and OUT: name the folder to write, too.")
    if options.private and not options.push:
        raise UsageError("--private says how --push makes a repository: give --push USER/REPO, too.")
    if options.push:
        options.push = parse_hub_name(options.push)[0]
    return options
