"""The only evaluator: all quantizers, at all palette sizes, on the same images and classifiers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from tqdm import tqdm

from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.evaluation.accumulator import MetricAccumulator
from colorcnn.evaluation.classifier_set import ClassifierSet, FrozenClassifiers, evaluating, modules_of
from colorcnn.evaluation.passes import CodecPass, QuantizerPass, QuantizesMany
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
    device: torch.device | str = "cpu",
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
        device: device of the networks, which are moved there.
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
    device = torch.device(device)
    classifiers = ClassifierSet(classifier, device, num_classes)
    measured = _Progress(
        {name: QuantizerPass(name, quantizer, sizes, device) for name, quantizer in methods.items()},
        {name: CodecPass(name, codec) for name, codec in (codecs or {}).items()},
    )
    networks = (part for method in methods.values() for part in modules_of(method))
    modules = [*classifiers.classifiers.values(), *networks]
    done = measured.restore(progress_file.read()) if progress_file else 0
    with evaluating(modules, device), _show(batches, limit, progress, label, done) as bar:
        for batch in _remaining(batches, done, limit):
            measured.add(batch, classifiers)
            bar.update(len(batch.images))
            if progress_file:
                progress_file.write(measured.state)
    if not measured.indices:
        raise ColorCNNError("There are no images to evaluate: the data set or this split of it is empty.")
    if progress_file:
        progress_file.write(measured.state, ended=True)
    return measured.evaluation(sizes, classifiers.names)


def _check_request(names: Sequence[str], sizes: Sequence[int], limit: int | None) -> None:
    if bool(names) != bool(sizes):
        raise UsageError("There is nothing to evaluate: give at least one method and one number of colours.")
    if limit is not None and limit < 1:
        raise UsageError(f"The limit is {limit}: evaluate at least 1 image.")


@dataclass
class _Progress:
    """All measurements so far. ``indices`` holds the positions of the images in the split."""

    methods: Mapping[str, QuantizerPass]
    codecs: Mapping[str, CodecPass]
    original: MetricAccumulator = field(default_factory=MetricAccumulator)
    indices: list[Tensor] = field(default_factory=list)

    @property
    def passes(self) -> list[QuantizerPass | CodecPass]:
        return [*self.methods.values(), *self.codecs.values()]

    def add(self, batch: Batch, classifiers: ClassifierSet) -> None:
        images, labels = _checked(batch)
        self.original.add_originals(images, classifiers.ask(images, labels), labels)
        for each in self.passes:
            each.step(classifiers, images, labels)
        self.indices.append(batch.index.cpu())

    def state(self) -> dict[str, Any]:
        passes = [each.state() for each in self.passes]
        return {"original": self.original.state(), "passes": passes, "order": torch.cat(self.indices)}

    def restore(self, state: Mapping[str, Any] | None) -> int:
        """Restore a saved state and return the number of images that are done."""
        if state is None:
            return 0
        self.original, self.indices = MetricAccumulator(**state["original"]), [state["order"]]
        for each, known in zip(self.passes, state["passes"], strict=True):
            each.restore(known)
        return len(state["order"])

    def evaluation(self, sizes: tuple[int, ...], classifiers: tuple[str, ...]) -> Evaluation:
        """Return the scores; values per image are in the order of the split."""
        order = torch.cat(self.indices).argsort(stable=True)
        return Evaluation(
            n=len(order),
            sizes=sizes,
            original=self.original.score(order),
            scores={name: run.scores(order) for name, run in self.methods.items()},
            unavailable={name: dict(run.unavailable) for name, run in self.methods.items()},
            images_per_second={name: run.images_per_second for name, run in self.methods.items()},
            codecs={name: run.accumulator.score(order) for name, run in self.codecs.items()},
            judges=classifiers,
        )


def _checked(batch: Batch) -> tuple[Tensor, Tensor]:
    images = batch.images
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
        raise UsageError(
            f"images are {tuple(images.shape)} {images.dtype}: give batches of uint8 images (B, 3, H, W)."
        )
    return images.cpu(), batch.labels.cpu()


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
