"""Pictures of images at every number of colours, with several labels, and with masks."""

import io

import numpy as np
import torch
from PIL import Image
from torch import nn

from colorcnn.data.datasets import ImageSplit
from colorcnn.evaluation.gallery import PictureSource, SoftImages, make_gallery
from colorcnn.models import ColorCNN
from colorcnn.models.assignment import soft_palette, soft_render
from colorcnn.paletted import from_bytes, to_bytes
from colorcnn.quantizers.median_cut import MedianCut
from colorcnn.reporting.figures.depths import by_size, depths_picture, labels_picture, tinted

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)


class Redness(nn.Module):
    """Class 1 for images that are rather red."""

    def forward(self, images):
        red = images[:, 0].mean(dim=(1, 2)) - 0.5
        return torch.stack([-red, red], dim=1)


class PixelRedness(nn.Module):
    """Class 1 for pixels that are rather red."""

    def forward(self, images):
        return torch.stack([0.5 - images[:, 0], images[:, 0] - 0.5], dim=1)


def source(network, split):
    return PictureSource({"median-cut": MedianCut()}, network, split, ["grey", "red"])


def opened(picture):
    return Image.open(io.BytesIO(picture.light))


def test_a_turned_gallery_has_a_section_for_each_image_and_a_column_for_each_size():
    split = ImageSplit(PIXELS, np.array([0, 1, 0, 1, 0]))
    batch = split.__getitems__([1, 2])
    two = ColorCNN(2, backbone_kwargs={"width": 4, "depth": 1}).eval()
    methods = {"median-cut": MedianCut(), "colorcnn": two}
    gallery = make_gallery(methods, Redness(), batch.images, batch.labels, [2, 4, 8])
    turned = by_size(gallery, [2, 4, 8], ["grey", "red"])
    assert list(turned.rows) == ["Image 1: red", "Image 2: grey"]
    assert [head.split(" ")[0] for head in turned.heads] == ["2", "4", "8"]
    first = turned.rows["Image 1: red"]
    assert first["Original"].present.tolist() == [True, False, False]
    assert first["colorcnn"].present.tolist() == [True, False, False]
    assert first["median-cut"].present.all()
    assert torch.equal(first["median-cut"].pixels[1], gallery.rows[4]["median-cut"].pixels[0])
    assert first["median-cut"].right.tolist() == [
        int(gallery.rows[size]["median-cut"].predictions[0]) == 1 for size in (2, 4, 8)
    ]


def test_a_picture_has_every_number_of_colours():
    split = ImageSplit(PIXELS, np.array([0, 1, 0, 1, 0]))
    few, more = (opened(depths_picture(source(Redness(), split), sizes)) for sizes in ([2, 4], [2, 4, 8, 16]))
    assert more.width > few.width
    assert more.height == few.height


def test_several_labels_and_masks_are_drawn_with_the_answers():
    labels = ImageSplit(PIXELS, np.eye(2, dtype=np.float32)[[0, 1, 0, 1, 0]])
    masks = ImageSplit(PIXELS, np.zeros((5, 8, 8), np.uint8))
    for split, network in ((labels, Redness()), (masks, PixelRedness())):
        picture = labels_picture(source(network, split), [2], count=3)
        assert opened(picture).width > 3 * 192
        assert picture.dark is not None


def test_a_tint_covers_the_pixels_of_a_class_and_no_others():
    pixels = torch.full((1, 3, 2, 2), 100, dtype=torch.uint8)
    shown = tinted(pixels, torch.tensor([[[0, 1], [255, 0]]]))
    changed = (shown != pixels).any(dim=1)
    assert changed.tolist() == [[[False, True], [False, False]]]


def test_soft_images_are_those_of_the_training():
    model = ColorCNN(3, backbone_kwargs={"width": 4, "depth": 1}).eval()
    images = from_bytes(torch.from_numpy(PIXELS).permute(0, 3, 1, 2))
    assignment = model.soft(images, 3)
    expected = to_bytes(soft_render(soft_palette(images, assignment), assignment))
    shown = SoftImages(model).quantize_many(images, [3])[3].render(torch.uint8)
    assert torch.equal(shown, expected)
