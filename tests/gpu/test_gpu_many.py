"""All GPUs of a machine share an evaluation and the classifier of ``dcq build``; needs two GPUs."""

import numpy as np
import pytest
import torch

from colorcnn.data.datasets import ImageSplit, InOrder
from colorcnn.dcq.settings import Settings
from colorcnn.dcq.sources import ArrayImages
from colorcnn.dcq.stages import Work
from colorcnn.evaluation.evaluate import evaluate
from colorcnn.models import create_classifier, create_model
from colorcnn.pretrained import find_devices
from colorcnn.tasks.extract import EXTRACT_BATCH, NETWORK, extract

COUNT, SIDE = 5 * EXTRACT_BATCH + 7, 32
pytestmark = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there are fewer than two GPUs")


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(256, size=(COUNT, SIDE, SIDE, 3), dtype=np.uint8)


@pytest.fixture
def classifier():
    torch.manual_seed(0)
    return create_classifier("resnet9", 3, width=8)


def test_an_evaluation_gives_the_numbers_of_one_gpu(pixels, classifier):
    split = ImageSplit(pixels, np.arange(COUNT) % 3)
    torch.manual_seed(1)
    model = create_model("colorcnn-plus", backbone_kwargs={"width": 8, "depth": 2})

    def measure(device):
        found = evaluate({"mine": model}, classifier, InOrder(split, 32), [2, 16], device=device).to_json()
        del found["methods"]["mine"]["images_per_second"]
        return found

    assert len(find_devices("cuda")) == torch.cuda.device_count()
    assert measure(find_devices("cuda")) == measure("cuda:0")


def test_features_and_attention_are_those_of_one_gpu(pixels, classifier, tmp_path):
    source, settings = ArrayImages(pixels, np.arange(COUNT) % 3, ("a", "b", "c")), Settings(clusters=3)
    found = []
    for name, devices in (("one", ["cuda:1"]), ("all", find_devices("cuda"))):
        work = Work(tmp_path / name, {})
        extract(classifier, source, settings, work, devices=devices)
        found.append([work.load(NETWORK, start) for start in range(0, COUNT, EXTRACT_BATCH)])
    for one, other in zip(*found):
        for part in ("features", "attention"):
            np.testing.assert_allclose(one[part], other[part], rtol=1e-3, atol=1e-3)
