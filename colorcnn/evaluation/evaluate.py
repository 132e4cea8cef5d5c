"""The only evaluator: every quantizer, at every number of colours, through the same images and classifier."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.evaluation.scores import Evaluation, Score
from colorcnn.evaluation.tally import Answers, Tally
from colorcnn.paletted import Paletted, from_bytes
from colorcnn.quantizers.base import check_num_colors

if TYPE_CHECKING:
    from colorcnn.data.datasets import Batch
    from colorcnn.evaluation.codecs import Coder

Judges = nn.Module | Mapping[str, nn.Module]
"""A classifier, or several by name, the first of which gives the scores."""


class QuantizesMany(Protocol):
    """What is evaluated: a quantizer that takes all palette sizes of a batch in one call."""

    def quantize_many(self, images: Tensor, sizes: Sequence[int]) -> dict[int, Paletted]:
        """Quantize float images (B, 3, H, W) in [0, 1] to each of the sizes."""


def evaluate(
    methods: Mapping[str, QuantizesMany],
    classifier: Judges,
    batches: Iterable[Batch],
    sizes: Sequence[int],
    *,
    codecs: Mapping[str, Coder] | None = None,
    device: torch.device | str = "cpu",
    progress: bool = True,
    label: str = "evaluate",
    limit: int | None = None,
    num_classes: int | None = None,
) -> Evaluation:
    """Measure quantizers by what a classifier still recognises, and by error and file size.

    Everything is measured on ``render(torch.uint8)``: the pixels of the PNG file. Besides the values kept per
    image and number of colours (and the logits, for several labels), memory is that of a batch.

    Args:
        methods: name -> quantizer; ``quantize_many`` is called once per batch. A method that refuses a number
            of colours is left out there, and the refusal is kept.
        classifier: maps images (B, 3, H, W) in [0, 1] to logits (B, K), or several of them by name, which
            are asked about the same pixels.
        batches: uint8 images (B, 3, H, W), labels (B,) or (B, K) of 0 and 1, and index (B,).
        sizes: the numbers of colours, each 1..256; none, and no methods, to judge the originals alone.
        codecs: name -> what maps uint8 images to decoded ones and the bits of their files.
        device: where classifier and quantizers run; networks are moved there.
        progress: show a bar on stderr, after ``label``, when that is a terminal.
        label: what is going on.
        limit: stop after so many images.
        num_classes: how many classes the data have; the classifier must tell as many apart.

    Raises:
        UsageError: a number of colours or ``limit`` is out of range, or the classifier does not fit the data.
        ColorCNNError: there are no images, or a method breaks its contract.
    """
    sizes = tuple(dict.fromkeys(check_num_colors(size) for size in sizes))
    _check_request([*methods, *(codecs or {})], sizes, limit)
    device = torch.device(device)
    panel = _Panel(classifier, device, num_classes)
    runs = {name: _Run(name, quantizer, sizes, device) for name, quantizer in methods.items()}
    files = {name: _FileRun(name, codec) for name, codec in (codecs or {}).items()}
    passes: list[_Run | _FileRun] = [*runs.values(), *files.values()]
    original, order = Tally(), list[Tensor]()
    modules = [*panel.judges.values(), *(part for method in methods.values() for part in modules_of(method))]
    with evaluating(modules, device), _bar(batches, limit, progress, label) as bar:
        for batch in _first(batches, limit):
            images, labels = _checked(batch)
            original.add_originals(images, panel.ask(images, labels), labels)
            for run in passes:
                run.step(panel, images, labels)
            order.append(batch.index.cpu())
            bar.update(len(images))
    if not order:
        raise ColorCNNError("There are no images to evaluate: the data set or this split of it is empty.")
    return _evaluation(original, runs, files, torch.cat(order), sizes, panel.names)


def _check_request(names: Sequence[str], sizes: Sequence[int], limit: int | None) -> None:
    if bool(names) != bool(sizes):
        raise UsageError("There is nothing to evaluate: give at least one method and one number of colours.")
    if limit is not None and limit < 1:
        raise UsageError(f"The limit is {limit}: evaluate at least 1 image.")


@torch.inference_mode()
def predict(classifier: nn.Module, images: Tensor, device: torch.device | str = "cpu") -> Tensor:
    """A classifier's logits (B, K), float32 on the CPU, for uint8 images (B, 3, H, W).

    Raises:
        UsageError: it does not return logits.
        ColorCNNError: it fails; it may be a user's own.
    """
    try:
        logits = classifier(from_bytes(images.to(device)))
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ColorCNNError(
            f"The classifier failed on images {tuple(images.shape)} ({reason}): "
            "check that it takes (B, 3, H, W) of this size."
        ) from error
    if not isinstance(logits, Tensor):
        raise UsageError(
            f"The classifier returned a {type(logits).__name__}: give one that returns logits (B, classes)."
        )
    if logits.ndim != 2 or len(logits) != len(images):
        raise UsageError(
            f"The classifier made {tuple(logits.shape)} of {len(images)} images: "
            "give one that returns logits (B, classes)."
        )
    return logits.float().cpu()


class _Panel:
    """The classifiers that judge; a single one has no name."""

    def __init__(self, judges: Judges, device: torch.device, num_classes: int | None) -> None:
        self.judges = dict(judges) if isinstance(judges, Mapping) else {"": judges}
        self.device = device
        self.num_classes = num_classes

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.judges) if len(self.judges) > 1 else ()

    def ask(self, pixels: Tensor, labels: Tensor) -> Answers:
        answers = {name: predict(judge, pixels, self.device) for name, judge in self.judges.items()}
        for name, logits in answers.items():
            _check_classes(logits, labels, self.num_classes, name if self.names else "The classifier")
        return answers


class _Run:
    """One method on its way through the batches."""

    def __init__(
        self, name: str, quantizer: QuantizesMany, sizes: Sequence[int], device: torch.device
    ) -> None:
        self.name = name
        self.quantizer = quantizer
        self.device = device
        self.tallies = {size: Tally() for size in sizes}
        self.unavailable: dict[int, str] = {}
        self.seconds: list[float] = []
        self.made: list[int] = []

    @property
    def images_per_second(self) -> float:
        warm = slice(1, None) if len(self.made) > 1 else slice(None)
        seconds = sum(self.seconds[warm])
        return sum(self.made[warm]) / seconds if seconds else 0.0

    def scores(self, rank: Tensor) -> dict[int, Score]:
        return {size: tally.score(rank) for size, tally in self.tallies.items()}

    def step(self, panel: _Panel, originals: Tensor, labels: Tensor) -> None:
        """Quantize one batch, once for all sizes, and measure it."""
        if not self.tallies:
            return
        images = from_bytes(originals.to(self.device))
        for size, paletted in self._quantize(images).items():
            _check_contract(self.name, size, paletted, originals)
            pixels = paletted.render(torch.uint8)
            self.tallies[size].add(paletted, pixels.cpu(), originals, panel.ask(pixels, labels), labels)

    def _quantize(self, images: Tensor) -> dict[int, Paletted]:
        try:
            start = self._now()
            done = self.quantizer.quantize_many(images, list(self.tallies))
        except UsageError:
            if self.made:  # sizes are settled on the first batch; this is something else
                raise
            self._drop_refused_sizes(images)
            if not self.tallies:
                return {}
            start = self._now()
            done = self.quantizer.quantize_many(images, list(self.tallies))
        self.seconds.append(self._now() - start)
        self.made.append(len(images) * len(self.tallies))
        return done

    def _drop_refused_sizes(self, images: Tensor) -> None:
        for size in list(self.tallies):
            try:
                self.quantizer.quantize_many(images, [size])
            except UsageError as refusal:
                self.unavailable[size] = str(refusal)
                del self.tallies[size]

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


class _FileRun:
    """One codec on its way through the batches."""

    def __init__(self, name: str, codec: Coder) -> None:
        self.name = name
        self.codec = codec
        self.tally = Tally()

    def step(self, panel: _Panel, originals: Tensor, labels: Tensor) -> None:
        """Write one batch as files, read it back, and measure it."""
        pixels, bits = self.codec(originals)
        if pixels.shape != originals.shape or pixels.dtype != torch.uint8 or len(bits) != len(originals):
            raise ColorCNNError(
                f"{self.name} made {len(bits)} files and {tuple(pixels.shape)} {pixels.dtype} of images "
                f"{tuple(originals.shape)}: its codec is at fault."
            )
        self.tally.add_decoded(pixels, bits, originals, panel.ask(pixels, labels), labels)


def _evaluation(
    original: Tally,
    runs: Mapping[str, _Run],
    files: Mapping[str, _FileRun],
    index: Tensor,
    sizes: tuple[int, ...],
    judges: tuple[str, ...],
) -> Evaluation:
    """The scores of all runs, with what is told per image in the order of the split."""
    rank = index.argsort(stable=True)
    return Evaluation(
        n=len(rank),
        sizes=sizes,
        original=original.score(rank),
        scores={name: run.scores(rank) for name, run in runs.items()},
        unavailable={name: dict(run.unavailable) for name, run in runs.items()},
        images_per_second={name: run.images_per_second for name, run in runs.items()},
        codecs={name: run.tally.score(rank) for name, run in files.items()},
        judges=judges,
    )


def _check_contract(name: str, size: int, paletted: Paletted, originals: Tensor) -> None:
    expected = (len(originals), *originals.shape[2:])
    if tuple(paletted.indices.shape) != expected:
        raise ColorCNNError(
            f"{name} made index maps {tuple(paletted.indices.shape)} of images that ask for {expected}: "
            "its quantizer is at fault."
        )
    if not paletted.palette.isfinite().all():
        raise ColorCNNError(
            f"{name} made a palette with values that are not finite at {size} colours: "
            "its weights are broken; train it again or use another checkpoint."
        )
    most = int(paletted.num_colors.max())
    if most > size:
        raise ColorCNNError(
            f"{name} made {most} colours where {size} were asked for: its quantizer is at fault."
        )


def _check_classes(logits: Tensor, labels: Tensor, num_classes: int | None, judge: str) -> None:
    told = logits.shape[1]
    needed = num_classes
    if needed is None:
        needed = labels.shape[1] if labels.ndim == 2 else max(told, int(labels.max()) + 1)
    if told != needed:
        raise UsageError(
            f"{judge} tells {told} classes apart and the data have {needed}: "
            "choose a classifier that was trained on these data."
        )


def _checked(batch: Batch) -> tuple[Tensor, Tensor]:
    images = batch.images
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
        raise UsageError(
            f"images are {tuple(images.shape)} {images.dtype}: give batches of uint8 images (B, 3, H, W)."
        )
    return images.cpu(), batch.labels.cpu()


def _first(batches: Iterable[Batch], limit: int | None) -> Iterator[Batch]:
    left = math.inf if limit is None else limit
    for batch in batches:
        if len(batch.images) > left:
            batch = type(batch)(*(part[: int(left)] for part in batch))
        if len(batch.images):
            yield batch
        left -= len(batch.images)
        if left <= 0:
            return


def _bar(batches: Iterable[Batch], limit: int | None, progress: bool, label: str) -> tqdm[Any]:
    known = getattr(batches, "dataset", None)
    totals = [total for total in (limit, len(known) if known is not None else None) if total is not None]
    return tqdm(
        total=min(totals, default=None),
        desc=label,
        unit=" images",
        disable=None if progress else True,
        leave=False,
    )


def modules_of(quantizer: object) -> Iterator[nn.Module]:
    """The network of a quantizer, or of the one that a wrapper such as ``Dithered`` holds."""
    for candidate in (quantizer, getattr(quantizer, "quantizer", None)):
        if isinstance(candidate, nn.Module):
            yield candidate


@contextmanager
def evaluating(modules: Sequence[nn.Module], device: torch.device) -> Iterator[None]:
    """Move networks to the device and keep them in evaluation mode, without gradients, for a while."""
    parts = [part for module in modules for part in module.to(device).modules()]
    modes = [part.training for part in parts]
    try:
        for module in modules:
            module.eval()
        with torch.inference_mode():
            yield
    finally:
        for part, mode in zip(parts, modes):
            part.training = mode
