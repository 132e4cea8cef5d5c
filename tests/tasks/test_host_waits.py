"""A training step never waits for a GPU: nothing is copied to the host, and no shape depends on values.

On torch's device ``meta`` tensors have no values. So every read of a value fails there, as do boolean masks
and ``nonzero``: all operations for which the host would wait for a GPU. Code takes the same branches as on a
GPU. A copy of the host's memory to the device waits as well, unless the memory is pinned, and is refused.
"""

import contextlib
from types import SimpleNamespace

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from colorcnn.data.datasets import Batch
from colorcnn.data.imitation import ComputedTargets
from colorcnn.tasks.classifier import ClassifierTask
from colorcnn.tasks.colorcnn import ColorCNNTask

META = torch.device("meta")
COLORS = [0.5] * 3, [0.25] * 3
NETWORK = {"backbone_kwargs": {"width": 4, "depth": 1}}
PLUS = {**NETWORK, "feature_channels": 64}
LIGHT = {
    "optimizer": "adamw", "temperature": 0.1, "score_noise": 0.5, "imitation_pixels": 0.5, "jitter": 0.0,
    "jitter_contrast": 1.0, "contrast": 0.3, "brightness": 0.1, "hardening": 0.8, "straight_through": 0.2,
}  # fmt: skip


class NoCopies(TorchDispatchMode):
    """Refuse copies of several values between the host and the device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        waits = not (kwargs or {}).get("non_blocking")  # the memory of these copies is pinned
        if "copy" in func.__name__ and isinstance(found, torch.Tensor) and waits:
            devices = {each.device for each in (found, *args) if isinstance(each, torch.Tensor)}
            assert len(devices) == 1, f"{func} of {tuple(found.shape)} between host and device"
        return found


class NoUploads(TorchFunctionMode):
    """Refuse tensors of the device that are made of numbers of the host."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        if func in (torch.tensor, torch.as_tensor, torch.Tensor.new_tensor) and found.device == META:
            given = args[1] if func is torch.Tensor.new_tensor else args[0]
            assert isinstance(given, torch.Tensor), f"{given} becomes a tensor of the device"
        return found


class Targets:
    """Imitation targets that are on the device."""

    def of(self, images, index, num_colors):
        return torch.zeros(len(index), *images.shape[2:], dtype=torch.uint8, device=images.device)


def plain(architecture="colorcnn-plus", network=PLUS, sizes=(16,), **options):
    return ColorCNNTask(
        ["tiny:classifier"], 10, *COLORS, architecture=architecture, quantizer_kwargs=network,
        sizes=list(sizes), **options,
    )  # fmt: skip


def attention(**options):
    task = plain("palette-attention", NETWORK, imitation_weight=0.0, **options)
    task.starts = SimpleNamespace(
        lookup=lambda index, size, device: torch.zeros(len(index), size, 3, dtype=torch.uint8, device=device)
    )
    return task


TASKS = {
    "classifier": lambda: ClassifierTask("resnet9", 10, *COLORS, network_kwargs={"width": 4}),
    "colorcnn": lambda: plain("colorcnn", NETWORK, [4], imitation_weight=0.0, crop_before=2),
    "colorcnn-plus as the paper has it": plain,
    "light recipe": lambda: plain(**LIGHT),
    "sparse": lambda: plain(assignment_form="sparse"),
    "perceptual and distilled": lambda: plain(perceptual_weight=0.5, distillation=0.5),
    "palette-attention": attention,
    "palette-attention, several sizes": lambda: attention(sizes=(4, 16), sizes_per_batch=2),
}


@pytest.fixture(autouse=True)
def _no_autocast(monkeypatch):
    """The device has no automatic precision."""
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda device: False)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())


@pytest.mark.parametrize("make", TASKS.values(), ids=TASKS)
def test_a_training_step_waits_for_no_value_of_the_device(make):
    torch.manual_seed(0)
    task = make()
    starts = getattr(task, "starts", None)
    task = task.to(META)
    task._trainer = SimpleNamespace(
        max_epochs=1, current_epoch=0, global_step=0, estimated_stepping_batches=50
    )
    task.log = task.log_dict = lambda *_, **__: None
    task.targets, task.starts = Targets(), starts
    (optimizer,) = (torch.optim.SGD(task.trained().parameters(), 0.1, momentum=0.9),)
    batch = Batch(
        torch.empty(8, 3, 32, 32, dtype=torch.uint8, device=META),
        torch.empty(8, dtype=torch.int64, device=META),
        torch.arange(8),
    )
    batch = task.on_after_batch_transfer(batch, 0)
    with NoCopies(), NoUploads():
        for step in range(3):
            task._trainer.global_step = step
            loss = task.training_step(batch, step)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    assert loss.device == META


def test_the_mode_of_this_test_refuses_what_waits():
    values = torch.ones(4, device=META)
    for wait in (
        lambda: values[0].item(), lambda: values.nonzero(), lambda: values[values > 0], lambda: values.cpu(),
        lambda: bool(values.any()),
    ):  # fmt: skip
        with pytest.raises((NotImplementedError, RuntimeError)):
            wait()
    for copy in (lambda: torch.zeros(3).to(META), lambda: torch.tensor([1.0, 2.0], device=META)):
        with NoCopies(), NoUploads(), pytest.raises(AssertionError):
            copy()


@pytest.mark.parametrize("method", ["median-cut", "wu"])
def test_targets_are_made_on_the_device(method, monkeypatch):
    """One value is read for each batch: whether all images are done. Wu also needs the odd images."""
    reads = []
    monkeypatch.setattr(torch.Tensor, "__bool__", lambda value: bool(reads.append(value.device)))
    monkeypatch.setattr(torch.Tensor, "nonzero", lambda mask: mask.new_empty(0, 1, dtype=torch.int64))
    with NoCopies(), NoUploads():
        found = ComputedTargets(method).of(torch.empty(3, 3, 8, 8, device=META), torch.arange(3), 4)
    assert found.device == META
    assert reads == [META]
