#!/usr/bin/env python
"""Turn a Lightning .ckpt into a checkpoint folder with a model card, and rebuild the index of all of them.

    python tools/publish_checkpoint.py runs/plus/last.ckpt colorcnn-plus-cifar10 --dataset cifar10 \\
        --recipe experiments/colorcnn/cifar10_resnet9.yaml --seed 0 --metrics runs/plus/record.json

The weights are read without running any code the file may hold. `--index` only rebuilds the index.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.files import write_atomically
from colorcnn.version import __version__
from colorcnn.weights import (
    CONFIG,
    FORMAT_VERSION,
    WEIGHTS,
    Config,
    load_lightning,
    read_config,
    save_pretrained,
)

ROOT = Path(__file__).resolve().parents[1] / "checkpoints"
RUN_FILES = {"config.yaml": ("fit.yaml", "config.yaml"), "scores.jsonl": ("scores.jsonl",)}
"""What is put beside the weights, and what it is called in a run: a stage's own configuration comes first."""
LARGEST = 60_000_000  # bytes; a repository is no place for more


def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns its exit status."""
    options = _parse(argv)
    try:
        if not options.index:
            model, config = load_lightning(options.ckpt)
            config = dataclasses.replace(
                config,
                dataset=options.dataset,
                recipe=options.recipe,
                seed=options.seed,
                metrics=_read_json(options.metrics) if options.metrics else {},
                classes=tuple(options.classes.read_text().splitlines()) if options.classes else (),
            )
            folder = options.root / options.name
            print(publish(model, folder, config, note=options.note, overwrite=options.force))
            copy_run(options.ckpt, folder)
        print(write_index(options.root))
    except (ColorCNNError, OSError) as error:
        print(f"publish_checkpoint: error: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, ColorCNNError) else 1
    return 0


def publish(
    model: nn.Module, folder: Path, config: Config, *, note: str = "", overwrite: bool = False
) -> Path:
    """Write a checkpoint folder and its model card.

    Args:
        model: the trained network.
        folder: ``<root>/<name>``.
        config: everything but the hash of the weights.
        note: a paragraph for the model card: what to know before using it.
        overwrite: replace a checkpoint that is there.

    Raises:
        ColorCNNError: a checkpoint is there already, or the files cannot be written.
        UsageError: the network is too large for a repository.
    """
    size = sum(value.numel() * value.element_size() for value in model.state_dict().values())
    if size > LARGEST:
        raise UsageError(
            f"{folder.name} has {size} bytes of weights, more than {LARGEST}: publish it elsewhere."
        )
    config = save_pretrained(model, folder, config, overwrite=overwrite)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    write_atomically(folder / "README.md", model_card(folder.name, config, parameters, note).encode())
    return folder


def copy_run(ckpt: Path, folder: Path) -> None:
    """Put the configuration and the log of scores of the run, where it has them, beside the weights."""
    for name, candidates in RUN_FILES.items():
        sources = [ckpt.parent.parent / candidate for candidate in candidates]
        source = next((source for source in sources if source.is_file()), None)
        if source is not None:
            write_atomically(folder / name, source.read_bytes())


def model_card(name: str, config: Config, parameters: int, note: str = "") -> str:
    """The text of a checkpoint's README.md."""
    if config.kind == "quantizer":
        colors = config.kwargs.get("num_colors", 4)
        use = (
            f"colorcnn quantize photo.jpg --colors {colors} --method {config.architecture}:{name}\n"
            "```\n\n```python\nimport colorcnn\n"
            f'paletted = colorcnn.quantize("photo.jpg", {colors}, method="{config.architecture}:{name}")'
        )
    elif config.kind == "compressor":
        use = (
            f"colorcnn compress photo.png --model {name} -o photo.cvq\n"
            "colorcnn decompress photo.cvq -o back.png\n"
            f'```\n\n```python\nimport colorcnn\ncodec = colorcnn.from_pretrained("{name}")\n'
            "reconstruction, quantized = codec(images)  # images (B, 3, H, W) in [0, 1]; quantized.bits"
        )
    else:
        use = (
            f"colorcnn evaluate DATA --classifier {name} --methods median-cut,octree --colors 2,4,8\n"
            f'```\n\n```python\nimport colorcnn\nlogits = colorcnn.from_pretrained("{name}")(images)  '
            "# (B, 3, H, W) in [0, 1]"
        )
    options = json.dumps(dict(config.kwargs), ensure_ascii=False)
    facts = {
        "Kind": config.kind,
        "Architecture": f"`{config.architecture}` with `{options}`",
        "Parameters": f"{parameters:,}",
        "Trained on": config.dataset or "not recorded",
        "Recipe": f"`{config.recipe}`" if config.recipe else "not recorded",
        "Seed": "not recorded" if config.seed is None else str(config.seed),
        "Classes": ", ".join(config.classes),
        "Format": f"{FORMAT_VERSION}, written by colorcnn {__version__}",
        "SHA-256": f"`{config.sha256}`",
    }
    lines = [f"# {name}", "", *([note, ""] if note else []), "| | |", "|---|---|"]
    lines += [f"| {key} | {value} |" for key, value in facts.items() if value]
    lines += ["", "## Use", "", "```sh", use, "```", "", "## Measured", ""]
    scores = [f"| {key} | {value} |" for key, value in _flat(config.metrics)]
    lines += ["| score | value |", "|---|---|", *scores] if scores else ["No scores are recorded."]
    return "\n".join(lines) + "\n"


