"""The benchmark of training: a rehearsal, and the reference against the package's equations."""

import json

import numpy as np
import pytest
import torch

from colorcnn.losses import color_appearance, confidence_entropy, imitation_loss, information_entropy
from colorcnn.models.assignment import soft_palette, soft_render, top_k_softmax
from colorcnn.paletted import from_bytes
from colorcnn.quantizers import QUANTIZERS
from colorcnn.reproduce.pages import rendered


@pytest.fixture
def import_benchmark(import_tool, monkeypatch):
    for name in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
        monkeypatch.setenv(f"{name}_NUM_THREADS", "1")  # as the benchmark itself sets it, and does not undo
    return import_tool


@pytest.mark.slow
def test_a_rehearsal_ends_in_a_record_and_a_figure(import_benchmark, tmp_path, capsys):
    tool = import_benchmark("benchmark_training")
    threads = torch.get_num_threads()
    try:
        assert tool.main(["--quick", "--colors", "4,64", "--out-dir", str(tmp_path)]) == 0
    finally:
        torch.set_num_threads(threads)
    metrics = json.loads((tmp_path / "results.json").read_text())["metrics"]
    sides = {cell["side"] for cell in metrics["steps"]}
    assert {"reference", "ours, 32-true"} <= sides
    assert len(metrics["steps"]) == 2 * len(sides)
    parts = {"data", "forward", "assignment", "losses", "classifier", "backward", "optimizer"}
    for cell in metrics["steps"]:
        assert parts <= cell["milliseconds"].keys()
        assert cell["milliseconds"]["total"] >= sum(cell["milliseconds"][part] for part in parts) * 0.999
    assert {"tiny: step", "tiny: evaluation", "tiny: 64 colours to 4"} <= metrics["targets"].keys()
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert "milliseconds an image" in capsys.readouterr().out
    page = rendered("<!-- table: results -->\n<!-- end -->\n", tmp_path)
    assert page.count("| tiny | reference | ") == 3, "two steps and an evaluation"
    assert "- tiny: peak memory: ratio " in page


@pytest.mark.parametrize("options", [["--colors", "3"], ["--networks", "huge"]])
def test_what_cannot_be_measured_is_refused(options, import_benchmark, tmp_path, capsys):
    tool = import_benchmark("benchmark_training")
    assert tool.main([*options, "--out-dir", str(tmp_path)]) == 2
    assert "benchmark: error: " in capsys.readouterr().err


def test_the_reference_computes_what_the_package_computes(import_benchmark):
    reference = import_benchmark("training_reference")
    torch.manual_seed(0)
    features, images = torch.randn(2, 256, 6, 5), torch.rand(2, 3, 6, 5)
    model = reference.PlainQuantizer(type("Backbone", (torch.nn.Identity,), {"out_channels": 8})())
    assignment = model.assign(features, 16)
    ours = top_k_softmax(features.unflatten(1, (16, 16)).mean(2), 4)
    torch.testing.assert_close(assignment, ours)
    rendered = soft_render(soft_palette(images, ours), ours)
    torch.testing.assert_close(model.render(images, assignment), rendered)
    targets = torch.randint(5, (2, 6, 5))
    terms = [term(ours) for term in (color_appearance, information_entropy, confidence_entropy)]
    expected = sum(terms) + 3 * imitation_loss(ours, targets)
    torch.testing.assert_close(reference.loss_terms(assignment, targets, share=1.0), expected)


def test_the_reference_loads_median_cut_s_partitions(import_benchmark):
    reference = import_benchmark("training_reference")
    pixels = np.random.RandomState(0).randint(0, 255, (3, 9, 8, 3), dtype=np.uint8)
    np.random.seed(1)
    images, targets = reference.load_batch(pixels, 4)
    expected = QUANTIZERS["median-cut"]()(images, 4).indices
    flipped = ~(images == from_bytes(torch.from_numpy(pixels)).permute(0, 3, 1, 2)).flatten(1).all(1)
    assert 0 < flipped.sum() < 3, "some images are mirrored"
    for ours, theirs in zip(targets, expected):
        assert len(torch.stack([ours, theirs.long()]).flatten(1).unique(dim=1)[0]) == len(theirs.unique())
