"""The two sides of the benchmark of training: ours and the reference, split into the parts of a step."""

from __future__ import annotations

import ctypes
import gc
import resource
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from training_reference import PlainQuantizer, jitter, load_batch, loss_terms

from colorcnn.data import PhotoDigits
from colorcnn.data.augment import Augment
from colorcnn.data.imitation import ImitationTargets
from colorcnn.models import create_classifier
from colorcnn.models.backbones import UNet
from colorcnn.tasks.base import make_optimizer
from colorcnn.tasks.colorcnn import AFTER_QUANTIZATION, ColorCNNTask

NETWORKS: dict[str, dict[str, Any]] = {
    "paper": {"unet": {"width": 64, "depth": 4}, "classifier": ("resnet18", {})},
    "light": {"unet": {"width": 16, "depth": 3}, "classifier": ("resnet9", {"width": 24})},
}
"""The paper's U-Net and ResNet18, and those of the experiments for a CPU."""

_TINY = {"unet": {"width": 4, "depth": 1}, "classifier": ("resnet9", {"width": 4})}
_LIGHT_RECIPE: dict[str, Any] = {
    "regularization_weight": 0.1,
    "information_weight": 3.0,
    "confidence_weight": 0.0,
    "imitation_method": "wu",
    "imitation_pixels": 0.5,
    "temperature": 0.03,
    "score_noise": 0.25,
    "jitter": 0.0,
    "jitter_contrast": 1.0,
    "contrast": 0.3,
    "brightness": 0.1,
    "augment": {"crop": 4},
    "optimizer": "adamw",
    "learning_rate": 2e-3,
}
"""What of the recipe for a CPU costs time; its weights do not."""


@dataclass(frozen=True)
class Setting:
    """Settings that both sides share.

    Args:
        networks: a name in :data:`NETWORKS`, or ``tiny``.
        batch: images in a batch.
        device: ``cpu`` or ``cuda``.
        seed: of weights and draws.
        sizes: the numbers of colours.
    """

    networks: str
    batch: int
    device: str
    seed: int
    sizes: tuple[int, ...]

    @property
    def parts(self) -> dict[str, Any]:
        """The networks' options."""
        return NETWORKS.get(self.networks, _TINY)

    def classifier(self, data: PhotoDigits) -> nn.Module:
        """The recognition network, of random weights: they do not change what a step costs."""
        torch.manual_seed(self.seed)
        name, options = self.parts["classifier"]
        return create_classifier(name, data.num_classes, mean=data.mean, std=data.std, **options)


class Stopwatch:
    """Milliseconds an image that the parts of a step take, each without the parts inside it.

    Args:
        device: on ``cuda`` times are on the clock, else of the processor.
        images: in a step.
    """

    def __init__(self, device: str, images: int) -> None:
        self.cuda, self.images = device.startswith("cuda"), images
        self.laps: dict[str, float] = {}
        self._inside: list[float] = []

    def now(self) -> float:
        """Seconds; waits for a GPU."""
        if self.cuda:
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time what is done inside as a part of the step."""
        self._inside.append(0.0)
        start = self.now()
        try:
            yield
        finally:
            spent = self.now() - start
            within = self._inside.pop()
            if self._inside:
                self._inside[-1] += spent
            self.laps[name] = self.laps.get(name, 0.0) + 1000 * (spent - within) / self.images

    def wrap(self, owner: Any, method: str, name: str) -> None:
        """Time every call of an object's method as a part."""
        inner = getattr(owner, method)

        def timed(*given: Any, **options: Any) -> Any:
            with self.part(name):
                return inner(*given, **options)

        object.__setattr__(owner, method, timed)

    def finished(self) -> dict[str, float]:
        """The parts' times since the last call."""
        laps, self.laps = self.laps, {}
        return laps


