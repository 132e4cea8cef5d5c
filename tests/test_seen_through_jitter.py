"""The tool that measures what a classifier recognises through the jitter of training, on tiny images."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from colorcnn.data import ImageSplit
from colorcnn.records import Clock, read_record
from colorcnn.reproduce.pages import rendered


@pytest.fixture
def tool(import_tool):
    threads = torch.get_num_threads()
    yield import_tool("seen_through_jitter")
    torch.set_num_threads(threads)


class Brightness(nn.Module):
    """Says 1 for bright images and 0 for dark ones, with scores as far apart as the brightness."""

    num_classes = 2

    def forward(self, images):
        brightness = images.mean(dim=(1, 2, 3)) - 0.5
        return torch.stack([-brightness, brightness], 1)


def test_accuracy_and_cross_entropy_are_those_of_the_jittered_images(tool):
    images = torch.cat([torch.zeros(2, 3, 4, 4), torch.ones(2, 3, 4, 4)])
    batches = [(images[:3], torch.tensor([0, 1, 1])), (images[3:], torch.tensor([1]))]
    found = tool.scored(batches, Brightness(), lambda seen: seen)
    right, wrong = math.log(1 + math.exp(-1)), math.log(1 + math.exp(1))
    assert found == pytest.approx({"accuracy": 3 / 4, "loss": (3 * right + wrong) / 4})
    inverted = tool.scored(batches, Brightness(), lambda seen: 1 - seen)
    assert inverted == pytest.approx({"accuracy": 1 / 4, "loss": (right + 3 * wrong) / 4})


def test_less_contrast_brings_the_loss_nearer_to_guessing(tool):
    bright = np.array([40, 60, 200, 220], np.uint8)[:, None, None, None]
    split = ImageSplit(np.broadcast_to(bright, (4, 8, 8, 3)).copy(), np.array([0, 0, 1, 1]))
    mean, std = torch.full((3, 1, 1), 0.5), torch.full((3, 1, 1), 0.25)
    found = tool.measured(split, Brightness(), mean, std, 1)["seen_through_jitter"]
    assert len(found["rows"]) == len(tool.SHOWN) * len(tool.WAYS) * len(tool.CONTRASTS)
    losses = {row["contrast"]: row["loss"] for row in found["rows"][:3]}
    distance = {contrast: abs(loss - math.log(2)) for contrast, loss in losses.items()}
    assert distance[4.0] < distance[2.0] < distance[1.0]


def test_the_record_becomes_its_table(tool, tmp_path):
    rows = [
        {"shown": "originals", "way": "contrast alone", "contrast": contrast, "accuracy": 0.5, "loss": 1.25}
        for contrast in (4.0, 2.0)
    ]
    config = {"data": "some-data", "classifier": "some-classifier", "batch": 50, "split": "val"}
    metrics = {"seen_through_jitter": {"rows": rows, "classes": 10}}
    Clock().record("python tools/seen_through_jitter.py", n=1234, metrics=metrics, config=config).write(
        tmp_path / "seen.json"
    )
    page = rendered("<!-- table: seen -->\n<!-- end -->", tmp_path)
    assert "| originals | contrast alone | 50.0 %, 1.25 | 50.0 %, 1.25 |" in page
    assert "guessing has 10 % and 2.30. n = 1,234 val images of some-data" in page
    assert read_record(tmp_path / "seen.json").metrics == metrics


def test_a_missing_classifier_is_told_in_one_sentence(tool, tmp_path, capsys):
    status = tool.main(["photo-digits", "--classifier", "nowhere", "--out", str(tmp_path / "record.json")])
    error = capsys.readouterr().err
    assert status == 2
    assert error.startswith("seen_through_jitter: error: ")
    assert "nowhere" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "record.json").exists()
