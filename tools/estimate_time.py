"""The expected time of experiments at the scale ``paper``, on one H100 or H200 in bf16.

The trainings are counted, for one seed of all variants. A training takes as many steps as its epochs have
batches. A step takes the larger of two times:

- its operations at :data:`OPERATIONS_PER_SECOND`. A network that learns takes three forward passes (forward,
  gradient of the input, gradient of the weights), a frozen classifier takes two. An operation is a
  multiplication or an addition of a convolution or a matrix product;
- :data:`SECONDS_PER_STEP`, for the host that starts the kernels, loads the images and runs Lightning.

Measuring, building stores and reading files are left out.

    python tools/estimate_time.py [EXPERIMENT ...]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from colorcnn.errors import ColorCNNError
from colorcnn.models.backbones import create_backbone
from colorcnn.models.classifiers import create_classifier
from colorcnn.reproduce.library import find_experiment
from colorcnn.reproduce.places import experiment_files
from colorcnn.reproduce.plan import Job, Plan
from colorcnn.reproduce.references import producer, references
from colorcnn.vq.networks import analysis, synthesis

OPERATIONS_PER_SECOND = 100e12
SECONDS_PER_STEP = 0.010
LEARNS, FROZEN = 3, 2

IMAGES = {
    "CIFAR10": (50_000, 32),
    "CIFAR100": (50_000, 32),
    "STL10": (5_000, 96),
    "TinyImageNet200": (100_000, 64),
    "VOC2012": (5_717, 224),
    "VOC2012Masks": (1_464, 224),
}
"""Training images and their side."""

_DOWNSAMPLED = 16  # the latent of the image codec has a 16th of the image's side
_DEFAULT_VAL = 0.1


def estimate_hours(name: str, scale: str = "paper") -> float | None:
    """Return the expected hours of one seed of all variants of an experiment.

    Args:
        name: of the experiment, or the path of its file.
        scale: the name of its scale.

    Returns:
        Hours, or None if the number of training images is not known.
    """
    plan = Plan(find_experiment(name), scale, 1, Path("runs"))
    seconds = [_seconds(job) for _, job in plan.distinct().values() if job.stage.kind == "fit"]
    known = [each for each in seconds if each is not None]
    return sum(known) / 3600 if len(known) == len(seconds) else None


def words(hours: float | None) -> str:
    """Return the expected time as experiment files state it."""
    if hours is None:
        return "not estimated; its training images are not published, so their number is not known"
    shown = f"{hours:.0f} hours" if hours >= 10 else f"{hours:.1f} hours" if hours >= 1 else ""
    shown = shown or f"{max(1, round(60 * hours))} minutes"
    return (
        f"estimated at {shown} a seed on one H100 or H200 in bf16, trainings alone, "
        "at 100 TFLOP/s and at least 10 ms a step"
    )


def _seconds(job: Job) -> float | None:
    data, trainer = job.description["data"], job.description["trainer"]
    options = {**(data.get("init_args") or {})}
    size = _images(job, data)
    batch = options.get("batch_size", 128)
    if trainer.get("max_steps", -1) > 0:
        steps = trainer["max_steps"]
    elif "epoch_steps" in options:
        steps = trainer["max_epochs"] * options["epoch_steps"]
    elif size is None:
        return None
    else:
        steps = trainer["max_epochs"] * (size[0] // batch)
    side = options.get("crop_size") or (size[1] if size else None)
    operations = 0.0 if side is None else batch * _operations(job, side)
    return steps * max(SECONDS_PER_STEP, operations / OPERATIONS_PER_SECOND)


def _images(job: Job, data: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return the number of training images and their side, of a stored set those of its originals."""
    options = data.get("init_args") or {}
    for reference in references(options.get("root", "")):
        source = job.outputs[str(producer(reference, job.outputs))]
        return _images(source, source.description["data"])
    if data["class_path"] not in IMAGES:
        return None
    count, side = IMAGES[data["class_path"]]
    held_back = options.get("val_size", _DEFAULT_VAL)
    count -= round(held_back * count) if isinstance(held_back, float) else held_back
    return count, options.get("image_size") or side


def _operations(job: Job, side: int) -> float:
    """Return the operations of a training step, for one image."""
    task = job.description["model"]
    options = task["init_args"]
    if task["class_path"] == "VQTask":
        return _codec_operations(options["network_kwargs"]["width"], options["options"], side)
    if task["class_path"] == "ClassifierTask":
        own = json.dumps(options.get("network_kwargs") or {})
        return LEARNS * _classifier_operations(options["network"], own, side)
    own = options["quantizer_kwargs"]
    quantizer = _backbone_operations(
        own.get("backbone", "unet"), json.dumps(own.get("backbone_kwargs", {})), side
    )
    judges = sum(
        _operations(job.outputs[str(producer(reference, job.outputs))], side) / LEARNS
        for reference in references(options["classifiers"])
    )
    return LEARNS * quantizer + FROZEN * judges


@cache
def _classifier_operations(network: str, options: str, side: int) -> float:
    own = {"mean": [0.5] * 3, "std": [0.25] * 3, **json.loads(options)}
    return _count(create_classifier(network, 10, **own), side)


@cache
def _backbone_operations(backbone: str, options: str, side: int) -> float:
    return _count(create_backbone(backbone, **json.loads(options)), side)


@cache
def _codec_transforms(width: int, side: int) -> tuple[float, float]:
    latent = side // _DOWNSAMPLED
    return _count(analysis(width, width), side), _count(synthesis(width, width), latent, width)


def _codec_operations(width: int, options: Mapping[str, Any], side: int) -> float:
    """Count one pass through the encoder, two through the decoder, and the search in the codebooks."""
    encoder, decoder = _codec_transforms(width, side)
    search = 2 * (side // _DOWNSAMPLED) ** 2 * width * options.get("size", 0)
    return LEARNS * (encoder + 2 * decoder) + search


def _count(module: nn.Module, side: int, channels: int = 3) -> float:
    """Count the operations of a forward pass of one image."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module.eval()(torch.zeros(1, channels, side, side))
    return float(counter.get_total_flops())


def main(names: list[str]) -> int:
    """Print the expected time of experiments that have the scale ``paper``."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("names", nargs="*", help="experiments; all by default")
    try:
        for name in parser.parse_args(names).names or list(experiment_files()):
            if "paper" in find_experiment(name).scales:
                print(f"{name}: {words(estimate_hours(name))}")
    except ColorCNNError as error:
        print(f"estimate_time: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
