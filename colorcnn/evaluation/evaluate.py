"""The only evaluator: every quantizer, at every number of colours, through the same images and classifier."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from tqdm import tqdm

from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.evaluation.judging import Judges, Panel, evaluating, modules_of
from colorcnn.evaluation.passes import CodecPass, QuantizerPass, QuantizesMany
from colorcnn.evaluation.scores import Evaluation
from colorcnn.evaluation.tally import Tally
from colorcnn.quantizers.base import check_num_colors

if TYPE_CHECKING:
    from colorcnn.data.datasets import Batch
    from colorcnn.evaluation.codecs import Coder
    from colorcnn.evaluation.kept import Kept


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
    kept: Kept | None = None,
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
        kept: where to keep how far it is, and to go on from; ``batches`` then have ``after(n)``, which are
            those behind the first n images.

    Raises:
        UsageError: a number of colours or ``limit`` is out of range, or the classifier does not fit the data.
        ColorCNNError: there are no images, or a method breaks its contract.
    """
    sizes = tuple(dict.fromkeys(check_num_colors(size) for size in sizes))
    _check_request([*methods, *(codecs or {})], sizes, limit)
    device = torch.device(device)
    panel = Panel(classifier, device, num_classes)
    standing = _Standing(
        {name: QuantizerPass(name, quantizer, sizes, device) for name, quantizer in methods.items()},
        {name: CodecPass(name, codec) for name, codec in (codecs or {}).items()},
    )
    modules = [*panel.judges.values(), *(part for method in methods.values() for part in modules_of(method))]
    done = standing.restore(kept.read()) if kept else 0
    with evaluating(modules, device), _bar(batches, limit, progress, label, done) as bar:
        for batch in _rest(batches, done, limit):
            standing.add(batch, panel)
            bar.update(len(batch.images))
            if kept:
                kept.write(standing.state)
    if not standing.order:
        raise ColorCNNError("There are no images to evaluate: the data set or this split of it is empty.")
    if kept:
        kept.write(standing.state, ended=True)
    return standing.evaluation(sizes, panel.names)


def _check_request(names: Sequence[str], sizes: Sequence[int], limit: int | None) -> None:
    if bool(names) != bool(sizes):
        raise UsageError("There is nothing to evaluate: give at least one method and one number of colours.")
    if limit is not None and limit < 1:
        raise UsageError(f"The limit is {limit}: evaluate at least 1 image.")


@dataclass
class _Standing:
    """All that is measured so far; ``order`` is of the images' indices."""

    runs: Mapping[str, QuantizerPass]
    files: Mapping[str, CodecPass]
    original: Tally = field(default_factory=Tally)
    order: list[Tensor] = field(default_factory=list)

    @property
    def passes(self) -> list[QuantizerPass | CodecPass]:
        return [*self.runs.values(), *self.files.values()]

    def add(self, batch: Batch, panel: Panel) -> None:
        images, labels = _checked(batch)
        self.original.add_originals(images, panel.ask(images, labels), labels)
        for each in self.passes:
            each.step(panel, images, labels)
        self.order.append(batch.index.cpu())

    def state(self) -> dict[str, Any]:
        passes = [each.state() for each in self.passes]
        return {"original": self.original.state(), "passes": passes, "order": torch.cat(self.order)}

    def restore(self, state: Mapping[str, Any] | None) -> int:
        """How many images are done."""
        if state is None:
            return 0
        self.original, self.order = Tally(**state["original"]), [state["order"]]
        for each, known in zip(self.passes, state["passes"], strict=True):
            each.restore(known)
        return len(state["order"])

    def evaluation(self, sizes: tuple[int, ...], judges: tuple[str, ...]) -> Evaluation:
        """The scores, with what is told per image in the order of the split."""
        rank = torch.cat(self.order).argsort(stable=True)
        return Evaluation(
            n=len(rank),
            sizes=sizes,
            original=self.original.score(rank),
            scores={name: run.scores(rank) for name, run in self.runs.items()},
            unavailable={name: dict(run.unavailable) for name, run in self.runs.items()},
            images_per_second={name: run.images_per_second for name, run in self.runs.items()},
            codecs={name: run.tally.score(rank) for name, run in self.files.items()},
            judges=judges,
        )


def _checked(batch: Batch) -> tuple[Tensor, Tensor]:
    images = batch.images
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
        raise UsageError(
            f"images are {tuple(images.shape)} {images.dtype}: give batches of uint8 images (B, 3, H, W)."
        )
    return images.cpu(), batch.labels.cpu()


def _rest(batches: Any, done: int, limit: int | None) -> Iterator[Batch]:
    """Batches of the images that are not done, up to the limit."""
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


def _bar(batches: Iterable[Batch], limit: int | None, progress: bool, label: str, done: int) -> tqdm[Any]:
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
