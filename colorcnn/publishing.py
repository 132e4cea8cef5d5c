"""Writing of checkpoint folders: weights, configuration, and a model card."""

from __future__ import annotations

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from torch import nn

from colorcnn import hub, schema, weights
from colorcnn.cards import model_card
from colorcnn.checkpoint_config import CONFIG, FORMAT_VERSION, WEIGHTS, Config, read_config
from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.files import write_atomically
from colorcnn.pretrained import name_of

RUN_FILES = {"config.yaml": ("fit.yaml", "config.yaml"), "scores.jsonl": ("scores.jsonl",)}
"""File beside the weights -> its possible names in a run; a stage's own configuration comes first."""


def publish(
    model: nn.Module,
    folder: Path,
    config: Config,
    *,
    name: str | None = None,
    note: str = "",
    spec: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a checkpoint folder and its model card.

    Args:
        model: the trained network.
        folder: the folder to write.
        config: the configuration without the hash of the weights.
        name: name of the checkpoint on its card; by default the folder's name.
        note: a paragraph of advice for the model card.
        spec: the checkpoint in the examples of its card; by default the folder's name if
            :func:`colorcnn.pretrained.from_pretrained` finds it by that, else its path.
        overwrite: True to replace an existing checkpoint.

    Returns:
        The folder.

    Raises:
        ColorCNNError: the folder holds a checkpoint already, or the files cannot be written.
    """
    config = weights.save_pretrained(model, folder, config, overwrite=overwrite)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    spec = spec or name_of(folder) or os.fspath(folder)
    card = model_card(name or folder.resolve().name, config, parameters, note, spec=spec)
    write_atomically(folder / "README.md", card.encode())
    return folder


def save_pretrained(
    model: nn.Module, directory: str | os.PathLike[str], *, note: str = "", overwrite: bool = False
) -> Path:
    """Write a network with a ``config`` as a checkpoint folder with a model card.

    Args:
        model: a quantizer, a classifier or a codec that was loaded, trained, or built by name. Its ``config``
            becomes config.json; add data and scores to it with :func:`dataclasses.replace`.
        directory: the folder; created if it is missing.
        note: a paragraph for the model card.
        overwrite: True to replace an existing checkpoint.

    Returns:
        The folder.

    Raises:
        UsageError: the network has no ``config``, or does not fit it.
        ColorCNNError: the folder holds a checkpoint already, or the files cannot be written.
    """
    return publish(model, Path(directory), _config_of(model), note=note, overwrite=overwrite)


def push_to_hub(model: nn.Module, repo: str, *, note: str = "", **options: Any) -> str:
    """Upload a network with its model card to the Hugging Face Hub.

    Args:
        model: a network with a ``config``, see :func:`save_pretrained`.
        repo: ``USER/REPO``; created if it is missing.
        note: a paragraph for the model card.
        **options: ``private``, ``token``, ``revision``, ``message`` and ``create_pr`` of
            :func:`colorcnn.hub.push`.

    Returns:
        The address of the commit or of the pull request.

    Raises:
        UsageError: the network has no ``config``, or the token has no write access.
        ColorCNNError: the upload failed.
    """
    name = hub.parse_hub_name(repo)[0]
    with TemporaryDirectory() as folder:
        publish(
            model,
            Path(folder),
            _config_of(model),
            name=name.partition("/")[2],
            note=note,
            spec=f"{hub.PREFIX}{name}",
        )
        return hub.push(folder, repo, **options)


def _config_of(model: nn.Module) -> Config:
    config = getattr(model, "config", None)
    if not isinstance(config, Config):
        raise UsageError(
            f"This {type(model).__name__} has no config: load it, or build it with "
            "colorcnn.models.create_model."
        )
    return config


def copy_run(ckpt: Path, folder: Path) -> None:
    """Copy the configuration and the log of scores of a run, if they exist, to a checkpoint folder.

    Args:
        ckpt: the Lightning checkpoint, in the run's ``checkpoints`` folder.
        folder: the checkpoint folder.
    """
    for name in RUN_FILES:
        source = run_file(ckpt, name)
        if source is not None:
            write_atomically(folder / name, source.read_bytes())


def run_file(ckpt: Path, name: str) -> Path | None:
    """Return a file of a run, or None if the run has none.

    Args:
        ckpt: the Lightning checkpoint, in the run's ``checkpoints`` folder.
        name: a key of :data:`RUN_FILES`.
    """
    sources = (ckpt.parent.parent / candidate for candidate in RUN_FILES[name])
    return next((source for source in sources if source.is_file()), None)


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


def read_scores(path: Path) -> dict[str, Any]:
    """Read the scores for a model card.

    Args:
        path: a JSON object of scores, or a record, which has ``metrics``.

    Raises:
        UsageError: the file does not exist, or holds something else.
    """
    cure = "use a JSON object of scores, or a record"
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
