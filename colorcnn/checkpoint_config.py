"""Configuration of a checkpoint folder, config.json: network, training data and scores."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from colorcnn import schema
from colorcnn.errors import ColorCNNError, shortened

FORMAT_VERSION = 1
WEIGHTS = "model.safetensors"
CONFIG = "config.json"
KINDS = ("quantizer", "classifier", "compressor", "vector compressor")
_MOST_CONFIG = 16 << 20


@dataclasses.dataclass(frozen=True)
class Config:
    """Schema of config.json.

    Attributes:
        kind: one of :data:`KINDS`.
        architecture: a key of :data:`colorcnn.models.MODELS`.
        kwargs: options of the network as JSON values.
        dataset: training data.
        classes: names of the classes, in the order of a classifier's outputs.
        metrics: measured scores; may be nested.
        recipe: path of the training's experiment file in the repository, or a sentence.
        seed: seed of the training.
        sha256: SHA-256 of model.safetensors, in hexadecimal.
        format_version: version of the folder's format.
    """

    kind: str
    architecture: str
    kwargs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    dataset: str = ""
    classes: tuple[str, ...] = ()
    metrics: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    recipe: str = ""
    seed: int | None = None
    sha256: str = ""
    format_version: int = FORMAT_VERSION

    def to_json(self) -> str:
        """Return the text of config.json."""
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n"


def read_config(folder: str | os.PathLike[str]) -> Config:
    """Read config.json of a checkpoint folder, and check it.

    Raises:
        ColorCNNError: the file is missing, damaged, incomplete, or of a later format.
    """
    path = Path(folder) / CONFIG
    cure = f"use a folder with {CONFIG} and {WEIGHTS}, as `colorcnn publish` writes it"
    try:
        content = schema.parse_json(schema.read_file(path, cure, _MOST_CONFIG), path, cure)
    except FileNotFoundError as error:
        raise ColorCNNError(f"{folder} is not a checkpoint, {CONFIG} is missing: {cure}.") from error
    version = content.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise ColorCNNError(
            f"{path} has format version {shortened(version)}, this colorcnn reads up to {FORMAT_VERSION}: "
            "update colorcnn."
        )
    missing = [key for key in ("format_version", "kind", "architecture", "sha256") if not content.get(key)]
    if missing:
        raise ColorCNNError(f"{path} lacks {', '.join(missing)}: {cure}.")
    config = schema.convert(content, Config, path, cure)
    if config.kind not in KINDS:
        raise ColorCNNError(f"{path} has the unknown kind {shortened(config.kind)!r}: {cure}.")
    return config
