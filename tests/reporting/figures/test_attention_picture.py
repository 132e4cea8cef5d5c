"""The figure that explains palette attention."""

import numpy as np
import pytest
import torch

from colorcnn.data import ImageSplit
from colorcnn.data.datasets import Batch
from colorcnn.evaluation.attention import explain
from colorcnn.models import create_model
from colorcnn.models.assignment import hard_palette
from colorcnn.paletted import Paletted, from_bytes
from colorcnn.quantizers import QUANTIZERS
from colorcnn.reporting.figures.attention import attention_gallery, attention_picture, changed_pixels
from colorcnn.reporting.figures.gallery import image_grid

NAMES = ["dark", "bright"]


class Brightness(torch.nn.Module):
    """Tells bright images (class 1) from dark ones."""

    def forward(self, images):
        level = images.mean(dim=(1, 2, 3)) - 0.5
        return torch.stack([-level, level], dim=1)


@pytest.fixture
def quantizer():
    torch.manual_seed(0)
    model = create_model("palette-attention", backbone_kwargs={"width": 4, "depth": 1}, channels=4)
    torch.nn.init.normal_(model.queries[0][-1].weight, std=4)
    return model.eval()


@pytest.fixture
def batch():
    pixels = np.random.RandomState(0).randint(0, 256, (3, 3, 12, 9)).astype(np.uint8)
    return Batch(torch.from_numpy(pixels), torch.tensor([0, 1, 1]), torch.arange(3))


def test_the_steps_are_the_classical_image_and_the_result(quantizer, batch):
    found = explain(quantizer, Brightness(), batch, 4)
    indices = QUANTIZERS["wu"]()(batch.images, 4).indices
    classical = Paletted(indices, hard_palette(from_bytes(batch.images), indices, 4))
    final = quantizer(batch.images, 4)
    assert torch.equal(found.classical.pixels, classical.render(torch.uint8))
    assert torch.equal(found.final.pixels, final.render(torch.uint8))
    assert torch.equal(found.changed, final.indices != indices)
    assert found.changed.any()
    level = from_bytes(found.final.pixels).mean(dim=(1, 2, 3))
    assert torch.equal(found.final.predictions, (level > 0.5).long())
    torch.testing.assert_close(found.final.confidence, torch.sigmoid(2 * (level - 0.5).abs()))


def test_only_changed_pixels_keep_their_colour(quantizer, batch):
    found = explain(quantizer, Brightness(), batch, 4)
    shown = changed_pixels(found)
    changed = found.changed[:, None].expand_as(shown)
    assert torch.equal(shown[changed], found.final.pixels[changed])
    left = shown.permute(0, 2, 3, 1)[~found.changed]
    assert (left == left[:, :1]).all()
    assert left.max() <= 64


def test_every_step_is_drawn_with_the_answers(quantizer, batch):
    found = explain(quantizer, Brightness(), batch, 4)
    figure = image_grid(attention_gallery(found, NAMES), NAMES)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert {"Original", "4 colours (2 bits)", "Wu", "changed", "after attention"} <= set(texts)
    assert sum("% changed" in text for text in texts) == 3
    assert sum("recognised" in text for text in texts) == 3
    answers = [text for text in texts if text.endswith(("% dark", "% bright"))]
    assert len(answers) == 9
    wrong = sum(
        (step.predictions != batch.labels).sum() for step in (found.original, found.classical, found.final)
    )
    assert sum(text.startswith("✗") for text in answers) == wrong


def test_a_picture_for_light_and_dark_pages(quantizer, batch):
    split = ImageSplit(batch.images.permute(0, 2, 3, 1).numpy(), batch.labels.numpy())
    picture = attention_picture(quantizer, Brightness(), split, NAMES, 4, count=2)
    assert picture.light.startswith(b"\x89PNG")
    assert picture.dark.startswith(b"\x89PNG")
    assert picture.light != picture.dark
