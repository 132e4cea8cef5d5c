"""Several devices that share an evaluation count every image once, and give the numbers of one."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from torch import nn

from colorcnn.data.datasets import ImageSplit, InOrder
from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.evaluation.attacks import parse_attack
from colorcnn.evaluation.codecs import Codec
from colorcnn.evaluation.devices import Request, open_devices
from colorcnn.evaluation.evaluate import evaluate
from colorcnn.evaluation.progress_file import ProgressFile
from colorcnn.evaluation.robustness import Defence, measure_robustness
from colorcnn.models import create_model
from colorcnn.pretrained import find_devices
from colorcnn.quantizers import Dithered
from colorcnn.quantizers.median_cut import MedianCut

SIDE, COUNT, BATCH = 12, 14, 3
RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (COUNT, SIDE, SIDE, 3), dtype=np.uint8)
LABELS = {
    "one label": RANDOM.integers(0, 3, COUNT),
    "several": RANDOM.integers(0, 2, (COUNT, 3)),
    "masks": RANDOM.integers(0, 3, (COUNT, SIDE, SIDE)).astype(np.uint8),
}


class Refusing(MedianCut):
    """Not for 3 colours."""

    def quantize_many(self, images, sizes):
        if 3 in sizes:
            raise UsageError("Three colours are a crowd.")
        return super().quantize_many(images, sizes)


class Breaking(MedianCut):
    """Fails at an image whose first pixel is that of image 7."""

    def quantize_many(self, images, sizes):
        first = (images[:, :, 0, 0] * 255).round().to(torch.uint8)
        if (first == torch.from_numpy(PIXELS[7, 0, 0])).all(dim=1).any():
            raise ColorCNNError("Image 7 is bad.", code="bad")
        return super().quantize_many(images, sizes)


def judge(seed=0, masks=False):
    torch.manual_seed(seed)
    if masks:
        return nn.Conv2d(3, 3, 1)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 3))


def learned():
    torch.manual_seed(1)
    return create_model("colorcnn-plus", backbone_kwargs={"width": 4, "depth": 2}, feature_channels=8)


def batches(labels="one label"):
    return InOrder(ImageSplit(PIXELS, LABELS[labels]), BATCH)


def measure(device, labels="one label", **options):
    """Everything that a record holds of an evaluation, without the time."""
    methods = {"mine": learned(), "cut": Refusing(), "dots": Dithered(MedianCut())}
    panel = {f"judge {seed}": judge(seed, labels == "masks") for seed in range(2)}
    options = {"codecs": {"jpeg:50": Codec("jpeg", 50)}, "progress": False, **options}
    found = evaluate(methods, panel, batches(labels), [2, 3, 5], device=device, **options).to_json()
    for method in found["methods"].values():
        assert method.pop("images_per_second") > 0
    return found


@pytest.mark.parametrize(("labels", "devices"), [(labels, 2) for labels in LABELS] + [("one label", 3)])
def test_the_record_is_that_of_one_device(labels, devices):
    alone = measure("cpu", labels)
    assert measure(["cpu"] * devices, labels) == alone
    assert alone["methods"]["cut"]["unavailable"] == {"3": "Three colours are a crowd."}


@pytest.mark.parametrize("limit", [1, 10])
def test_a_limit_is_that_of_one_device(limit):
    assert measure(["cpu", "cpu"], limit=limit) == measure("cpu", limit=limit)


def test_each_device_has_a_thread_and_networks_of_its_own():
    seen = {}

    class Watched(nn.Module):
        def forward(self, images):
            seen.setdefault(threading.get_ident(), set()).add(id(self))
            assert torch.is_inference_mode_enabled()
            assert not self.training
            return images.mean(dim=(2, 3))

    network = Watched().train()
    found = evaluate({}, network, batches(), [], device=["cpu", "cpu"], progress=False)
    assert found.n == COUNT
    assert [len(networks) for networks in seen.values()] == [1, 1]
    assert len(set.union(*seen.values())) == 2
    assert network.training


@pytest.mark.parametrize(("first", "second"), [("cpu", ["cpu", "cpu"]), (["cpu", "cpu"], "cpu")])
def test_saved_progress_resumes_on_other_devices(first, second, tmp_path, monkeypatch):
    monkeypatch.setattr(ProgressFile, "SECONDS", 0)
    kept = tmp_path / "progress.pt"
    measure(first, limit=10, progress_file=ProgressFile(kept))
    assert measure(second, progress_file=ProgressFile(kept)) == measure("cpu")


@pytest.mark.parametrize("kind", ["fgsm", "pgd", "pgd:adaptive", "pgd:soft"])
def test_attacks_are_those_of_one_device(kind):
    def attacked(device):
        defence = Defence(judge(), batches(), {"mine": learned()}, {}, device, {"progress": False})
        clean = evaluate(defence.methods, defence.classifier, batches(), [3], device=device, progress=False)
        return measure_robustness(defence, [parse_attack(kind, steps=2)], [8], clean).to_json()

    assert attacked(["cpu", "cpu"]) == attacked("cpu")


def test_an_evaluation_keeps_few_bytes_per_image():
    """Positions, and for each method and palette size: recognised, colours, PSNR and SSIM."""
    request = Request({"cut": MedianCut()}, judge(), batches(), (2, 5), {}, None)
    with open_devices(request, [torch.device("cpu")]) as opened:
        for batch in batches():
            opened.add(batch)
        held = sizes_of(opened.state())
    assert held == COUNT * (8 + (1 + 8) + 2 * (1 + 8 + 8 + 8))


def sizes_of(state):
    if isinstance(state, torch.Tensor):
        return state.nbytes
    parts = state.values() if isinstance(state, dict) else state if isinstance(state, list) else ()
    return sum(map(sizes_of, parts))


def test_an_error_on_a_device_ends_the_evaluation():
    with pytest.raises(ColorCNNError) as raised:
        evaluate({"bad": Breaking()}, judge(), batches(), [2], device=["cpu", "cpu"], progress=False)
    assert raised.value.code == "bad"


def test_cuda_is_every_gpu_and_a_number_is_one(monkeypatch):
    monkeypatch.setattr("colorcnn.pretrained.find_device", torch.device)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert find_devices("cuda") == ["cuda:0", "cuda:1", "cuda:2"]
    assert find_devices("cuda:1") == ["cuda:1"]
    assert find_devices("cpu") == ["cpu"]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert find_devices("cuda") == ["cuda"]
