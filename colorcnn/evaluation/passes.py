"""Measurement of one quantizer or codec of an evaluation, batch by batch."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.evaluation.accumulator import MetricAccumulator
from colorcnn.evaluation.background import Background, overlaps
from colorcnn.evaluation.classifier_set import ClassifierSet
from colorcnn.evaluation.scores import Score
from colorcnn.paletted import Paletted, from_bytes

if TYPE_CHECKING:
    from colorcnn.evaluation.codecs import Coder


class QuantizesMany(Protocol):
    """Quantizer that computes all palette sizes of a batch in one call."""

    def quantize_many(self, images: Tensor, sizes: Sequence[int]) -> dict[int, Paletted]:
        """Quantize images.

        Args:
            images: (B, 3, H, W) float in [0, 1].
            sizes: the palette sizes.

        Returns:
            Palette size -> quantized images.
        """


class QuantizerPass:
    """Measurement of one method.

    Args:
        name: name of the method.
        quantizer: the method.
        sizes: the palette sizes.
        device: device of the quantizer.
    """

    def __init__(
        self, name: str, quantizer: QuantizesMany, sizes: Sequence[int], device: torch.device
    ) -> None:
        self.name = name
        self.quantizer = quantizer
        self.device = device
        self.accumulators = {size: MetricAccumulator() for size in sizes}
        self.unavailable: dict[int, str] = {}
        self.accepted = False
        self.warm_up: tuple[int, float] | None = None
        self.background = Background(overlaps(device))
        self.num_quantized, self.seconds = 0, 0.0

    @property
    def images_per_second(self) -> float:
        """Images per second of one device. The first of several batches is a warm-up and does not count."""
        timed = (self.num_quantized, self.seconds) if self.num_quantized else self.warm_up or (0, 0.0)
        return timed[0] / timed[1] if timed[1] else 0.0

    def state(self) -> dict[str, Any]:
        """Return the progress as plain values, for a progress file."""
        self.background.wait()
        return {
            "tallies": {size: each.state() for size, each in self.accumulators.items()},
            "unavailable": self.unavailable,
            "made": self.num_quantized,
            "seconds": self.seconds,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore saved progress. The first batch afterwards is a warm-up and is not timed."""
        self.accumulators = {size: MetricAccumulator(**fields) for size, fields in state["tallies"].items()}
        self.unavailable = dict(state["unavailable"])
        self.num_quantized, self.seconds = state["made"], state["seconds"]
        self.accepted = True

    def extend(self, parts: Sequence[QuantizerPass]) -> None:
        """Add what several devices measured in turns, and clear them.

        Args:
            parts: the measurements of the same method on each device.
        """
        for part in parts:
            part.background.wait()
            self.unavailable |= part.unavailable
            self.accepted |= part.accepted
            self.warm_up = self.warm_up or part.warm_up
            self.num_quantized += part.num_quantized
            self.seconds += part.seconds
            part.num_quantized, part.seconds = 0, 0.0
        for size in self.unavailable:
            self.accumulators.pop(size, None)
        for size, own in self.accumulators.items():
            own.extend([part.accumulators[size] for part in parts])
        for part in parts:
            part.accumulators = {size: MetricAccumulator() for size in self.accumulators}
            part.accepted = self.accepted

    def scores(self, order: Tensor) -> dict[int, Score]:
        """Return palette size -> score; ``order`` (n,) sorts the images into the order of the split."""
        self.background.wait()
        return {size: each.score(order) for size, each in self.accumulators.items()}

    def step(self, classifiers: ClassifierSet, originals: Tensor, labels: Tensor) -> None:
        """Quantize one batch, once for all palette sizes, and measure it.

        Args:
            classifiers: the classifiers.
            originals: (B, 3, H, W) uint8.
            labels: (B,) class numbers, or (B, K) of 0 and 1.
        """
        if not self.accumulators:
            return
        images = from_bytes(originals.to(self.device))
        for size, paletted in self._quantize(images).items():
            _check_contract(self.name, size, paletted, originals)
            pixels = paletted.render(torch.uint8)
            answers = classifiers.ask(pixels, labels)
            arguments = (paletted.to("cpu"), pixels.cpu(), originals, answers, labels)
            self.background.submit(self.accumulators[size].add, *arguments)

    def _quantize(self, images: Tensor) -> dict[int, Paletted]:
        try:
            start = self._now()
            done = self.quantizer.quantize_many(images, list(self.accumulators))
        except UsageError:
            if self.accepted:  # the first batch accepted the sizes, so this is another error
                raise
            self._drop_refused_sizes(images)
            if not self.accumulators:
                return {}
            start = self._now()
            done = self.quantizer.quantize_many(images, list(self.accumulators))
        self._add_time(len(images) * len(self.accumulators), self._now() - start)
        self.accepted = True
        return done

    def _add_time(self, num_images: int, seconds: float) -> None:
        if self.warm_up is None:
            self.warm_up = num_images, seconds
        else:
            self.num_quantized += num_images
            self.seconds += seconds

    def _drop_refused_sizes(self, images: Tensor) -> None:
        for size in list(self.accumulators):
            try:
                self.quantizer.quantize_many(images, [size])
            except UsageError as refusal:
                self.unavailable[size] = str(refusal)
                del self.accumulators[size]

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


class CodecPass:
    """Measurement of one codec.

    Args:
        name: name of the codec.
        codec: the codec.
    """

    def __init__(self, name: str, codec: Coder) -> None:
        self.name = name
        self.codec = codec
        self.accumulator = MetricAccumulator()

    def state(self) -> dict[str, Any]:
        """Return the progress as plain values, for a progress file."""
        return {"tally": self.accumulator.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore saved progress."""
        self.accumulator = MetricAccumulator(**state["tally"])

    def extend(self, parts: Sequence[CodecPass]) -> None:
        """See :meth:`QuantizerPass.extend`."""
        self.accumulator.extend([part.accumulator for part in parts])
        for part in parts:
            part.accumulator = MetricAccumulator()

    def step(self, classifiers: ClassifierSet, originals: Tensor, labels: Tensor) -> None:
        """Write one batch as files, read them, and measure the decoded images.

        Args:
            classifiers: the classifiers.
            originals: (B, 3, H, W) uint8.
            labels: (B,) class numbers, or (B, K) of 0 and 1.
        """
        pixels, bits = self.codec(originals)
        if pixels.shape != originals.shape or pixels.dtype != torch.uint8 or len(bits) != len(originals):
            raise ColorCNNError(
                f"{self.name} returned {len(bits)} files and {tuple(pixels.shape)} {pixels.dtype} for images "
                f"{tuple(originals.shape)}: this is a bug of the codec."
            )
        self.accumulator.add_decoded(pixels, bits, originals, classifiers.ask(pixels, labels), labels)


def _check_contract(name: str, size: int, paletted: Paletted, originals: Tensor) -> None:
    expected = (len(originals), *originals.shape[2:])
    if tuple(paletted.indices.shape) != expected:
        raise ColorCNNError(
            f"{name} returned index maps of shape {tuple(paletted.indices.shape)} in place of {expected}: "
            "this is a bug of the quantizer."
        )
    if not paletted.palette.isfinite().all():
        raise ColorCNNError(
            f"{name} returned a palette with values that are not finite at {size} colours: "
            "its weights are damaged; train it again or use another checkpoint."
        )
    most = int(paletted.num_colors.max())
    if most > size:
        raise ColorCNNError(
            f"{name} returned {most} colours, but at most {size} are allowed: this is a bug of the quantizer."
        )