class Side(ABC):
    """A way to train and to evaluate."""

    name: str

    def __init__(self, setting: Setting, data: PhotoDigits) -> None:
        self.setting, self.data = setting, data
        self.watch = Stopwatch(setting.device, setting.batch)
        self.random = np.random.RandomState(setting.seed)

    def _rows(self) -> np.ndarray:
        return self.random.permutation(len(self.data.train))[: self.setting.batch]

    def step(self, size: int) -> dict[str, float]:
        """Train on one batch; milliseconds an image by part, and ``wall`` and ``total``."""
        started, begun = time.perf_counter(), self.watch.now()
        self._step(size)
        total = self.watch.now() - begun
        laps = self.watch.finished()
        images = self.setting.batch / 1000
        return {
            **laps,
            "other": max(0.0, total / images - sum(laps.values())),
            "total": total / images,
            "wall": (time.perf_counter() - started) / images,
        }

    def peak_memory(self, size: int) -> float:
        """MiB that a step takes beyond what stays: activations, gradients and scratch."""
        if self.watch.cuda:
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            self.step(size)
            return (torch.cuda.max_memory_allocated() - before) / 2**20
        before = _reset_peak()
        self.step(size)
        return _peak() - before

    def evaluate(self, sizes: Sequence[int]) -> float:
        """Quantize and judge one batch at every size; milliseconds an image."""
        start = self.watch.now()
        with torch.no_grad():
            self._evaluate(sizes)
        return 1000 * (self.watch.now() - start) / self.setting.batch

    @abstractmethod
    def _step(self, size: int) -> None: ...

    @abstractmethod
    def _evaluate(self, sizes: Sequence[int]) -> None: ...


class Ours(Side):
    """The package's task, by the recipe that belongs to the networks.

    Args:
        setting: of the run.
        data: the images.
        precision: ``32-true`` or ``bf16-mixed``.
    """

    def __init__(self, setting: Setting, data: PhotoDigits, precision: str) -> None:
        super().__init__(setting, data)
        self.name = f"ours, {precision}"
        self.mixed = precision == "bf16-mixed"
        global _judge
        _judge = setting.classifier(data)
        torch.manual_seed(setting.seed)
        self.task = ColorCNNTask(
            [f"{__name__}:current_judge"],
            data.num_classes,
            list(data.mean),
            list(data.std),
            sizes=list(setting.sizes),
            task_batches=2**30,
            quantizer_kwargs={"backbone_kwargs": setting.parts["unet"]},
            **({} if setting.networks == "paper" else _LIGHT_RECIPE),
        ).to(setting.device)
        self.task._trainer = SimpleNamespace(  # type: ignore[assignment]
            max_epochs=2, current_epoch=0, global_step=1, estimated_stepping_batches=2
        )
        self.task.log = self.task.log_dict = lambda *_, **__: None  # type: ignore[method-assign,assignment]
        method = self.task.hparams["imitation_method"]
        targets = ImitationTargets(data.train, setting.sizes, method).to(torch.device(setting.device))
        self.task.targets = targets
        options = self.task.hparams
        self.optimizer = make_optimizer(
            self.task.trained().parameters(),
            options["optimizer"],
            options["learning_rate"],
            options["weight_decay"],
        )
        for owner, called, part in (
            (targets, "of", "data"),
            (self.task.quantizer, "encode", "forward"),
            (self.task, "_assign", "assignment"),
            (self.task, "render", "assignment"),
            (self.task, "_regularizers", "losses"),
            (self.task, "_recognition", "classifier"),
        ):
            self.watch.wrap(owner, called, part)

    def _step(self, size: int) -> None:
        task = self.task.train()
        task.num_colors = size
        with self.watch.part("data"):
            batch = self.data.train.__getitems__(list(self._rows()))
            batch = task.on_before_batch_transfer(batch, 0)
            batch = batch._replace(
                images=batch.images.to(self.setting.device), labels=batch.labels.to(self.setting.device)
            )
            batch = task.on_after_batch_transfer(batch, 0)
        with torch.autocast(torch.device(self.setting.device).type, torch.bfloat16, enabled=self.mixed):
            loss = task.training_step(batch, 1)
        with self.watch.part("backward"):
            loss.backward()
        with self.watch.part("optimizer"):
            self.optimizer.step()
            self.optimizer.zero_grad()

    def _evaluate(self, sizes: Sequence[int]) -> None:
        task = self.task.eval()
        batch = self.data.train.__getitems__(list(self._rows()))
        images = task.on_after_batch_transfer(batch._replace(images=batch.images.to(self.setting.device)), 0)
        for paletted in task.quantizer.quantize_many(images.images, sizes).values():
            shown = paletted.render()
            for classifier in task.judges:
                classifier(shown).argmax(dim=1).cpu()
            for image in range(len(paletted)):
                paletted[image].png()


