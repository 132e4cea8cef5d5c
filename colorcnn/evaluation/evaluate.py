"""The only evaluator: all quantizers, at all palette sizes, on the same images and classifiers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from tqdm import tqdm

from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.evaluation.attacks import Attacked
from colorcnn.evaluation.classifier_set import FrozenClassifiers
from colorcnn.evaluation.devices import Request, open_devices
from colorcnn.evaluation.passes import QuantizesMany
from colorcnn.evaluation.scores import Evaluation
from colorcnn.quantizers.base import check_num_colors

if TYPE_CHECKING:
    from colorcnn.data.datasets import Batch
    from colorcnn.evaluation.codecs import Coder
    from colorcnn.evaluation.progress_file import ProgressFile


def evaluate(
    methods: Mapping[str, QuantizesMany],
    classifier: FrozenClassifiers,
    batches: Iterable[Batch],
    sizes: Sequence[int],
    *,
    codecs: Mapping[str, Coder] | None = None,
    device: torch.device | str | Sequence[str] = "cpu",
    progress: bool = True,
    label: str = "evaluate",
    limit: int | None = None,
    num_classes: int | None = None,
    progress_file: ProgressFile | None = None,
) -> Evaluation:
    """Measure quantizers: accuracy of a classifier on the quantized images, error and file size.

    Everything is measured on ``render(torch.uint8)``, the pixels of the PNG file. Memory holds one batch, a
    few values per image and palette size, and the logits if images have several labels.

    Args:
        methods: name -> quantizer; ``quantize_many`` is called once per batch. If a method refuses a palette
            size, the result has the reason instead of a score.
        classifier: maps images (B, 3, H, W) in [0, 1] to logits (B, K); or several by name.
        batches: uint8 images (B, 3, H, W), labels (B,) or (B, K) of 0 and 1, and index (B,) in the split.
        sizes: the palette sizes, each 1..256. Empty if there are no methods and codecs.
        codecs: name -> codec, a function from uint8 images to decoded images and the bits of their files.
        device: device of the networks, which are moved there. Several devices take the batches in turns, each
            with a copy of the networks; the scores are those of one device.
        progress: True for a progress bar on stderr if stderr is a terminal.
        label: text before the progress bar.
        limit: maximum number of images.
        num_classes: number of classes of the data; the classifier must have as many.
        progress_file: file to save progress in and to resume from. ``batches`` then needs ``after(n)``, which
            returns the batches after the first n images.

    Raises:
        UsageError: a number of colours or ``limit`` is out of range, or the classifier does not fit the data.
        ColorCNNError: there are no images, or a method breaks its contract.
    """
    sizes = tuple(dict.fromkeys(check_num_colors(size) for size in sizes))
    _check_request([*methods, *(codecs or {})], sizes, limit)
    names = [device] if isinstance(device, (str, torch.device)) else device
    plain = batches.batches if isinstance(batches, Attacked) else batches  # a device attacks its own batches
    request = Request(methods, classifier, batches, sizes, codecs or {}, num_classes)
    with open_devices(request, [torch.device(name) for name in names]) as measuring:
        done = measuring.restore(progress_file.read()) if progress_file else 0
        with _show(batches, limit, progress, label, done) as bar:
            for batch in _remaining(plain, done, limit):
                measuring.add(batch)
                bar.update(len(batch.images))
                if progress_file:
                    progress_file.write(measuring.state)
        if not measuring.seen:
            raise ColorCNNError("There are no images to evaluate: the data set or this split of it is empty.")
        if progress_file:
            progress_file.write(measuring.state, ended=True)
        return measuring.evaluation()


def _check_request(names: Sequence[str], sizes: Sequence[int], limit: int | None) -> None:
    if bool(names) != bool(sizes):
        raise UsageError("There is nothing to evaluate: give at least one method and one number of colours.")
    if limit is not None and limit < 1:
        raise UsageError(f"The limit is {limit}: evaluate at least 1 image.")


def _remaining(batches: Any, done: int, limit: int | None) -> Iterator[Batch]:
    """Yield the batches of images that are not done, up to the limit."""
    left = math.inf if limit is None else limit - done
    if left <= 0:
        return
    for batch in batches.after(done) if done else batches:
        if len(batch.images) > left:
            batch = type(batch)(*(part[: int(left)] for part in batch))
        if len(batch.images):
            yield batch
        left -= len(batch.images)
        if left <= 0:
            return


def _show(batches: Iterable[Batch], limit: int | None, progress: bool, label: str, done: int) -> tqdm[Any]:
    known = getattr(batches, "dataset", None)
    totals = [total for total in (limit, len(known) if known is not None else None) if total is not None]
    return tqdm(
        total=min(totals, default=None),
        initial=done,
        desc=label,
        unit=" images",
        disable=None if progress else True,
        leave=False,
    )