def write_index(root: Path) -> Path:
    """Write index.json: what each checkpoint's config.json says, by name."""
    entries = {}
    for path in sorted(root.glob(f"*/{CONFIG}")):
        config = read_config(path.parent)
        entries[path.parent.name] = {
            "kind": config.kind,
            "architecture": config.architecture,
            "dataset": config.dataset,
            "metrics": config.metrics,
            "bytes": (path.parent / WEIGHTS).stat().st_size,
            "sha256": config.sha256,
        }
    text = json.dumps(
        {"format_version": FORMAT_VERSION, "checkpoints": entries}, indent=2, ensure_ascii=False
    )
    return write_atomically(root / "index.json", text.encode() + b"\n")


def _flat(scores: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in scores.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}, ")
        else:
            yield f"{prefix}{key}", round(value, 4) if isinstance(value, float) else value


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise UsageError(f"{path} is not valid JSON ({error}): give a JSON object of scores.") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path} holds no JSON object: give one of scores, or a record that has `metrics`.")
    metrics = content.get("metrics", content)
    if "methods" not in metrics:
        return metrics
    accuracy = {"original": metrics["original"]["accuracy"]}
    for method, results in metrics["methods"].items():
        accuracy[method] = {size: score["accuracy"] for size, score in results["scores"].items()}
    return {"n": content.get("n"), "test accuracy": accuracy}


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="publish_checkpoint", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("ckpt", nargs="?", type=Path, help="the .ckpt that `colorcnn fit` wrote")
    add("name", nargs="?", help="the checkpoint's name, such as colorcnn-plus-cifar10")
    add("--dataset", default="", help="what it was trained on")
    add("--recipe", default="", help="its experiment file, as a path in the repository")
    add("--seed", type=int, help="of its training")
    add("--metrics", type=Path, metavar="JSON", help="its scores: a JSON object, or a record with `metrics`")
    add("--classes", type=Path, metavar="TXT", help="names of a classifier's classes, one a line, in order")
    add("--note", default="", help="a paragraph for the model card: what to know before using it")
    add("--root", type=Path, default=ROOT, help=f"where checkpoints lie (default: {ROOT.name}/)")
    add("--force", action="store_true", help="replace a checkpoint of that name")
    add("--index", action="store_true", help="only rebuild index.json")
    options = parser.parse_args(argv)
    if not options.index and options.name is None:
        parser.error("name a .ckpt and the name to publish it under, or --index")
    if options.name is not None and Path(options.name).name != options.name:
        parser.error(f"{options.name!r} is a path: give a plain name, and its folder with --root")
    return options


if __name__ == "__main__":
    sys.exit(main())
