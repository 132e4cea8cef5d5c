"""Measurement on one device, or on several that take the batches in turns."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from colorcnn.errors import UsageError
from colorcnn.evaluation.accumulator import MetricAccumulator
from colorcnn.evaluation.attacks import Attacked
from colorcnn.evaluation.classifier_set import ClassifierSet, FrozenClassifiers, evaluating
from colorcnn.evaluation.passes import CodecPass, QuantizerPass, QuantizesMany
from colorcnn.evaluation.scores import Evaluation
from colorcnn.models.replicas import modules_of
from colorcnn.parallel import Turns

if TYPE_CHECKING:
    from colorcnn.data.datasets import Batch
    from colorcnn.evaluation.codecs import Coder


@dataclass(frozen=True)
class Request:
    """The parts of an evaluation, see :func:`colorcnn.evaluation.evaluate.evaluate`."""

    methods: Mapping[str, QuantizesMany]
    classifier: FrozenClassifiers
    batches: Any
    sizes: tuple[int, ...]
    codecs: Mapping[str, Coder]
    num_classes: int | None

    def copy(self) -> Request:
        """Return the request with copies of all networks, which keep their relations."""
        batches: Any = ()
        if isinstance(self.batches, Attacked):
            attacked = self.batches
            parts = self.methods, self.classifier, attacked.network
            methods, classifier, network = copy.deepcopy(parts)
            batches = Attacked((), attacked.attack, network, attacked.epsilon, first=attacked.first)
        else:
            methods, classifier = copy.deepcopy((self.methods, self.classifier))
        return Request(methods, classifier, batches, self.sizes, self.codecs, self.num_classes)


@dataclass
class Measured:
    """All measurements so far. ``indices`` holds the positions of the images in the split."""

    methods: Mapping[str, QuantizerPass]
    codecs: Mapping[str, CodecPass]
    original: MetricAccumulator = field(default_factory=MetricAccumulator)
    indices: list[Tensor] = field(default_factory=list)

    @classmethod
    def of(cls, request: Request, device: torch.device) -> Measured:
        """Return empty measurements.

        Args:
            request: what is measured.
            device: device of the networks.
        """
        methods = request.methods.items()
        return cls(
            {name: QuantizerPass(name, quantizer, request.sizes, device) for name, quantizer in methods},
            {name: CodecPass(name, codec) for name, codec in request.codecs.items()},
        )

    @property
    def passes(self) -> list[QuantizerPass | CodecPass]:
        """The measurements of all methods and codecs."""
        return [*self.methods.values(), *self.codecs.values()]

    def extend(self, parts: Sequence[Measured]) -> None:
        """Add what several devices measured in turns, and clear them.

        Args:
            parts: the measurements of the devices.
        """
        self.original.extend([part.original for part in parts])
        for each, *others in zip(self.passes, *(part.passes for part in parts), strict=True):
            each.extend(others)
        for part in parts:
            part.original = MetricAccumulator()

    def state(self) -> dict[str, Any]:
        """Return the progress as plain values, for a progress file."""
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
        """Return the scores; values per image are in the order of the split.

        Args:
            sizes: the palette sizes.
            classifiers: names of several classifiers.
        """
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


class _Device:
    """One device with its networks. It attacks the batches if the request does."""

    def __init__(self, request: Request, device: torch.device, measured: Measured) -> None:
        self.device = device
        self.measured = measured
        self.classifiers = ClassifierSet(request.classifier, device, request.num_classes)
        self.attack = request.batches if isinstance(request.batches, Attacked) else None
        if self.attack is not None:
            self.attack.device = device
        networks = (part for method in request.methods.values() for part in modules_of(method))
        self.modules = [*self.classifiers.classifiers.values(), *networks]

    def step(self, batch: Batch, start: int) -> None:
        """Measure one batch.

        Args:
            batch: the images.
            start: number of images before it.
        """
        on_gpu = self.device.type == "cuda"
        # Both settings belong to a thread, and a device may have a thread of its own.
        with torch.inference_mode(), torch.cuda.device(self.device) if on_gpu else contextlib.nullcontext():
            images, labels = _checked(batch)
            if self.attack is not None:
                images = self.attack.attacked(batch, self.attack.first + start).images
            answers = self.classifiers.ask(images, labels)
            self.measured.original.add_originals(images, answers, labels)
            for each in self.measured.passes:
                each.step(self.classifiers, images, labels)


class Devices:
    """The devices of an evaluation. The batches are counted in their order, whichever device is faster.

    Args:
        request: what is measured.
        devices: at least one device. With several, each has a thread and copies of the networks.
    """

    def __init__(self, request: Request, devices: Sequence[torch.device]) -> None:
        self.request = request
        self.measured = Measured.of(request, devices[0])
        if len(devices) == 1:
            self.devices = [_Device(request, devices[0], self.measured)]
        else:
            requests = [request, *(request.copy() for _ in devices[1:])]
            self.devices = [_Device(each, at, Measured.of(each, at)) for each, at in zip(requests, devices)]
        self.turns = Turns([each.step for each in self.devices])
        self.seen = 0

    def add(self, batch: Batch) -> None:
        """Measure a batch, or hand it to the next device.

        Args:
            batch: the images.

        Raises:
            ColorCNNError: a method or classifier failed on this batch or an earlier one.
        """
        self.turns.call(batch, self.seen)
        self.measured.indices.append(batch.index.cpu())
        self.seen += len(batch.images)

    def collect(self) -> Measured:
        """Wait for all devices, and return the measurements of all batches so far."""
        self.turns.wait()
        if len(self.devices) > 1:
            self.measured.extend([each.measured for each in self.devices])
        return self.measured

    def state(self) -> dict[str, Any]:
        """Return the progress as plain values, for a progress file."""
        return self.collect().state()

    def restore(self, state: Mapping[str, Any] | None) -> int:
        """Restore a saved state and return the number of images that are done."""
        self.seen = self.measured.restore(state)
        self.collect()  # tells the other devices which palette sizes the methods accept
        return self.seen

    def evaluation(self) -> Evaluation:
        """Return the scores of all images."""
        return self.collect().evaluation(self.request.sizes, self.devices[0].classifiers.names)


@contextlib.contextmanager
def open_devices(request: Request, devices: Sequence[torch.device]) -> Iterator[Devices]:
    """Move the networks to their devices. In the context they are in evaluation mode.

    Args:
        request: what is measured.
        devices: at least one device.
    """
    with contextlib.ExitStack() as stack:
        opened = Devices(request, devices)
        stack.enter_context(opened.turns)
        for each in opened.devices:
            stack.enter_context(evaluating(each.modules, each.device))
        yield opened


def _checked(batch: Batch) -> tuple[Tensor, Tensor]:
    images = batch.images
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
        raise UsageError(
            f"images are {tuple(images.shape)} {images.dtype}: give batches of uint8 images (B, 3, H, W)."
        )
    return images.cpu(), batch.labels.cpu()
