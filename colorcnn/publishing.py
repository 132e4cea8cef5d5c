"""Checkpoint folders made of trainings: the weights, their configuration, and a model card."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from torch import nn

from colorcnn import schema
from colorcnn.checkpoint_config import CONFIG, FORMAT_VERSION, WEIGHTS, Config, read_config
from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.files import write_atomically
from colorcnn.version import __version__
from colorcnn.weights import save_pretrained

RUN_FILES = {"config.yaml": ("fit.yaml", "config.yaml"), "scores.jsonl": ("scores.jsonl",)}
"""The files put beside the weights, and their names in a run: a stage's own configuration comes first."""


def publish(
    model: nn.Module,
    folder: Path,
    config: Config,
    *,
    name: str | None = None,
    note: str = "",
    overwrite: bool = False,
) -> Path:
    """Write a checkpoint folder and its model card.

    Args:
        model: the trained network.
        folder: the folder to write.
        config: everything but the hash of the weights.
        name: of the checkpoint on its card; the folder's by default.
        note: a paragraph for the model card about what to know before using it.
        overwrite: replace a checkpoint that is there.

    Returns:
        The folder.

    Raises:
        ColorCNNError: a checkpoint is there already, or the files cannot be written.
    """
    config = save_pretrained(model, folder, config, overwrite=overwrite)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    card = model_card(name or folder.resolve().name, config, parameters, note)
    write_atomically(folder / "README.md", card.encode())
    return folder


def copy_run(ckpt: Path, folder: Path) -> None:
    """Put the configuration and the log of scores of a run, where it has them, beside the weights.

    Args:
        ckpt: the Lightning checkpoint, in the run's ``checkpoints`` folder.
        folder: of the published checkpoint.
    """
    for name, candidates in RUN_FILES.items():
        sources = [ckpt.parent.parent / candidate for candidate in candidates]
        source = next((source for source in sources if source.is_file()), None)
        if source is not None:
            write_atomically(folder / name, source.read_bytes())


def model_card(name: str, config: Config, parameters: int, note: str = "") -> str:
    """Return the text of a checkpoint's README.md.

    Args:
        name: of the checkpoint.
        config: with the hash of the weights.
        parameters: the number of weights.
        note: a paragraph about what to know before using it.
    """
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
    """Write index.json, a list of the checkpoints in a folder.

    Args:
        root: the folder.

    Returns:
        The path of index.json.

    Raises:
        ColorCNNError: a config.json is damaged, or the file cannot be written.
    """
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


def read_scores(path: Path) -> dict[str, Any]:
    """Read the scores for a model card.

    Args:
        path: a JSON object of scores, or a record, which has ``metrics``.

    Raises:
        UsageError: the file does not exist, or is neither.
    """
    cure = "give a JSON object of scores, or a record"
    try:
        content = schema.parse_json(schema.read_file(path, cure), path, cure)
        metrics = schema.convert(content.get("metrics", content), dict[str, Any], path, cure)
        if "methods" not in metrics:
            return metrics
        found = schema.convert(metrics, _Measured, path, cure)
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist: check the path.") from error
    except ColorCNNError as error:
        raise UsageError(str(error)) from error
    accuracy: dict[str, Any] = {"original": found.original.accuracy}
    for method, results in found.methods.items():
        accuracy[method] = {size: score.accuracy for size, score in results.scores.items()}
    return {"n": content.get("n"), "test accuracy": accuracy}


class _Score(msgspec.Struct):
    accuracy: float


class _Scores(msgspec.Struct):
    scores: dict[str, _Score]


class _Measured(msgspec.Struct):
    """The part of a record's metrics that a model card shows."""

    original: _Score
    methods: dict[str, _Scores]
