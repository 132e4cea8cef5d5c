"""Soft images beside hard ones: what is measured, told and drawn, and what is refused."""

from __future__ import annotations

import pytest
import torch
import yaml

from colorcnn.cli import main
from colorcnn.data.datasets import Batch
from colorcnn.errors import UsageError
from colorcnn.evaluation.soft_hard import measure_soft
from colorcnn.losses import confidence_entropy
from colorcnn.models import create_model
from colorcnn.models.assignment import soft_palette, soft_render
from colorcnn.paletted import from_bytes
from colorcnn.records import read_record
from colorcnn.reporting.markup import percent

DATA = {"train_size": 64, "validation_size": 16, "test_size": 16, "batch_size": 16}


@pytest.fixture
def quantizer():
    torch.manual_seed(0)
    return create_model("colorcnn-plus", backbone_kwargs={"width": 4, "depth": 1}).eval()


class Brightness(torch.nn.Module):
    """Tells bright images (class 1) from dark ones."""

    def forward(self, images):
        level = images.mean(dim=(1, 2, 3)) - 0.5
        return torch.stack([-level, level], dim=1)


def batches():
    torch.manual_seed(1)
    images = torch.randint(256, (10, 3, 8, 8), dtype=torch.uint8)
    labels = torch.randint(2, (10,))
    index = torch.arange(10)
    return [Batch(images[:7], labels[:7], index[:7]), Batch(images[7:], labels[7:], index[7:])]


def test_soft_accuracy_and_entropy_are_those_of_the_soft_images(quantizer):
    found = measure_soft(quantizer, Brightness(), batches(), [3, 5], [1.0, 0.1])
    right = entropy = 0.0
    with torch.no_grad():
        for batch in batches():
            images = from_bytes(batch.images)
            assignment = quantizer.soft(images, 5, 0.1)
            seen = soft_render(soft_palette(images, assignment), assignment)
            right += (Brightness()(seen).argmax(dim=1) == batch.labels).sum().item()
            entropy += confidence_entropy(assignment).item() * len(images)
    assert found[5]["0.1"]._asdict() == pytest.approx(
        {"accuracy": right / 10, "entropy": entropy / 10}, rel=1e-5
    )
    assert found[3]["0.1"].entropy < found[3]["1"].entropy


def test_several_labels_are_refused(quantizer):
    batch = Batch(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.zeros(2, 5), torch.arange(2))
    with pytest.raises(UsageError, match="one label per image"):
        measure_soft(quantizer, Brightness(), [batch], [2], [1.0])


def experiment(folder, **options):
    measure = {
        "name": "soft",
        "kind": "soft-hard",
        "data": {"class_path": "PhotoDigits", "init_args": DATA},
        "classifier": "tiny:classifier",
        "colors": [2, 4],
        "methods": {"colorcnn-plus": "colorcnn-plus:colorcnn-plus-cifar10", "median-cut": "median-cut"},
        "temperatures": [1.0, 0.1],
        **options,
    }
    path = folder / "gap.yaml"
    path.write_text(
        yaml.safe_dump(
            {"kind": "experiment", "title": "Gap", "scales": {"cpu": {"time": "now", "stages": [measure]}}}
        )
    )
    return ["reproduce", str(path), "-o", str(folder / "runs"), "--results", str(folder / "results")]


def test_a_stage_measures_soft_and_hard_and_draws_both(tmp_path, capsys):
    argv = [*experiment(tmp_path), "--seeds", "2", "--allow-module", "tiny"]
    assert main(argv) == 0
    record = read_record(tmp_path / "results" / "gap_cpu.json")
    assert record.config["split"] == "val"
    scores = record.metrics["methods"]["colorcnn-plus"]["scores"]
    assert set(scores["4"]["soft"]) == {"1", "0.1"}
    assert "soft" not in record.metrics["methods"]["median-cut"]["scores"]["4"]
    assert {path.name for path in (tmp_path / "results").glob("*.png")} == {
        "gap_cpu.png",
        "gap_cpu_accuracy.png",
        "gap_cpu_soft.png",
    }
    assert main([*argv[:2], "--list", "--results", str(tmp_path / "results")]) == 0
    told = capsys.readouterr().out
    soft, hard = scores["4"]["soft"]["0.1"], scores["4"]
    assert "| accuracy of files %, colours used |" in told
    spread = record.metrics["std"]["methods"]["colorcnn-plus"]["scores"]["4"]["accuracy"]
    assert f"| {percent(hard['accuracy'], spread)}, {hard['colors']['mean']:.1f} |" in told
    assert "| accuracy of soft images %, entropy in nats |" in told
    assert f"{soft['entropy']:.2f} |" in told
    assert "T = 0.1 |" in told


@pytest.mark.parametrize("temperatures", [3, [1, 0], ["hot"]])
def test_temperatures_that_are_none_are_refused(temperatures, tmp_path, capsys):
    assert main(experiment(tmp_path, temperatures=temperatures)) == 2
    error = capsys.readouterr().err
    assert "temperatures" in error
    assert "numbers above 0" in error or "a number above 0" in error
