"""Accuracy of a classifier in training, through the jitter and the augmentation of the recipe `paper`.

``python tools/seen_through_jitter.py DATA --classifier NAME [--out FILE]`` shows validation images to a
classifier as the recipe does in training: originals, and MedianCut with 2 colours. It varies what the
contrast is divided by, whether the noise is one number for a batch or one for every pixel, and whether the
images are augmented. It writes a record with the accuracy and the cross-entropy of each.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from colorcnn.classifiers import load_classifier
from colorcnn.data import ImageSplit, open_data
from colorcnn.data.augment import Augment
from colorcnn.data.datasets import InOrder
from colorcnn.data.jitter import gaussian_jitter
from colorcnn.errors import ColorCNNError
from colorcnn.methods import load_quantizer
from colorcnn.paletted import from_bytes
from colorcnn.records import Clock
from colorcnn.tasks.colorcnn import AFTER_QUANTIZATION

CONTRASTS = (4.0, 2.0, 1.0)
WAYS: dict[str, tuple[float, bool, bool]] = {
    "contrast alone": (0.0, False, False),
    "one number a batch": (1.0, False, False),
    "one number a batch, augmented": (1.0, False, True),
    "one number a pixel": (1.0, True, False),
    "one number a pixel, augmented": (1.0, True, True),
}
"""Name -> scale of the noise, noise for every pixel, augmentation after it."""
COLORS = 2
BATCH = 50  # a number is drawn for each batch: small ones average over more of them
OUT = Path("experiments/results/seen_through_jitter.json")


def quantized(images: Tensor) -> Tensor:
    """Return the images in 2 colours of MedianCut.

    Args:
        images: (B, 3, H, W) in [0, 1].
    """
    return load_quantizer("median-cut").quantize_many(images, [COLORS])[COLORS].render()


SHOWN: dict[str, Callable[[Tensor], Tensor]] = {
    "originals": lambda images: images,
    "MedianCut, 2 colours": quantized,
}
"""Name -> what is done to the images first."""


def scored(
    batches: Sequence[tuple[Tensor, Tensor]], classifier: nn.Module, jitter: Callable[[Tensor], Tensor]
) -> dict[str, float]:
    """Return accuracy and mean cross-entropy of a classifier.

    Args:
        batches: images (B, 3, H, W) in [0, 1], and labels (B,).
        classifier: a network in evaluation mode.
        jitter: what is done to the images first.
    """
    right, loss, total = 0, 0.0, 0
    with torch.inference_mode():
        for images, labels in batches:
            scores = classifier(jitter(images))
            right += int((scores.argmax(1) == labels).sum())
            loss += float(functional.cross_entropy(scores, labels, reduction="sum"))
            total += len(labels)
    return {"accuracy": right / total, "loss": loss / total}


def measured(
    split: ImageSplit, classifier: nn.Module, mean: Tensor, std: Tensor, seed: int
) -> dict[str, Any]:
    """Return the metrics of the record.

    Args:
        split: the images.
        classifier: the frozen network, in evaluation mode.
        mean: (3, 1, 1) mean of the data set's channels.
        std: (3, 1, 1) standard deviation of the data set's channels.
        seed: seed of the noise and of the augmentation, the same for every row.
    """
    augment = Augment(**AFTER_QUANTIZATION, fill=mean.flatten().tolist()).train()
    rows = []
    bar = tqdm(total=len(SHOWN) * len(WAYS) * len(CONTRASTS), desc="rows", disable=None)
    for shown, prepare in SHOWN.items():
        batches = [(prepare(from_bytes(batch.images)), batch.labels) for batch in InOrder(split, BATCH)]
        for (way, (noise, per_pixel, augmented)), contrast in product(WAYS.items(), CONTRASTS):

            def jitter(images: Tensor) -> Tensor:
                seen = gaussian_jitter(images, mean, std, noise, contrast, per_pixel=per_pixel)  # noqa: B023
                return augment(seen) if augmented else seen  # noqa: B023

            torch.manual_seed(seed)
            found = scored(batches, classifier, jitter)
            rows.append({"shown": shown, "way": way, "contrast": contrast, **found})
            bar.update()
    bar.close()
    return {"seen_through_jitter": {"rows": rows, "classes": int(cast(int, classifier.num_classes))}}


def main(argv: list[str] | None = None) -> int:
    """Measure, and write the record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", metavar="DATA", help="a data set, or a folder of images")
    parser.add_argument("--classifier", required=True, metavar="NAME", help="the frozen classifier")
    parser.add_argument("--seed", type=int, default=1, help="seed of the noise (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=OUT, help="the record (default: %(default)s)")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    clock = Clock()
    try:
        data, name = open_data(options.data), Path(options.data).name
        classifier = load_classifier(options.classifier, data.num_classes).eval()
        mean, std = (torch.tensor(values)[:, None, None] for values in (data.mean, data.std))
        record = clock.record(
            f"python tools/seen_through_jitter.py {name} --classifier {options.classifier}",
            n=len(data.val),
            metrics=measured(data.val, classifier, mean, std, options.seed),
            config={"data": name, "classifier": options.classifier, "batch": BATCH, "split": "val"},
            seeds={"seed": options.seed},
        )
        record.write(options.out)
    except ColorCNNError as error:
        print(f"seen_through_jitter: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
