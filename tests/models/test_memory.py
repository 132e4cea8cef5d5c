"""The memory that a large image needs: estimated before the work, and refused in a sentence."""

import pytest
import torch

from colorcnn.errors import ColorCNNError
from colorcnn.models import MODELS, memory

SMALL = {"backbone_kwargs": {"width": 4, "depth": 2}}
MODEL_OPTIONS = {"colorcnn": {"num_colors": 4, **SMALL}, "colorcnn-plus": SMALL, "palette-attention": {}}


@pytest.mark.parametrize("name", MODEL_OPTIONS)
def test_the_estimate_grows_with_the_pixels_and_covers_the_largest_tensors(name):
    model = MODELS[name](**MODEL_OPTIONS[name])
    few, many = (memory.needed_bytes(model, side, side, 4) for side in (512, 1024))
    assert (1.5 if name == "palette-attention" else 3.5) < many / few < 4.5
    # the image, its feature map and the scores exist at once, in float32
    assert few > 512 * 512 * 4 * (3 + (0 if name == "palette-attention" else 4 + 4))
    assert next(model.parameters()).device.type == "cpu"


def test_sixty_megapixels_are_estimated_without_taking_memory():
    needed = memory.needed_bytes(MODELS["colorcnn-plus"](backbone_kwargs={"width": 16}), 7500, 8000, 4)
    assert 20 << 30 < needed < 60 << 30


def test_large_images_are_refused_where_memory_is_short(monkeypatch):
    monkeypatch.setattr(memory, "LEARNED_PIXELS", 100)
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1 << 20)
    model = MODELS["colorcnn-plus"](**SMALL).eval()
    assert model(torch.rand(1, 3, 10, 10), 4).indices.shape == (1, 10, 10)
    with pytest.raises(ColorCNNError, match=r"200 x 100 pixels need about .* GiB .* scale the image down"):
        model(torch.rand(1, 3, 100, 200), 4)
    monkeypatch.setattr(memory, "free_bytes", lambda device: None)
    assert model(torch.rand(1, 3, 100, 200), 4).indices.shape == (1, 100, 200)


def test_the_free_memory_is_the_least_of_the_machine_and_its_container(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    here = torch.device("cpu")
    assert memory.free_bytes(here) is None
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    5 kB\n")
    assert memory.free_bytes(here) == 5 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("100\n")
    assert memory.free_bytes(here) == 5 * 1024
    (tmp_path / "memory.max").write_text("3000\n")
    assert memory.free_bytes(here) == 2900
    assert memory.free_bytes(torch.device("meta")) is None
