"""Model cards: README.md of a checkpoint folder, with the front matter that the Hugging Face Hub reads."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from colorcnn.checkpoint_config import FORMAT_VERSION, Config
from colorcnn.version import __version__

LICENSE = "mit"
PIPELINES = {
    "quantizer": "image-to-image",
    "classifier": "image-classification",
    "compressor": "image-to-image",
}
"""Kind of checkpoint -> the Hub's name for its task."""

TAGS = {
    "quantizer": ["color-quantization", "image-quantization"],
    "classifier": ["image-classification"],
    "compressor": ["image-compression", "vector-quantization"],
    "vector compressor": ["vector-quantization"],
}
"""Kind of checkpoint -> tags of its card, besides the library and the architecture."""

_METRICS = {"accuracy": "accuracy", "psnr": "psnr", "bits per pixel": "bpp", "ssim": "ssim"}


def model_card(name: str, config: Config, parameters: int, note: str = "", *, spec: str | None = None) -> str:
    """Return the text of a checkpoint's README.md.

    Args:
        name: name of the checkpoint.
        config: configuration, with the hash of the weights.
        parameters: the number of weights.
        note: a paragraph of advice for users.
        spec: the checkpoint in examples, such as a path or ``hf:USER/REPO``; the name by default.
    """
    use = _use(config, spec or name)
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
    lines = [
        "---",
        front_matter(name, config).rstrip(),
        "---",
        "",
        f"# {name}",
        "",
        *([note, ""] if note else []),
        "| | |",
        "|---|---|",
    ]
    lines += [f"| {key} | {value} |" for key, value in facts.items() if value]
    lines += ["", "## Use", "", "```sh", use, "```", "", "## Measured", ""]
    scores = [f"| {key} | {value} |" for key, value in _flat(config.metrics)]
    lines += ["| score | value |", "|---|---|", *scores] if scores else ["No scores are recorded."]
    return "\n".join(lines) + "\n"


def _use(config: Config, spec: str) -> str:
    """Return commands and Python code that use a checkpoint, as the inside of code blocks."""
    word, text = shlex.quote(spec), json.dumps(spec, ensure_ascii=False)
    if config.kind == "quantizer":
        colors, method = config.kwargs.get("num_colors", 4), f"{config.architecture}:{spec}"
        text = json.dumps(method, ensure_ascii=False)
        return (
            f"colorcnn quantize photo.jpg --colors {colors} --method {shlex.quote(method)}\n"
            "```\n\n```python\nimport colorcnn\n"
            f'paletted = colorcnn.quantize("photo.jpg", {colors}, method={text})'
        )
    if config.kind == "compressor":
        return (
            f"colorcnn compress photo.png --model {word} -o photo.cvq\n"
            "colorcnn decompress photo.cvq -o back.png\n"
            f"```\n\n```python\nimport colorcnn\ncodec = colorcnn.from_pretrained({text})\n"
            "reconstruction, quantized = codec(images)  # images (B, 3, H, W) in [0, 1]; quantized.bits"
        )
    return (
        f"colorcnn evaluate DATA --classifier {word} --methods median-cut,octree --colors 2,4,8\n"
        f"```\n\n```python\nimport colorcnn\nlogits = colorcnn.from_pretrained({text})(images)  "
        "# (B, 3, H, W) in [0, 1]"
    )


def front_matter(name: str, config: Config) -> str:
    """Return the YAML at the head of a model card, without the lines of dashes.

    Scores become a model index. A score's name may begin with its data set, as in ``Kodak, PSNR in dB``;
    otherwise it belongs to the training data.

    Args:
        name: name of the checkpoint.
        config: configuration of the checkpoint.
    """
    from huggingface_hub import EvalResult, ModelCardData

    task = PIPELINES.get(config.kind, "other")
    results = [
        EvalResult(
            task_type=task,
            dataset_type=_slug(dataset),
            dataset_name=dataset,
            metric_type=kind,
            metric_name=label,
            metric_value=value,
        )
        for dataset, kind, label, value in _results(config)
    ]
    card = ModelCardData(
        license=LICENSE,
        library_name="colorcnn",
        pipeline_tag=PIPELINES.get(config.kind),
        tags=["colorcnn", config.architecture, *TAGS.get(config.kind, [])],
        datasets=[_slug(config.dataset)] if _slug(config.dataset) else None,
        metrics=sorted({result.metric_type for result in results}) or None,
        model_name=name,
        eval_results=results or None,
    )
    return str(card.to_yaml(line_break="\n"))


def _results(config: Config) -> Iterator[tuple[str, str, str, Any]]:
    """Yield the data set, the Hub's metric, the label and the value of each score."""
    for key, value in config.metrics.items():
        named, comma, _ = key.rpartition(", ")
        dataset = named.partition(", ")[0] if comma else config.dataset
        for label, score in _flat({key: value}):
            kind = next((kind for word, kind in _METRICS.items() if word in label.lower()), None)
            if dataset and kind and isinstance(score, int | float):
                yield dataset, kind, label, score


def _slug(dataset: str) -> str:
    """Return the name of a data set in the Hub's form: ``CIFAR-10 (JPEG)`` is ``cifar-10``."""
    first = re.split(r"[,(:;]", dataset)[0].strip().lower()
    return re.sub(r"[^a-z0-9._/-]+", "-", first).strip("-./")[:96]


def _flat(scores: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in scores.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}, ")
        else:
            yield f"{prefix}{key}", round(value, 4) if isinstance(value, float) else value