class Reference(Side):
    """ColorCNN+ written from the paper, in float32.

    Args:
        setting: of the run.
        data: the images.
    """

    name = "reference"

    def __init__(self, setting: Setting, data: PhotoDigits) -> None:
        super().__init__(setting, data)
        self.judge = setting.classifier(data).eval().requires_grad_(False).to(setting.device)
        torch.manual_seed(setting.seed)
        self.model = PlainQuantizer(UNet(**setting.parts["unet"])).to(setting.device)
        self.augment = Augment(**AFTER_QUANTIZATION).to(setting.device)
        self.optimizer = make_optimizer(self.model.parameters(), "sgd", 0.01, 5e-4)
        self.mean, self.std = (
            torch.tensor(values, device=setting.device).view(1, 3, 1, 1) for values in (data.mean, data.std)
        )

    def _load(self, size: int) -> tuple[Tensor, Tensor, Tensor]:
        rows, split, device = self._rows(), self.data.train, self.setting.device
        images, targets = load_batch(split.pixels(rows), size)
        return images.to(device), targets.to(device), split.labels[rows].to(device)

    def _step(self, size: int) -> None:
        part, model = self.watch.part, self.model.train()
        with part("data"):
            images, targets, labels = self._load(size)
        with part("forward"):
            features = model.encode(images)
        with part("assignment"):
            assignment = model.assign(features, size)
            quantized = model.render(images, assignment)
        with part("losses"):
            loss = loss_terms(assignment, targets)
        with part("classifier"):
            seen = self.augment(jitter(quantized, self.mean, self.std))
            loss = loss + F.cross_entropy(self.judge(seen), labels)
        with part("backward"):
            loss.backward()
        with part("optimizer"):
            self.optimizer.step()
            self.optimizer.zero_grad()

    def _evaluate(self, sizes: Sequence[int]) -> None:
        self.model.eval()
        for size in sizes:
            images, _, _ = self._load(size)
            quantized = self.model.quantize(images, size)
            self.judge(quantized).argmax(dim=1).cpu()
            _truecolor_files(quantized)


def _truecolor_files(images: Tensor) -> None:
    """Encode images as PNG files of true colour, as a first reading would to measure their size."""
    import io

    from PIL import Image

    for array in (images * 255).byte().permute(0, 2, 3, 1).cpu().numpy():
        Image.fromarray(array).save(io.BytesIO(), "PNG")


_judge: nn.Module | None = None


def current_judge() -> nn.Module:
    """Return the classifier of the side that is being made, as ``module:function`` names it."""
    assert _judge is not None
    return _judge


def _reset_peak() -> float:
    """Give free memory back to the system and forget the peak; MiB in use."""
    gc.collect()
    for give_back in _trims():
        give_back(0)
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")
    return _status("VmRSS")


def _trims() -> list[Callable[[int], Any]]:
    try:
        return [ctypes.CDLL("libc.so.6").malloc_trim]
    except (OSError, AttributeError):
        return []


def _peak() -> float:
    return _status("VmHWM")


def _status(field: str) -> float:
    """A field of this process's status in MiB; the peak so far where the system has no such file."""
    path = Path("/proc/self/status")
    if not path.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    found = next(line for line in path.read_text().splitlines() if line.startswith(field))
    return int(found.split()[1]) / 2**10
