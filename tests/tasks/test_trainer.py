"""The trainer's ``precision: auto``."""

from types import SimpleNamespace

import pytest
import torch

from colorcnn.errors import UsageError
from colorcnn.tasks import ClassifierTask, trainer
from colorcnn.tasks.trainer import Trainer, native_precision


@pytest.mark.parametrize(("native", "precision"), [(True, "bf16-mixed"), (False, "32-true")])
def test_auto_precision_is_what_the_processor_computes_natively(native, precision, monkeypatch):
    monkeypatch.setattr(trainer, "cpu_has_bfloat16", lambda: native)
    assert native_precision("cpu") == precision
    made = Trainer(accelerator="cpu", precision="auto", logger=False, enable_checkpointing=False)
    assert made.precision == precision


@pytest.mark.parametrize(("native", "precision"), [(True, "bf16-mixed"), (False, "32-true")])
def test_auto_precision_asks_the_gpu_that_is_used(native, precision, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    assert native_precision("auto") == native_precision("gpu") == precision


def test_metal_computes_float32(monkeypatch):
    monkeypatch.setattr(trainer, "cpu_has_bfloat16", lambda: True)
    assert native_precision("mps") == "32-true"


def test_other_precisions_are_lightnings(monkeypatch):
    assert Trainer(accelerator="cpu", precision="bf16-mixed", logger=False).precision == "bf16-mixed"
    assert Trainer(accelerator="cpu", logger=False).precision == "32-true"


def test_a_training_without_a_number_of_steps_is_refused():
    task = ClassifierTask("resnet9", 10, [0.5] * 3, [0.25] * 3, network_kwargs={"width": 2})
    endless = SimpleNamespace(workers=None, max_epochs=-1, max_steps=-1)
    with pytest.raises(UsageError, match=r"set trainer\.max_epochs or trainer\.max_steps"):
        task.check_trainer(endless)
